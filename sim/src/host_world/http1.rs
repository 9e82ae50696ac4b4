//! HTTP/1.1 from the client's side: calls in a pipeline, answers in their order.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::talk::{Call, Fields, Heard, Token, field};
use crate::check::{Verdict, Violation, require};

#[derive(Debug, Default)]
enum State {
    #[default]
    Head,
    Length(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    /// The body ends with the connection.
    Close,
}

/// A connection that speaks HTTP/1.1.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) output: BytesMut,
    input: BytesMut,
    state: State,
    /// What is not answered, and whether its answer has a body.
    open: VecDeque<Token>,
}

impl Talk {
    pub(super) fn ask(&mut self, token: Token, call: &Call) {
        self.open.push_back(token);
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: member\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            call.method,
            call.target,
            call.media,
            call.body.len()
        );
        self.output.extend_from_slice(head.as_bytes());
        if let Some(authorization) = &call.authorization {
            self.output.extend_from_slice(format!("Authorization: {authorization}\r\n").as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
        self.output.extend_from_slice(&call.body);
    }

    pub(super) fn hear(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Verdict {
        self.input.extend_from_slice(bytes);
        while self.step(heard)? {}
        Ok(())
    }

    fn token(&self) -> Result<Token, Violation> {
        let text = || Violation("a member answers over HTTP/1.1 what nobody asked".into());
        self.open.front().copied().ok_or_else(text)
    }

    /// Takes the next part out of the input; false if it is not there yet.
    fn step(&mut self, heard: &mut Vec<Heard>) -> Result<bool, Violation> {
        match self.state {
            State::Head => {
                if self.input.is_empty() {
                    return Ok(false);
                }
                let token = self.token()?;
                let Some((line, fields)) = self.fields()? else { return Ok(false) };
                let status = status(&line)?;
                self.state = body(&fields)?;
                heard.push(Heard::Head(token, status, fields));
                if matches!(self.state, State::Length(0)) {
                    self.end(heard, Vec::new())?;
                }
            }
            State::Length(left) | State::Chunk(left) => {
                if self.input.is_empty() {
                    return Ok(false);
                }
                let count = self.input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                heard.push(Heard::Body(self.token()?, self.input.split_to(count).freeze()));
                let left = left - count as u64;
                match self.state {
                    State::Chunk(_) if left == 0 => self.state = State::ChunkEnd,
                    State::Chunk(_) => self.state = State::Chunk(left),
                    _ if left == 0 => self.end(heard, Vec::new())?,
                    _ => self.state = State::Length(left),
                }
            }
            State::ChunkSize => {
                let Some(line) = self.line() else { return Ok(false) };
                let size = std::str::from_utf8(&line).ok();
                let size = size.and_then(|text| u64::from_str_radix(text, 16).ok());
                let size = size.ok_or_else(|| Violation(format!("a chunk of size {line:?}")))?;
                self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
            }
            State::ChunkEnd => {
                let Some(line) = self.line() else { return Ok(false) };
                require(line.is_empty(), || "a chunk is longer than its size".into())?;
                self.state = State::ChunkSize;
            }
            State::Trailers => {
                let Some(line) = self.line() else { return Ok(false) };
                require(line.is_empty(), || "nobody asked for trailers".into())?;
                self.end(heard, Vec::new())?;
            }
            State::Close => {
                if self.input.is_empty() {
                    return Ok(false);
                }
                heard.push(Heard::Body(self.token()?, self.input.split().freeze()));
            }
        }
        Ok(true)
    }

    fn end(&mut self, heard: &mut Vec<Heard>, trailers: Fields) -> Verdict {
        let token = self.token()?;
        self.open.pop_front();
        self.state = State::Head;
        heard.push(Heard::End(token, trailers));
        Ok(())
    }

    fn line(&mut self) -> Option<Bytes> {
        let end = self.input.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.input.split_to(end).freeze();
        self.input.advance(2);
        Some(line)
    }

    /// The first line of a head and its fields, once all is there.
    fn fields(&mut self) -> Result<Option<(Bytes, Fields)>, Violation> {
        let Some(end) = self.input.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = self.input.split_to(end + 4).freeze();
        let text = std::str::from_utf8(&head[..end]);
        let text = text.map_err(|_| Violation("a head is not text".into()))?;
        let (first, rest) = text.split_once("\r\n").unwrap_or((text, ""));
        let mut fields = Vec::new();
        for line in rest.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) =
                line.split_once(": ").ok_or_else(|| Violation(format!("a field {line:?}")))?;
            fields.push((name.to_ascii_lowercase(), head.slice_ref(value.as_bytes())));
        }
        Ok(Some((head.slice_ref(first.as_bytes()), fields)))
    }
}

fn status(line: &[u8]) -> Result<u16, Violation> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let code = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    let code = code.and_then(|code| code.parse().ok());
    code.ok_or_else(|| Violation(format!("a status line {text:?}")))
}

fn body(fields: &Fields) -> Result<State, Violation> {
    let length = field(fields, "content-length").map(str::parse::<u64>);
    let chunked = field(fields, "transfer-encoding") == Some("chunked");
    match (length, chunked) {
        (Some(Ok(length)), false) => Ok(State::Length(length)),
        (None, true) => Ok(State::ChunkSize),
        (None, false) => Ok(State::Close),
        other => Err(Violation(format!("a body of unclear length: {other:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(text: &str, asked: u64) -> Result<Vec<String>, Violation> {
        let mut talk = Talk { open: (0..asked).collect(), ..Talk::default() };
        let mut heard = Vec::new();
        for byte in text.as_bytes() {
            talk.hear(&[*byte], &mut heard)?;
        }
        Ok(heard
            .iter()
            .map(|part| match part {
                Heard::Head(token, status, _) => format!("{token}:{status}"),
                Heard::Body(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
                other => format!("{other:?}").chars().take(5).collect(),
            })
            .collect())
    }

    #[test]
    fn answers_are_told_apart_byte_by_byte() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 No\r\n\
                    Transfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n";
        let parts = heard(text, 2).expect("two good answers");
        assert_eq!(parts, ["0:200", "a", "b", "End(0", "1:404", "c", "End(1"]);
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_caught() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        assert!(heard(text, 1).is_ok());
        assert!(heard(&text.repeat(2), 1).is_err());
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(heard(both, 1).is_err());
    }
}
