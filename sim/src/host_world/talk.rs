//! What a client and a member say to each other, whatever the protocol: calls, and answers that
//! come in parts.

use bytes::{Bytes, BytesMut};

use super::http1;
use super::http2;
use crate::check::Violation;

/// Names a call on one connection, in the order of their asking.
pub(super) type Token = u64;

/// A request, as far as protocols are concerned.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) media: &'static str,
    /// Who asks, as the field `Authorization` says it.
    pub(super) authorization: Option<String>,
    pub(super) body: Bytes,
}

/// Fields of a head or of trailers, names in lower case.
pub(super) type Fields = Vec<(String, Bytes)>;

/// A part of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// An answer begins.
    Head(Token, u16, Fields),
    /// A part of its body.
    Body(Token, Bytes),
    /// It is whole.
    End(Token, Fields),
    /// It will never be.
    Cancelled(Token),
    /// The member takes no more calls on this connection.
    Last,
}

/// One connection, from the client's side.
#[derive(Debug)]
pub(super) enum Talk {
    Http1(http1::Talk),
    Http2(http2::Talk),
}

impl Talk {
    /// Puts a call into the output.
    pub(super) fn ask(&mut self, token: Token, call: &Call) {
        match self {
            Self::Http1(talk) => talk.ask(token, call),
            Self::Http2(talk) => talk.ask(token, call),
        }
    }

    /// What is to be sent.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        match self {
            Self::Http1(talk) => &mut talk.output,
            Self::Http2(talk) => &mut talk.output,
        }
    }

    /// These bytes came.
    ///
    /// # Errors
    /// When a member must not have said so.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Heard>, Violation> {
        let mut heard = Vec::new();
        match self {
            Self::Http1(talk) => talk.hear(bytes, &mut heard)?,
            Self::Http2(talk) => talk.hear(bytes, &mut heard)?,
        }
        Ok(heard)
    }

    /// The answer is not wanted any more. False if only leaving says so.
    pub(super) fn cancel(&mut self, token: Token) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(talk) => {
                talk.cancel(token);
                true
            }
        }
    }
}

/// A field's text.
pub(super) fn field<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(known, _)| known == name);
    found.and_then(|(_, value)| std::str::from_utf8(value).ok())
}
