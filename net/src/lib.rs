//! What a Quorra member *says*: its protocols, both APIs, and [`host::Host`], a whole etcd server
//! without an operating system.
//!
//! The one idea: a server is a function from bytes to bytes. A driver tells the host which bytes
//! came in on which connection, what the disk answered and what time it is; the host says which
//! bytes go out, which connections to open and what to write. Two drivers share it: `quorra`
//! (mio, files, threads) and `quorra-sim` (virtual everything).
//!
//! The invariant is the core's: no clock, socket, file, thread, randomness or hash map's order,
//! as far as anyone can observe.

pub mod api;
pub mod grpc;
pub mod host;
pub mod http;
pub mod http1;
pub mod http2;
pub mod json;
pub mod peer;
pub mod proto;
pub mod proxy;
pub mod tls;
