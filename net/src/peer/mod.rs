//! How members talk to each other: a handshake, then checksummed frames.
