//! TLS as a filter below the [`host`](crate::host): ciphertext in, plaintext out, and back.
//!
//! The one idea: the host knows nothing of TLS. A driver that reads from a socket passes the bytes
//! through a [`Filter`] before it gives them to its host, and what the host has to say before it
//! writes it. Which certificates count is the driver's to configure; this module only turns them
//! into the [`Identity`](crate::host::Identity) that the host is told.
//!
//! The invariant: a filter holds no more than one record that is not complete, and no more output
//! than it was given at once. Ciphertext is taken in whole; plaintext is taken only while no output
//! waits, so that a client that does not read is seen by the host and not by the filter.
//!
//! It draws randomness (rustls does, for its handshakes): that is why it lies below the host, and
//! why the simulator has none.

mod identity;

pub use identity::{identity, is_in_force};

use std::io::{self, Read, Write};

use rustls::Connection;
use rustls::pki_types::CertificateDer;

/// The ciphertext that may be given to [`Filter::receive`] at once, so that the plaintext it makes,
/// a record from before included, is what a host takes at once.
pub const RECEIVED_BYTES_MAX: usize = 32 << 10;
/// The plaintext that is taken at once.
pub const SENT_BYTES_MAX: usize = 64 << 10;

/// One connection's TLS.
#[derive(Debug)]
pub struct Filter {
    connection: Connection,
    /// The other side has said that it sends no more.
    ended: bool,
    /// This side has.
    closed: bool,
}

impl Filter {
    /// A filter for either side, before its handshake or behind it.
    #[must_use]
    pub fn new(connection: impl Into<Connection>) -> Self {
        let mut connection = connection.into();
        connection.set_buffer_limit(Some(SENT_BYTES_MAX));
        Self { connection, ended: false, closed: false }
    }

    /// Whether it has still to agree with the other side.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the other side has said that it sends no more. An end of the wire without that is
    /// a connection that was cut.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The certificate that the other side has shown and that was verified.
    #[must_use]
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates().and_then(|chain| chain.first())
    }

    /// Takes in ciphertext and appends the plaintext that it makes. After an error the connection
    /// is of no more use; what [`Self::write_to`] still has tells the other side why.
    pub fn receive(
        &mut self,
        mut ciphertext: &[u8],
        plaintext: &mut Vec<u8>,
    ) -> Result<(), rustls::Error> {
        while !ciphertext.is_empty() && !self.ended {
            if self.connection.read_tls(&mut ciphertext).is_err() {
                // A slice does not fail: it is a handshake that is longer than any may be.
                return Err(rustls::Error::General("a handshake message is too large".into()));
            }
            self.take_plaintext(plaintext)?;
        }
        Ok(())
    }

    /// Appends the plaintext that is here already: a handshake may have read beyond its end.
    pub fn take_plaintext(&mut self, plaintext: &mut Vec<u8>) -> Result<(), rustls::Error> {
        let state = self.connection.process_new_packets()?;
        self.ended = state.peer_has_closed();
        let start = plaintext.len();
        plaintext.resize(start + state.plaintext_bytes_to_read(), 0);
        self.connection
            .reader()
            .read_exact(&mut plaintext[start..])
            .expect("what has been counted can be read");
        Ok(())
    }

    /// Takes as much plaintext as fits into the output; how much that was.
    pub fn send(&mut self, plaintext: &[u8]) -> usize {
        self.connection.writer().write(plaintext).expect("a filter's writer only fills memory")
    }

    /// Whether ciphertext waits to be written.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.connection.wants_write()
    }

    /// Writes ciphertext once; how much the wire took.
    pub fn write_to(&mut self, wire: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(wire)
    }

    /// Says that no more will be sent. Adds to the output.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
        self.closed = true;
    }

    /// Whether it was told to close.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests;
