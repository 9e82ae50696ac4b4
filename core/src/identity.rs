//! Who is who: the ids of members and clusters, derived as etcd derives them.
//!
//! A member id is the first eight bytes, big-endian, of SHA-1 over its sorted peer URLs, the
//! cluster's token and, for members added at run time, the decimal Unix time. A cluster id is the
//! same over the ascending ids of its first members. So every member of a new cluster computes the
//! same ids from the same flags, without talking to anyone.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// The id of a member. Zero is nobody.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MemberId(pub u64);

/// The id of a cluster; fixed when the cluster is first formed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct ClusterId(pub u64);

/// Numbers the starts of one member, upwards: none is ever used again.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Incarnation(pub u64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl MemberId {
    /// The id of a member of the first configuration.
    #[must_use]
    pub fn of_bootstrap(peer_urls: &[String], token: &str) -> Self {
        Self::derive(peer_urls, token, None)
    }

    /// The id of a member added at run time: the token is empty, the time counts.
    #[must_use]
    pub fn of_added(peer_urls: &[String], unix_seconds: i64) -> Self {
        Self::derive(peer_urls, "", Some(unix_seconds))
    }

    fn derive(peer_urls: &[String], token: &str, unix_seconds: Option<i64>) -> Self {
        let mut sorted: Vec<&String> = peer_urls.iter().collect();
        sorted.sort();
        let mut hash = Sha1::new();
        sorted.iter().for_each(|url| hash.update(url.as_bytes()));
        hash.update(token.as_bytes());
        if let Some(seconds) = unix_seconds {
            hash.update(seconds.to_string().as_bytes());
        }
        Self(first_eight(hash))
    }
}

impl ClusterId {
    /// The id of a cluster that these members form first.
    #[must_use]
    pub fn of(members: &[MemberId]) -> Self {
        let mut sorted = members.to_vec();
        sorted.sort();
        let mut hash = Sha1::new();
        sorted.iter().for_each(|member| hash.update(member.0.to_be_bytes()));
        Self(first_eight(hash))
    }
}

fn first_eight(hash: Sha1) -> u64 {
    let digest: [u8; 20] = hash.finalize().into();
    let (head, _) = digest.split_first_chunk::<8>().expect("a SHA-1 digest has 20 bytes");
    u64::from_be_bytes(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows recorded from a real etcd (its behaviour, reference section on ids).
    #[test]
    fn ids_are_etcds() {
        let one = |url: &str, token| MemberId::of_bootstrap(&[url.to_string()], token);
        let rows = [
            (
                &["http://localhost:2380"][..],
                "etcd-cluster",
                &["8e9e05c52164694d"][..],
                "cdf818194e3a8c32",
            ),
            (
                &["http://127.0.0.1:21002"],
                "etcd-cluster",
                &["6d9b916f3baf8a3e"],
                "db5ec434d3beeac9",
            ),
            (
                &["http://127.0.0.1:21101", "http://127.0.0.1:21103", "http://127.0.0.1:21105"],
                "cl",
                &["fc128df332d3afe5", "4dab5883d11b1ad0", "79cd481cfa7ccded"],
                "1daf23caa59f43be",
            ),
        ];
        for (urls, token, members, cluster) in rows {
            let ids: Vec<MemberId> = urls.iter().map(|url| one(url, token)).collect();
            let printed: Vec<String> = ids.iter().map(ToString::to_string).collect();
            assert_eq!(printed, members);
            assert_eq!(ClusterId::of(&ids).to_string(), cluster);
        }
    }
}
