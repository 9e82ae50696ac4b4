//! One question to one server: over UDP, and over TCP if the answer does not fit.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::Reason;
use super::message::{Answer, Heard, Question};
use crate::entropy::Entropy;

/// The largest message there is.
const MESSAGE_BYTES_MAX: usize = u16::MAX as usize;

/// A number for a question, which nobody can guess.
pub(super) fn random_number() -> io::Result<u16> {
    let [low, high, ..] = Entropy::open()?.seed()?.to_le_bytes();
    Ok(u16::from_le_bytes([low, high]))
}

/// Asks a server, and waits that long for its answer.
pub(super) fn ask(
    server: SocketAddr,
    question: &Question,
    timeout: Duration,
) -> Result<Answer, Reason> {
    let deadline = Instant::now() + timeout;
    let unreachable = |error: io::Error| Reason::Unreachable(error.to_string());
    match over_udp(server, question, deadline).map_err(unreachable)? {
        Heard::Answer(answer) => answer,
        Heard::Truncated | Heard::Noise => {
            match over_tcp(server, question, deadline).map_err(unreachable)? {
                Heard::Answer(answer) => answer,
                Heard::Truncated => Err(Reason::Malformed("it is truncated over TCP too")),
                Heard::Noise => Err(Reason::Malformed("it answers another question")),
            }
        }
    }
}

/// What the server says; whatever else arrives is passed over, however much of it there is.
fn over_udp(server: SocketAddr, question: &Question, deadline: Instant) -> io::Result<Heard> {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    // The system picks a port that nobody can guess, and drops what others send.
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    socket.send(&question.bytes)?;
    let mut buffer = vec![0; MESSAGE_BYTES_MAX];
    loop {
        socket.set_read_timeout(Some(remaining(deadline)?))?;
        let count = socket.recv(&mut buffer).map_err(timed_out)?;
        match question.understand(&buffer[..count]) {
            Heard::Noise => {}
            heard => return Ok(heard),
        }
    }
}

/// The same over TCP, where each message comes behind its length (RFC 1035, 4.2.2).
fn over_tcp(server: SocketAddr, question: &Question, deadline: Instant) -> io::Result<Heard> {
    let mut stream = TcpStream::connect_timeout(&server, remaining(deadline)?)?;
    let length = u16::try_from(question.bytes.len()).expect("a name has at most 255 bytes");
    stream.set_write_timeout(Some(remaining(deadline)?))?;
    stream.write_all(&[&length.to_be_bytes()[..], &question.bytes].concat())?;
    let mut length = [0; 2];
    read_exact(&mut stream, &mut length, deadline)?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    read_exact(&mut stream, &mut message, deadline)?;
    Ok(question.understand(&message))
}

fn read_exact(stream: &mut TcpStream, mut bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        let count = stream.read(bytes).map_err(timed_out)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends too early"));
        }
        bytes = &mut bytes[count..];
    }
    Ok(())
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    match deadline.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout")),
    }
}

/// The system says of a blocking socket that ran out of time that it would block.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"),
        _ => error,
    }
}
