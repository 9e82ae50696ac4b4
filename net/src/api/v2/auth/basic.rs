//! Basic authentication (RFC 7617), as Go's `Request.BasicAuth` reads it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use quorra_core::replica::Password;

const SCHEME: &[u8] = b"Basic ";

/// The user and the password of a header; none if it is malformed or of another scheme.
pub(super) fn parse(header: &[u8]) -> Option<(Bytes, Password)> {
    let (scheme, encoded) = header.split_at_checked(SCHEME.len())?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return None;
    }
    let decoded = Bytes::from(STANDARD.decode(encoded).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded.slice(..colon), Password(decoded.slice(colon + 1..))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_go_reads_it() {
        let rows: [(&str, Option<(&str, &str)>); 11] = [
            ("Basic cm9vdDpyb290cHc=", Some(("root", "rootpw"))),
            ("basic cm9vdDpyb290cHc=", Some(("root", "rootpw"))),
            ("BASIC Og==", Some(("", ""))),
            ("Basic YTpiOmM=", Some(("a", "b:c"))),
            ("Basic  cm9vdDpyb290cHc=", None),
            ("Basic cm9vdDpyb290cHc", None),
            ("Basic cm9vdA==", None),
            ("Basic cm9v-A==", None),
            ("Basic", None),
            ("Bearer cm9vdDpyb290cHc=", None),
            ("cm9vdDpyb290cHc=", None),
        ];
        for (header, expected) in rows {
            let expected = expected.map(|(user, password)| {
                let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
                (bytes(user), Password(bytes(password)))
            });
            assert!(parse(header.as_bytes()) == expected, "{header}");
        }
    }
}
