//! The real binary, real sockets and real files: what no simulation can show.
//!
//! Few, and each about the whole: the product's main job under `kill -9`, starts and stops.

mod api;
mod auth;
mod binaries;
mod cluster;
mod configuration;
mod discovery;
mod dns;
mod etcdctl;
mod front_door;
mod main_job;
mod members;
mod profiles;
mod protobuf;
mod proxy;
mod quorractl;
mod start_up;
mod tls;
mod wire;

#[path = "../../../net/tests/v2_corpus/json.rs"]
mod json;
#[path = "../../../net/tests/v2_corpus/scenario.rs"]
mod scenario;
#[path = "../../../net/tests/v2_corpus/server.rs"]
mod server;
