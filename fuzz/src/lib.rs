//! Hostile bytes for every parser, and for the whole server.
//!
//! The one idea: a target is a plain function of bytes. libFuzzer calls it with inputs that it
//! breeds for coverage (`fuzz/run`, behind the feature `libfuzzer`); `cargo test` calls it on
//! stable with the corpus and with a fixed number of mutations of each file (module `replay`).
//!
//! The invariant: a target returns for all bytes. It panics only where a rule of ours is broken:
//! an assertion inside the code under test, or one of the target's own properties. Those are: any
//! split of the bytes gives the same output, what is decoded and encoded again is the same, and
//! `check()` holds.
//!
//! Deliberately absent: any logic that the server needs. What gets hostile bytes past a checksum
//! (`reseal`) stands beside the format that it belongs to.

pub mod answer;
pub mod canary;
pub mod checkpoint;
pub mod command;
mod disk;
pub mod grpc;
pub mod host;
pub mod http1;
pub mod http2;
pub mod json;
pub mod log;
mod member;
pub mod peer;
mod pieces;
mod question;
pub mod replay;
pub mod replica;
pub mod tls;
pub mod v2;

/// What a target is: total, and the same for the same bytes.
pub type Target = fn(&[u8]);

/// The targets by the names of their corpora. The canary is not among them: it must fail.
pub const TARGETS: [(&str, Target); 13] = [
    ("answer", answer::run),
    ("checkpoint", checkpoint::run),
    ("command", command::run),
    ("grpc", grpc::run),
    ("host", host::run),
    ("http1", http1::run),
    ("http2", http2::run),
    ("json", json::run),
    ("log", log::run),
    ("peer", peer::run),
    ("replica", replica::run),
    ("tls", tls::run),
    ("v2", v2::run),
];
