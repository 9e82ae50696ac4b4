//! Messages and their prefixes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Code, Status};

/// What stands in front of each message: a flag, and the length.
pub const PREFIX_BYTES: usize = 5;

/// Appends the prefix of a message of this length.
pub fn put_prefix(out: &mut BytesMut, bytes: usize) {
    out.put_u8(0);
    out.put_u32(u32::try_from(bytes).expect("an answer is shorter than 4 GiB"));
}

/// Why a message is not read. The call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The compressed flag is set, but no encoding was agreed on.
    Compressed,
    /// The flag is neither set nor clear.
    Flag(u8),
    /// The message is longer than allowed.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The client ended the call before its first message.
    Missing,
    /// The client ended the call within a message.
    Truncated,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Compressed => Self::new(
                Code::Internal,
                "grpc: compressed flag set with identity or empty encoding",
            ),
            Refusal::TooLong { bytes, bytes_max } => Self::new(
                Code::ResourceExhausted,
                format!("grpc: received message larger than max ({bytes} vs. {bytes_max})"),
            ),
            Refusal::Flag(flag) => Self::new(
                Code::Internal,
                format!("grpc: received unexpected payload format {flag}"),
            ),
            Refusal::Missing => Self::new(Code::Unknown, "EOF"),
            Refusal::Truncated => Self::new(Code::Unknown, "unexpected EOF"),
        }
    }
}

/// Cuts a stream of bytes into messages.
///
/// A message that comes in one piece is copied once, into a block of its own.
#[derive(Debug, Default)]
pub struct MessageReader {
    pending: BytesMut,
}

impl MessageReader {
    /// Bytes that wait for the rest of their message.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }

    /// Reads bytes and hands over every message that they complete.
    ///
    /// # Errors
    /// The call's messages cannot be read any further.
    pub fn read(
        &mut self,
        mut bytes: &[u8],
        bytes_max: usize,
        mut message: impl FnMut(Bytes),
    ) -> Result<(), Refusal> {
        while self.pending.is_empty() {
            let Some(length) = message_bytes(bytes, bytes_max)? else { break };
            let Some(whole) = bytes.get(PREFIX_BYTES..PREFIX_BYTES + length) else { break };
            message(Bytes::copy_from_slice(whole));
            bytes = &bytes[PREFIX_BYTES + length..];
        }
        if bytes.is_empty() {
            return Ok(());
        }
        self.pending.extend_from_slice(bytes);
        while let Some(length) = message_bytes(&self.pending, bytes_max)? {
            if self.pending.len() < PREFIX_BYTES + length {
                self.pending.reserve(PREFIX_BYTES + length - self.pending.len());
                return Ok(());
            }
            let mut whole = self.pending.split_to(PREFIX_BYTES + length);
            whole.advance(PREFIX_BYTES);
            message(whole.freeze());
        }
        Ok(())
    }
}

/// The length of the message that begins here, if its prefix is there.
fn message_bytes(bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, Refusal> {
    let Some([compressed, a, b, c, d]) = bytes.first_chunk::<PREFIX_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    if length > bytes_max {
        return Err(Refusal::TooLong { bytes: length, bytes_max });
    }
    match *compressed {
        0 => Ok(Some(length)),
        1 => Err(Refusal::Compressed),
        flag => Err(Refusal::Flag(flag)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_split_gives_the_same_messages(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
            cuts in prop::collection::vec(1usize..40, 0..20),
        ) {
            let mut stream = BytesMut::new();
            for message in &messages {
                put_prefix(&mut stream, message.len());
                stream.put_slice(message);
            }
            let (mut reader, mut read) = (MessageReader::default(), Vec::new());
            let mut rest = &stream[..];
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                prop_assert_eq!(reader.read(head, 60, |message| read.push(message.to_vec())), Ok(()));
                rest = tail;
            }
            prop_assert_eq!(reader.read(rest, 60, |message| read.push(message.to_vec())), Ok(()));
            prop_assert_eq!(read, messages);
            prop_assert_eq!(reader.pending_bytes(), 0);
        }
    }

    #[test]
    fn a_message_is_compressed_or_not() {
        let refusal = |flag| MessageReader::default().read(&[flag, 0, 0, 0, 0], 8, |_| {}).err();
        assert_eq!(refusal(0), None);
        assert_eq!(refusal(1), Some(Refusal::Compressed));
        let text = "grpc: received unexpected payload format 255";
        assert_eq!(refusal(255).map(Status::from), Some(Status::new(Code::Internal, text)));
    }

    #[test]
    fn a_long_message_is_refused_at_its_prefix() {
        let refused = MessageReader::default().read(&[0, 0, 0, 0, 9], 8, |_| {});
        assert_eq!(refused, Err(Refusal::TooLong { bytes: 9, bytes_max: 8 }));
        assert_eq!(
            Status::from(Refusal::TooLong { bytes: 2_200_010, bytes_max: 2_097_152 }).message,
            "grpc: received message larger than max (2200010 vs. 2097152)",
        );
    }
}
