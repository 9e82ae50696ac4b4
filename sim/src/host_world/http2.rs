//! As much of HTTP/2 and protobuf as one gRPC call on a connection of its own needs.
//!
//! Header fields are sent as literals without indexing (RFC 7541, 6.2.2) and never read: a unary
//! call that succeeded has a message, one that failed has none.

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The whole client side of a unary call.
pub(super) fn call(path: &str, message: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "m"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields {
        headers.push(0);
        for text in [name, value] {
            headers.push(u8::try_from(text.len()).expect("a field is short"));
            headers.extend(text.as_bytes());
        }
    }
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).expect("a message is short").to_be_bytes());
    body.extend(message);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes.extend(frame(HEADERS, END_HEADERS, 1, &headers));
    bytes.extend(frame(DATA, END_STREAM, 1, &body));
    bytes
}

/// The message of the call's reply: none while it is under way, `Some(None)` if it failed.
pub(super) fn reply(mut bytes: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let (head, rest) = bytes.split_at_checked(9)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        match head[3] {
            DATA => body.extend(payload),
            RESET | GO_AWAY => return Some(None),
            _ => {}
        }
        if matches!(head[3], DATA | HEADERS) && head[4] & END_STREAM != 0 {
            return Some(body.split_at_checked(5).map(|(_, message)| message.to_vec()));
        }
    }
}

/// A length-delimited field.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2, u8::try_from(content.len()).expect("it is short")];
    field.extend(content);
    field
}

/// The first length-delimited field of that number.
pub(super) fn find(mut message: &[u8], number: u64) -> Option<Vec<u8>> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let value = varint(&mut message)?;
        if key & 7 == 2 {
            let (content, rest) = message.split_at_checked(usize::try_from(value).ok()?)?;
            if key >> 3 == number {
                return Some(content.to_vec());
            }
            message = rest;
        }
    }
    None
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_its_message_and_a_failure_has_none() {
        let mut bytes = frame(SETTINGS, 0, 0, &[]);
        bytes.extend(frame(HEADERS, END_HEADERS, 1, &[0x88]));
        bytes.extend(frame(DATA, 0, 1, &[0, 0, 0, 0, 2, 7, 8]));
        assert_eq!(reply(&bytes), None);
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]));
        assert_eq!(reply(&bytes), Some(Some(vec![7, 8])));
        let failed = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x88]);
        assert_eq!(reply(&failed), Some(None));
    }

    #[test]
    fn fields_are_found_behind_others() {
        let mut message = vec![8, 0x96, 1];
        message.extend(field(2, b"pair"));
        message.extend(field(5, b"value"));
        assert_eq!(find(&message, 5).as_deref(), Some(&b"value"[..]));
        assert_eq!(find(&message, 7), None);
    }
}
