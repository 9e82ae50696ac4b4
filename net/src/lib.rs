//! What a Quorra member *says*: its protocols, both APIs, and [`host::Host`], a whole etcd server
//! without an operating system.
