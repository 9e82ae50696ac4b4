//! What the members of a running cluster tell a newcomer: `GET /members` on their peer port.

use std::fmt;
use std::time::Duration;

use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::store::membership::Member;
use serde_json::Value;

use super::initial_cluster::same_addresses;
use crate::client::{self, Answer, Request};
use crate::tls::ClientTls;
use crate::urls::Url;

/// What each peer is asked.
const MEMBERS: Request<'_> =
    Request { method: "GET", path: "/members", content_type: "", body: b"" };

/// What only etcd's members answer with success: there peers probe each other.
const PROBE: Request<'_> =
    Request { method: "GET", path: "/raft/probing", content_type: "", body: b"" };

/// Whether the first of these peers that answers is a member of etcd's, with whom no member of
/// ours can speak.
pub(super) fn is_etcds(peers: &[Url], tls: Option<&ClientTls>, timeout: Duration) -> bool {
    let mut answers =
        peers.iter().filter_map(|peer| client::exchange_by(tls, peer, &PROBE, timeout).ok());
    answers.next().is_some_and(|answer| answer.status == 200)
}

/// A cluster as one of its members describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Running {
    /// Its id.
    pub(super) cluster: ClusterId,
    members: Vec<Member>,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{ClusterID:{} Members:[", self.cluster)?;
        for (position, member) in self.members.iter().enumerate() {
            let blank = if position == 0 { "" } else { " " };
            write!(f, "{blank}{}:{}", member.id, member.peer_urls.join(","))?;
        }
        f.write_str("] RemovedMemberIDs:[]}")
    }
}

impl Running {
    /// Asks the peers in turn; the first good answer counts.
    pub(super) fn fetch(peers: &[Url], tls: Option<&ClientTls>, timeout: Duration) -> Option<Self> {
        peers.iter().find_map(|peer| {
            let described = client::exchange_by(tls, peer, &MEMBERS, timeout)
                .map_err(|error| error.to_string())
                .and_then(|answer| Self::read(&answer).ok_or_else(|| "unreadable".to_string()));
            if let Err(error) = &described {
                log::debug!(peer:% = peer, error = error.as_str(); "no member list from a peer");
            }
            described.ok()
        })
    }

    fn read(answer: &Answer) -> Option<Self> {
        if answer.status != 200 {
            return None;
        }
        let cluster = u64::from_str_radix(answer.header("x-etcd-cluster-id")?, 16).ok()?;
        let Value::Array(listed) = serde_json::from_slice(&answer.body).ok()? else { return None };
        let members = listed.iter().map(member).collect::<Option<Vec<_>>>()?;
        Some(Self { cluster: ClusterId(cluster), members })
    }

    /// Whether that member has told the cluster where clients reach it.
    pub(super) fn has_published(&self, id: MemberId) -> bool {
        self.members.iter().any(|member| member.id == id && !member.client_urls.is_empty())
    }

    /// Pairs each running member with a listed one by their peer URLs: the running one's id, the
    /// listed one's name.
    pub(super) fn match_members(&self, listed: &[Member]) -> Result<Vec<Member>, String> {
        if listed.len() != self.members.len() {
            return Err("member count is unequal".into());
        }
        let mut unmatched: Vec<&Member> = listed.iter().collect();
        let mut matched = Vec::new();
        for member in &self.members {
            let mut last = String::new();
            let position = unmatched.iter().position(|candidate| {
                same_members(candidate, member).map_err(|reason| last = reason).is_ok()
            });
            let Some(position) = position else {
                return Err(format!(
                    "PeerURLs: no match found for existing member ({}, [{}]), last resolver \
                     error ({last})",
                    member.id,
                    member.peer_urls.join(" ")
                ));
            };
            let name = unmatched.remove(position).name.clone();
            matched.push(Member { name, ..member.clone() });
        }
        Ok(matched)
    }
}

fn same_members(left: &Member, right: &Member) -> Result<(), String> {
    if left.peer_urls == right.peer_urls {
        return Ok(());
    }
    let urls = |member: &Member| Url::parse_list(&member.peer_urls.join(","));
    same_addresses(&urls(left)?, &urls(right)?)
}

fn member(value: &Value) -> Option<Member> {
    let texts = |key: &str| -> Option<Vec<String>> {
        let Some(Value::Array(items)) = value.get(key) else { return Some(Vec::new()) };
        items.iter().map(|item| item.as_str().map(str::to_string)).collect()
    };
    let mut peer_urls = texts("peerURLs")?;
    peer_urls.sort();
    Some(Member {
        id: MemberId(value.get("id")?.as_u64()?),
        name: value.get("name").and_then(Value::as_str).unwrap_or_default().to_string(),
        peer_urls,
        client_urls: texts("clientURLs")?,
        is_learner: value.get("isLearner").and_then(Value::as_bool).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        let body = r#"[
            {"id":11,"peerURLs":["http://10.0.0.1:1"],"name":"x","clientURLs":["http://10.0.0.1:2"]},
            {"id":12,"peerURLs":["http://10.0.0.2:1"],"name":"","clientURLs":null}]"#;
        let headers = vec![("x-etcd-cluster-id".to_string(), "2a".to_string())];
        let answer = Answer { status: 200, headers, body: body.into() };
        Running::read(&answer).expect("what etcd's peers answer")
    }

    fn listed(urls: &[&str]) -> Vec<Member> {
        let member = |(position, url): (usize, &&str)| Member {
            id: MemberId(0),
            name: format!("n{position}"),
            peer_urls: vec![(*url).to_string()],
            client_urls: Vec::new(),
            is_learner: false,
        };
        urls.iter().enumerate().map(member).collect()
    }

    #[test]
    fn a_member_is_bootstrapped_once_its_client_urls_are_known() {
        assert_eq!(running().cluster, ClusterId(42));
        assert!(running().has_published(MemberId(11)));
        assert!(!running().has_published(MemberId(12)));
    }

    #[test]
    fn running_members_keep_their_ids_and_get_the_listed_names() {
        let matched = running()
            .match_members(&listed(&["http://10.0.0.2:1", "http://10.0.0.1:1"]))
            .expect("the same URLs in another order");
        let pairs: Vec<_> = matched.iter().map(|member| (member.id.0, &*member.name)).collect();
        assert_eq!(pairs, [(11, "n1"), (12, "n0")]);
    }

    #[test]
    fn lists_that_do_not_match_the_cluster_are_refused() {
        assert_eq!(
            running().match_members(&listed(&["http://10.0.0.1:1"])),
            Err("member count is unequal".into())
        );
        let error = running()
            .match_members(&listed(&["http://10.0.0.1:1", "http://10.0.0.3:1"]))
            .expect_err("10.0.0.2 is not listed");
        assert_eq!(
            error,
            "PeerURLs: no match found for existing member (c, [http://10.0.0.2:1]), last resolver \
             error (resolved urls: \"http://10.0.0.3:1\" != \"http://10.0.0.2:1\")"
        );
    }
}
