//! HPACK's two tables of header fields (RFC 7541, section 2.3).

use std::collections::VecDeque;

/// The table of the standard (RFC 7541, appendix A); the first entry has index 1.
pub(super) const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// What an entry costs beside its text (RFC 7541, 4.1).
const ENTRY_BYTES: usize = 32;
/// The size that is never announced otherwise (RFC 9113, 6.5.2: SETTINGS_HEADER_TABLE_SIZE).
const TABLE_BYTES_MAX: usize = 4096;

/// The fields that the peer told us to remember, the newest first.
///
/// # Invariants
/// - `bytes` is the sum of all entries' sizes, and never above `bytes_max`.
/// - `bytes_max` is never above [`TABLE_BYTES_MAX`].
#[derive(Debug)]
pub(super) struct DynamicTable {
    /// Each name and value in one block, and where the value begins.
    entries: VecDeque<(Box<[u8]>, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl Default for DynamicTable {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES_MAX }
    }
}

impl DynamicTable {
    /// The entry with this index, counted from the newest.
    pub(super) fn entry(&self, index: usize) -> Option<(&[u8], &[u8])> {
        self.entries.get(index).map(|(text, name_bytes)| text.split_at(*name_bytes))
    }

    /// Remembers a field. One that is larger than the table empties it (RFC 7541, 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let bytes = name.len() + value.len() + ENTRY_BYTES;
        if bytes > self.bytes_max {
            self.evict(0);
            return;
        }
        self.evict(self.bytes_max - bytes);
        self.bytes += bytes;
        self.entries.push_front(([name, value].concat().into(), name.len()));
    }

    /// Changes the size; false if it is more than allowed.
    pub(super) fn resize(&mut self, bytes_max: usize) -> bool {
        if bytes_max > TABLE_BYTES_MAX {
            return false;
        }
        self.bytes_max = bytes_max;
        self.evict(bytes_max);
        true
    }

    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let (text, _) = self.entries.pop_back().expect("an empty table has no bytes");
            self.bytes -= text.len() + ENTRY_BYTES;
        }
    }
}
