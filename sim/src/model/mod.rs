//! What correct stores would answer: a second, independent reading of etcd's rules.
//!
//! The models are sequential and keep everything: plain maps, linear scans, whole histories. They
//! share the vocabulary of requests and answers with the core, and no code beyond that.

pub mod auth;
pub mod members;
pub mod v2;
pub mod v3;
