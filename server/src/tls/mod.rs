//! Certificates: which ones this process shows, and which ones it trusts.
//!
//! The one idea: a configuration is a value made from files, and made anew when the files change
//! (`reloading.rs`). Certificates, keys, authorities and revocation lists can
//! all be replaced under a running member; a file that cannot be used keeps the old value and is
//! told in the log.
//!
//! ```text
//! flags -> Settings -> ServerTls   what listeners do      reactor/handshakes.rs drives it
//!                   -> ClientTls   what dialing does      reactor/dialer.rs, client/
//! ```
//!
//! A connection that stands is not looked at again: a certificate that expires or is revoked opens
//! no new connection. Sessions are never resumed, because that would pass the check by.

mod authority;
mod client;
mod files;
pub(crate) mod origin;
mod protocol;
mod reason;
mod reloading;
mod self_signed;
mod server;
mod settings;

pub use client::{ClientSession, ClientTls, ClientTlsOptions};
pub use protocol::{Protocol, Version};
pub(crate) use reason::{readable, reason};
pub use self_signed::self_signed;
pub use server::ServerTls;
pub use settings::Settings;

#[cfg(test)]
mod tests;
