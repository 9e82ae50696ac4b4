//! The production driver of [`quorra_net::host::Host`]: what only an operating system can give.
//!
//! The one idea: everything a member decides is decided in `quorra-core`, everything it says is
//! said in `quorra-net`; this crate waits, and carries bytes. One thread runs the `reactor` and
//! with it the whole member; beside it are only the two threads of the disk's lanes, the
//! two that hash passwords ([`workers`]), and short-lived ones that resolve names.
//!
//! A start, from top to bottom: [`flags`], the data directory, [`bootstrap`] (only for a member
//! without data), recovery, `reactor`. Deliberately absent: any decision about protocol or
//! consensus.

pub mod bootstrap;
pub mod client;
pub mod clock;
pub mod data_dir;
pub mod descriptors;
pub mod disk;
pub mod dns;
pub mod entropy;
pub mod flags;
pub mod logging;
pub mod network;
pub mod process;
pub mod proxy;
pub mod reactor;
pub mod start;
pub mod tls;
pub mod urls;
pub mod workers;

/// The release of etcd that clients take a member for: what `/version` and `Status` say.
pub const ETCD_VERSION: &str = "3.5.33";
