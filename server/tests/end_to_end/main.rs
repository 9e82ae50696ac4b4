//! The real binary, real sockets and real files: what no simulation can show.
//!
//! Few, and each about the whole: the product's main job under `kill -9`, starts and stops.

mod api;
mod cluster;
mod corpus;
mod discovery;
mod dns;
mod etcdctl;
mod front_door;
mod main_job;
mod members;
mod start_up;
