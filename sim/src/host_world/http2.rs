//! HTTP/2 from the client's side, as far as gRPC needs it (RFC 9113).
//!
//! Heads are literals without a table, bodies are cut into frames that fit the member's windows;
//! answers come as frames in any mixture of streams. What a member must not send is a violation.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use quorra_net::http2::{PREFACE, hpack};

use super::talk::{Call, Fields, Heard, Token};
use crate::check::{Verdict, Violation, require};

const FRAME_HEAD_BYTES: usize = 9;
const FRAME_BYTES_MAX: usize = 16_384;
const WINDOW: i64 = 65_535;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;

/// A call that is not over.
#[derive(Debug)]
struct Stream {
    token: Token,
    unsent: Bytes,
    window: i64,
    answered: bool,
    /// How much the member may still send.
    credit: i64,
}

/// A connection that speaks HTTP/2.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) output: BytesMut,
    input: BytesMut,
    decoder: hpack::Decoder,
    streams: BTreeMap<u32, Stream>,
    waiting: VecDeque<u32>,
    next: u32,
    window: i64,
    first_window: i64,
    credit: i64,
    /// How much each stream's member may send at first.
    granted: i64,
    /// A head whose end has not come.
    block: Option<(u32, u8, BytesMut)>,
}

impl Talk {
    /// A new connection; members may send so much on a stream before they are told to go on.
    pub(super) fn new(granted: u32) -> Self {
        let mut output = BytesMut::from(PREFACE);
        put_frame(&mut output, SETTINGS, 0, 0, &{
            let mut settings = BytesMut::new();
            settings.put_u16(4);
            settings.put_u32(granted);
            settings
        });
        Self {
            output,
            input: BytesMut::new(),
            decoder: hpack::Decoder::default(),
            streams: BTreeMap::new(),
            waiting: VecDeque::new(),
            next: 1,
            window: WINDOW,
            first_window: WINDOW,
            credit: WINDOW,
            granted: i64::from(granted),
            block: None,
        }
    }

    pub(super) fn ask(&mut self, token: Token, call: &Call) {
        let id = self.next;
        self.next += 2;
        let mut block = BytesMut::new();
        for (name, value) in [
            (":method", call.method),
            (":scheme", "http"),
            (":path", call.target.as_str()),
            (":authority", "member"),
            ("content-type", call.media),
            ("te", "trailers"),
        ] {
            block.put_u8(0);
            put_text(&mut block, name);
            put_text(&mut block, value);
        }
        put_frame(&mut self.output, HEADERS, END_HEADERS, id, &block);
        let (window, credit, unsent) = (self.first_window, self.granted, call.body.clone());
        self.streams.insert(id, Stream { token, unsent, window, answered: false, credit });
        self.waiting.push_back(id);
        self.pump();
    }

    pub(super) fn cancel(&mut self, token: Token) {
        let found = self.streams.iter().find(|(_, stream)| stream.token == token);
        if let Some(id) = found.map(|(id, _)| *id) {
            self.streams.remove(&id);
            put_frame(&mut self.output, RST_STREAM, 0, id, &CANCEL.to_be_bytes());
        }
    }

    /// Sends of the bodies what the windows allow.
    fn pump(&mut self) {
        for _ in 0..self.waiting.len() {
            let Some(id) = self.waiting.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            loop {
                let room = self.window.min(stream.window).max(0);
                let room = usize::try_from(room).unwrap_or(0).min(FRAME_BYTES_MAX);
                let piece = stream.unsent.split_to(room.min(stream.unsent.len()));
                let last = stream.unsent.is_empty();
                if piece.is_empty() && !last {
                    self.waiting.push_back(id);
                    break;
                }
                self.window -= piece.len() as i64;
                stream.window -= piece.len() as i64;
                put_frame(&mut self.output, DATA, u8::from(last) * END_STREAM, id, &piece);
                if last {
                    break;
                }
            }
        }
    }

    pub(super) fn hear(&mut self, bytes: &[u8], heard: &mut Vec<Heard>) -> Verdict {
        self.input.extend_from_slice(bytes);
        while self.input.len() >= FRAME_HEAD_BYTES {
            let length = usize::from(self.input[0]) << 16
                | usize::from(self.input[1]) << 8
                | usize::from(self.input[2]);
            require(length <= FRAME_BYTES_MAX, || format!("a frame of {length} bytes"))?;
            if self.input.len() < FRAME_HEAD_BYTES + length {
                return Ok(());
            }
            let mut head = self.input.split_to(FRAME_HEAD_BYTES);
            head.advance(3);
            let (kind, flags) = (head.get_u8(), head.get_u8());
            let stream = head.get_u32() & 0x7fff_ffff;
            let content = self.input.split_to(length).freeze();
            self.frame(kind, flags, stream, content, heard)?;
        }
        Ok(())
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        mut content: Bytes,
        heard: &mut Vec<Heard>,
    ) -> Verdict {
        let open = self.block.as_ref().map(|block| block.0);
        require(open.is_none() || kind == CONTINUATION && open == Some(stream), || {
            format!("a frame of kind {kind} interrupts a head")
        })?;
        match kind {
            DATA => self.on_data(flags, stream, content, heard)?,
            HEADERS => {
                self.block = Some((stream, flags, BytesMut::from(&content[..])));
                if flags & END_HEADERS != 0 {
                    self.on_head(heard)?;
                }
            }
            CONTINUATION => {
                if let Some((_, _, block)) = &mut self.block {
                    block.extend_from_slice(&content);
                }
                if flags & END_HEADERS != 0 {
                    self.on_head(heard)?;
                }
            }
            RST_STREAM => {
                if let Some(gone) = self.streams.remove(&stream) {
                    heard.push(Heard::Cancelled(gone.token));
                }
            }
            SETTINGS if flags & ACK == 0 => self.on_settings(content),
            PING if flags & ACK == 0 => {
                put_frame(&mut self.output, PING, ACK, 0, &content);
            }
            GOAWAY => heard.push(Heard::Last),
            WINDOW_UPDATE => {
                let more = i64::from(content.get_u32() & 0x7fff_ffff);
                match self.streams.get_mut(&stream) {
                    Some(found) => found.window += more,
                    None if stream == 0 => self.window += more,
                    None => {}
                }
                self.pump();
            }
            _ => {}
        }
        Ok(())
    }

    fn on_settings(&mut self, mut content: Bytes) {
        while content.len() >= 6 {
            let (name, value) = (content.get_u16(), i64::from(content.get_u32()));
            if name == 4 {
                let more = value - self.first_window;
                self.first_window = value;
                self.streams.values_mut().for_each(|stream| stream.window += more);
            }
        }
        put_frame(&mut self.output, SETTINGS, ACK, 0, &[]);
        self.pump();
    }

    fn on_data(&mut self, flags: u8, id: u32, content: Bytes, heard: &mut Vec<Heard>) -> Verdict {
        let length = content.len() as i64;
        self.credit -= length;
        require(self.credit >= 0, || "a member sends more than the connection's window".into())?;
        if self.credit < WINDOW / 2 {
            let more = WINDOW - self.credit;
            self.credit = WINDOW;
            put_frame(&mut self.output, WINDOW_UPDATE, 0, 0, &(more as u32).to_be_bytes());
        }
        let granted = self.granted;
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        require(stream.answered, || "data comes before its head".into())?;
        stream.credit -= length;
        require(stream.credit >= 0, || "a member sends more than a stream's window".into())?;
        let token = stream.token;
        if flags & END_STREAM == 0 && stream.credit <= granted / 2 {
            let more = granted - stream.credit;
            stream.credit = granted;
            put_frame(&mut self.output, WINDOW_UPDATE, 0, id, &(more as u32).to_be_bytes());
        }
        heard.push(Heard::Body(token, content));
        if flags & END_STREAM != 0 {
            self.streams.remove(&id);
            heard.push(Heard::End(token, Vec::new()));
        }
        Ok(())
    }

    fn on_head(&mut self, heard: &mut Vec<Heard>) -> Verdict {
        let Some((id, flags, block)) = self.block.take() else { return Ok(()) };
        let mut fields: Fields = Vec::new();
        let decoded = self.decoder.decode(&block, |name, value| {
            let name = String::from_utf8_lossy(name).into_owned();
            fields.push((name, Bytes::copy_from_slice(value)));
        });
        require(decoded.is_ok(), || format!("a head cannot be read: {decoded:?}"))?;
        require(id < self.next, || format!("an answer on stream {id}, which was never opened"))?;
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        let token = stream.token;
        let first = !std::mem::replace(&mut stream.answered, true);
        let ends = flags & END_STREAM != 0;
        require(first || ends, || "trailers do not end the answer".into())?;
        let mut trailers = Vec::new();
        if first {
            let status = fields.iter().find(|(name, _)| name == ":status");
            let status = status.and_then(|(_, code)| std::str::from_utf8(code).ok()?.parse().ok());
            let status = status.ok_or_else(|| Violation("an answer has no status".into()))?;
            heard.push(Heard::Head(token, status, fields));
        } else {
            trailers = fields;
        }
        if ends {
            self.streams.remove(&id);
            heard.push(Heard::End(token, trailers));
        }
        Ok(())
    }
}

fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, content: &[u8]) {
    let length = u32::try_from(content.len()).expect("frames are small");
    out.put_slice(&length.to_be_bytes()[1..]);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(content);
}

/// A text of fewer than 127 bytes, as it is (RFC 7541, 5.2).
fn put_text(out: &mut BytesMut, text: &str) {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
    out.put_u8(length.expect("heads of calls are short"));
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        put_frame(&mut out, kind, flags, stream, content);
        out
    }

    fn talk() -> Talk {
        let mut talk = Talk::new(100);
        let call = Call {
            method: "POST",
            target: "/x".into(),
            media: "application/grpc",
            authorization: None,
            body: Bytes::from(vec![1; 70_000]),
        };
        talk.ask(7, &call);
        talk
    }

    #[test]
    fn a_body_waits_for_the_window() {
        let mut talk = talk();
        let sent = talk.output.len();
        assert!(sent > 65_535 && sent < 66_000);
        let more = 10_000_u32.to_be_bytes();
        let mut heard = Vec::new();
        for stream in [0, 1] {
            let update = frame(WINDOW_UPDATE, 0, stream, &more);
            talk.hear(&update, &mut heard).expect("a window may grow");
        }
        assert_eq!(talk.output.len() - sent, 70_000 - 65_535 + FRAME_HEAD_BYTES);
    }

    #[test]
    fn an_answer_is_a_head_data_and_trailers() {
        let mut talk = talk();
        let mut heard = Vec::new();
        for bytes in [
            frame(HEADERS, END_HEADERS, 1, &[0x88]),
            frame(DATA, 0, 1, b"abc"),
            frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\0\x01a\x01b"),
        ] {
            for byte in bytes {
                talk.hear(&[byte], &mut heard).expect("it is a good answer");
            }
        }
        let fields = |name: &str, value: &'static str| vec![(name.to_owned(), value.into())];
        let expected = [
            Heard::Head(7, 200, fields(":status", "200")),
            Heard::Body(7, "abc".into()),
            Heard::End(7, fields("a", "b")),
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn more_than_the_window_is_caught() {
        let mut talk = talk();
        let head = frame(HEADERS, END_HEADERS, 1, &[0x88]);
        talk.hear(&head, &mut Vec::new()).expect("a good head");
        let data = frame(DATA, 0, 1, &[0; 101]);
        assert!(talk.hear(&data, &mut Vec::new()).is_err());
    }
}
