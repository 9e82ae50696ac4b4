//! HTTP/2, the server's side, over plaintext bytes (RFC 9113), as far as gRPC and plain requests
//! need it.
//!
//! [`Connection`] takes bytes and gives events, takes answers and gives bytes. It costs under a
//! microsecond a call: frames are read where they lie, header fields go into one block, answers
//! are encoded straight into the output, and nothing is ever polled: a stream is looked at when
//! something came in for it, or when it has data and its turn has come.
//!
//! Why not the crate h2, which is well kept? Polled by hand it took 4 us of CPU a call, half of
//! what a put may cost in all, and it hides PINGs, which etcd's keepalive rule has to count. It is
//! the twin of this module in the tests, where its client speaks to this server.
//!
//! What a peer can make it hold is bounded: header blocks, bodies that are not complete, the
//! number of streams, and the frames a second that carry nothing. What the peer does not read stays
//! in its answer until its windows and the output have room. Priorities are ignored (RFC 9113,
//! 5.3.2); there is no server push, and the encoder keeps no table.

mod connection;
mod frame;
mod head;
pub mod hpack;
mod incoming;
mod keepalive;
mod reader;
mod sender;
mod stream;
#[cfg(test)]
mod tests;

pub use connection::Connection;

/// What an HTTP/2 client sends first (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
