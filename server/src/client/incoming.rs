//! An answer as its bytes come in.

use std::io;
use std::time::Instant;

use super::stream::Stream;
use super::{Answer, ClientError, Limits};

/// The largest answer that is taken.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// The bytes of an answer that have come and were not used yet.
pub(super) struct Incoming<'a> {
    stream: &'a mut Stream,
    deadline: Option<Instant>,
    bytes: Vec<u8>,
    /// Whether anything came at all.
    pub(super) began: bool,
}

impl<'a> Incoming<'a> {
    pub(super) fn new(stream: &'a mut Stream) -> Self {
        Self { stream, deadline: None, bytes: Vec::new(), began: false }
    }

    /// Takes in a whole answer, and says whether the connection can take another request.
    pub(super) fn answer(
        &mut self,
        head_only: bool,
        limits: Limits,
    ) -> Result<(Answer, bool), ClientError> {
        self.deadline = limits.until_head();
        let (mut answer, persistent) = loop {
            let (answer, persistent) = self.head()?;
            // Interim answers only announce the real one.
            if !(100..200).contains(&answer.status) {
                break (answer, persistent);
            }
        };
        self.deadline = limits.whole;
        let framed = head_only || matches!(answer.status, 204 | 304) || self.body(&mut answer)?;
        Ok((answer, framed && persistent && self.bytes.is_empty()))
    }

    /// The status and the fields, and whether the server keeps the connection afterwards.
    fn head(&mut self) -> Result<(Answer, bool), ClientError> {
        let status_line = self.line()?;
        let status = status_line
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|code| code.parse().ok())
            .ok_or(ClientError::Malformed("the answer is not HTTP/1"))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        let mut bytes = status_line.len();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            bytes += line.len();
            if bytes > HEAD_BYTES_MAX {
                return Err(ClientError::Malformed("the answer's head does not end"));
            }
            let (name, value) =
                line.split_once(':').ok_or(ClientError::Malformed("a header has no colon"))?;
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_string()));
        }
        let closes = answer.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        Ok((answer, status_line.starts_with("HTTP/1.1") && !closes))
    }

    /// Takes in the body; false if only the end of the connection ended it.
    fn body(&mut self, answer: &mut Answer) -> Result<bool, ClientError> {
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks()?;
            return Ok(true);
        }
        let Some(length) = answer.header("content-length") else {
            while self.more()? {}
            answer.body = std::mem::take(&mut self.bytes);
            return Ok(false);
        };
        let length = length.parse().map_err(|_| ClientError::Malformed("a length is no number"))?;
        answer.body = self.take(length)?;
        Ok(true)
    }

    fn chunks(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or(""), 16)
                .map_err(|_| ClientError::Malformed("a chunk's size is no number"))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            if body.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::Malformed("the answer is too large"));
            }
            body.extend(self.take(size)?);
            self.line()?;
        }
    }

    /// Takes in more bytes; false at the end.
    fn more(&mut self) -> Result<bool, ClientError> {
        if self.bytes.len() > ANSWER_BYTES_MAX {
            return Err(ClientError::Malformed("the answer is too large"));
        }
        let mut chunk = [0; 16 << 10];
        let count = self.stream.read(&mut chunk, self.deadline)?;
        self.bytes.extend_from_slice(&chunk[..count]);
        self.began |= count > 0;
        Ok(count > 0)
    }

    /// Removes a line and its end.
    fn line(&mut self) -> Result<String, ClientError> {
        loop {
            if let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_string());
            }
            if self.bytes.len() > HEAD_BYTES_MAX {
                return Err(ClientError::Malformed("the answer's head does not end"));
            }
            if !self.more()? {
                return Err(cut_off());
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, ClientError> {
        if count > ANSWER_BYTES_MAX {
            return Err(ClientError::Malformed("the answer is too large"));
        }
        while self.bytes.len() < count {
            if !self.more()? {
                return Err(cut_off());
            }
        }
        let rest = self.bytes.split_off(count);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }
}

/// The server went before it had answered.
fn cut_off() -> ClientError {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends too early").into()
}
