//! The programs under test: those of this build, or those in the directory `QUORRA_BINARIES`, so
//! that the same tests judge a release build.

/// The server.
pub(crate) fn quorra() -> String {
    at("quorra", env!("CARGO_BIN_EXE_quorra"))
}

/// The client.
pub(crate) fn quorractl() -> String {
    at("quorractl", env!("CARGO_BIN_EXE_quorractl"))
}

fn at(name: &str, built: &str) -> String {
    let chosen = std::env::var("QUORRA_BINARIES");
    chosen.map_or_else(|_| built.to_owned(), |directory| format!("{directory}/{name}"))
}
