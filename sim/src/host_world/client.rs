//! A client: one register operation at a time, in the bytes of etcd's protocols.

use super::http2;

/// What is done to a register.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Write(u64),
    Read,
}

/// In which bytes it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `/v2/keys` over HTTP/1.1.
    V2,
    /// gRPC over HTTP/2.
    Grpc,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The write is done.
    Written,
    /// The register has this value.
    Value(Option<u64>),
    /// It may have happened, or not.
    Unclear,
}

/// The bytes of a request on a connection of its own.
pub(super) fn request(protocol: Protocol, key: &str, verb: Verb) -> Vec<u8> {
    match (protocol, verb) {
        (Protocol::V2, Verb::Write(value)) => {
            let body = format!("value={value}");
            let length = body.len();
            format!(
                "PUT /v2/keys/{key} HTTP/1.1\r\nHost: m\r\nContent-Length: {length}\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
            )
            .into_bytes()
        }
        (Protocol::V2, Verb::Read) => {
            format!("GET /v2/keys/{key}?quorum=true HTTP/1.1\r\nHost: m\r\n\r\n").into_bytes()
        }
        (Protocol::Grpc, Verb::Write(value)) => {
            let mut message = http2::field(1, key.as_bytes());
            message.extend(http2::field(2, value.to_string().as_bytes()));
            http2::call("/etcdserverpb.KV/Put", &message)
        }
        (Protocol::Grpc, Verb::Read) => {
            http2::call("/etcdserverpb.KV/Range", &http2::field(1, key.as_bytes()))
        }
    }
}

/// The answer in what came back so far; none if it is not there as a whole.
pub(super) fn answer(protocol: Protocol, verb: Verb, bytes: &[u8]) -> Option<Answer> {
    match protocol {
        Protocol::V2 => v2_answer(verb, bytes),
        Protocol::Grpc => {
            let Some(message) = http2::reply(bytes)? else { return Some(Answer::Unclear) };
            Some(match verb {
                Verb::Write(_) => Answer::Written,
                Verb::Read => {
                    let pair = http2::find(&message, 2);
                    let value = pair.and_then(|pair| http2::find(&pair, 5));
                    Answer::Value(value.and_then(|value| number(&value)))
                }
            })
        }
    }
}

fn v2_answer(verb: Verb, bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    if body.len() < length {
        return None;
    }
    let status = head.split(' ').nth(1)?;
    Some(match (verb, status) {
        (Verb::Write(_), "200" | "201") => Answer::Written,
        (Verb::Read, "404") if body.contains("\"errorCode\":100") => Answer::Value(None),
        (Verb::Read, "200") => {
            let value = body.split_once("\"value\":\"").and_then(|(_, rest)| rest.split_once('"'));
            Answer::Value(value.and_then(|(value, _)| number(value.as_bytes())))
        }
        _ => Answer::Unclear,
    })
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_answers_are_read_once_they_are_whole() {
        let body = r#"{"action":"get","node":{"key":"/k","value":"17"}}"#;
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        for end in 0..whole.len() {
            assert_eq!(answer(Protocol::V2, Verb::Read, &whole.as_bytes()[..end]), None);
        }
        let got = answer(Protocol::V2, Verb::Read, whole.as_bytes());
        assert_eq!(got, Some(Answer::Value(Some(17))));
        let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 17\r\n\r\n{\"errorCode\":100}";
        assert_eq!(answer(Protocol::V2, Verb::Read, missing.as_bytes()), Some(Answer::Value(None)));
        let busy = "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n";
        let got = answer(Protocol::V2, Verb::Write(1), busy.as_bytes());
        assert_eq!(got, Some(Answer::Unclear));
    }
}
