//! `--initial-cluster`: the first members by name, and whether it agrees with this member's flags.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quorra_core::identity::MemberId;
use quorra_core::store::membership::Member;

use crate::urls::{self, Url};

/// How long names are resolved anew before a mismatch is final (etcd).
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);

/// The first members: their peer URLs by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InitialCluster(BTreeMap<String, Vec<Url>>);

impl InitialCluster {
    /// Reads `NAME=URL,NAME=URL,..`; a name with several URLs stands several times.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut members = BTreeMap::<String, Vec<Url>>::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, url) = part.split_once('=').unwrap_or(("", part));
            if name.is_empty() {
                return Err(format!("initial cluster has {part:?}, which is not NAME=URL"));
            }
            if url.is_empty() {
                return Err(format!("empty URL given for {name:?}"));
            }
            members.entry(name.to_string()).or_default().push(Url::parse(url)?);
        }
        for urls in members.values_mut() {
            urls.sort_by_cached_key(Url::to_string);
        }
        match members.is_empty() {
            true => Err("initial cluster unset and no discovery URL found".into()),
            false => Ok(Self(members)),
        }
    }

    /// A cluster of one member.
    pub(super) fn of(name: &str, urls: &[Url]) -> Self {
        Self(BTreeMap::from([(name.to_string(), urls.to_vec())]))
    }

    /// How many members it names.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// `NAME=URL,..` in the order of the names.
    pub(super) fn print(&self) -> String {
        let pair = |(name, url): (&String, &Url)| format!("{name}={url}");
        let all = self.0.iter().flat_map(|(name, urls)| urls.iter().map(move |url| (name, url)));
        all.map(pair).collect::<Vec<_>>().join(",")
    }

    /// The peer URLs of the member of that name.
    pub(super) fn urls_of(&self, name: &str) -> Result<&[Url], String> {
        let missing =
            || format!("couldn't find local name {name:?} in the initial cluster configuration");
        self.0.get(name).map(Vec::as_slice).ok_or_else(missing)
    }

    /// No two members, and no member twice, may be reached at one URL.
    pub(super) fn check_unique(&self) -> Result<(), String> {
        let mut all: Vec<&Url> = self.0.values().flatten().collect();
        let count = all.len();
        all.sort();
        all.dedup();
        match all.len() == count {
            true => Ok(()),
            false => Err(format!("initial cluster {} has duplicate url", self.print())),
        }
    }

    /// The URLs of all members.
    pub(super) fn peer_urls(&self) -> Vec<Url> {
        self.0.values().flatten().cloned().collect()
    }

    /// The URLs of all members but the one of that name.
    pub(super) fn others(&self, name: &str) -> Vec<Url> {
        let others = self.0.iter().filter(|(member, _)| *member != name);
        others.flat_map(|(_, urls)| urls.clone()).collect()
    }

    /// The members with the ids that all of them derive.
    pub(super) fn members(&self, token: &str) -> Result<Vec<Member>, String> {
        let mut members = BTreeMap::new();
        for (name, urls) in &self.0 {
            let peer_urls = urls::strings(urls);
            let id = MemberId::of_bootstrap(&peer_urls, token);
            let member = Member {
                id,
                name: name.clone(),
                peer_urls,
                client_urls: Vec::new(),
                is_learner: false,
            };
            if members.insert(id, member).is_some() {
                return Err(format!("member exists with identical ID {id}"));
            }
        }
        Ok(members.into_values().collect())
    }

    /// The flags of the member of that name say the same as the cluster's list: as text, or once
    /// the host names are resolved.
    pub(super) fn check_advertised(&self, name: &str, advertised: &[Url]) -> Result<(), String> {
        let listed = self.urls_of(name)?;
        if advertised == listed {
            return Ok(());
        }
        let Err(difference) = same_addresses(advertised, listed) else {
            return Ok(());
        };
        let missing = |from: &[Url], inside: &[Url], prefix: &str| {
            let missing = from.iter().filter(|url| !inside.contains(url));
            missing.map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
        };
        let unlisted = missing(listed, advertised, &format!("{name}="));
        if !unlisted.is_empty() {
            return Err(format!(
                "--initial-cluster has {unlisted} but missing from \
                 --initial-advertise-peer-urls={} ({difference})",
                urls::join(advertised)
            ));
        }
        let cluster = Self(BTreeMap::from([(name.to_string(), listed.to_vec())])).print();
        let unadvertised = missing(advertised, listed, "");
        if !unadvertised.is_empty() {
            return Err(format!(
                "--initial-advertise-peer-urls has {unadvertised} but missing from \
                 --initial-cluster={cluster}"
            ));
        }
        Err(format!(
            "failed to resolve {} to match --initial-cluster={cluster} ({difference})",
            urls::join(advertised)
        ))
    }
}

/// Whether two lists of URLs reach the same addresses; if not, where they differ first.
pub(super) fn same_addresses(left: &[Url], right: &[Url]) -> Result<(), String> {
    if left.len() != right.len() {
        return Err(format!("len({:?}) != len({:?})", urls::join(left), urls::join(right)));
    }
    let deadline = Instant::now() + RESOLVE_TIMEOUT;
    let resolve_all = |urls: &[Url]| -> Result<Vec<(SocketAddr, String)>, String> {
        let mut all = Vec::new();
        for url in urls {
            all.push((resolve(url, deadline)?, url.to_string()));
        }
        all.sort();
        Ok(all)
    };
    for (left, right) in resolve_all(left)?.into_iter().zip(resolve_all(right)?) {
        if left.0 != right.0 {
            let shown = |(address, url): (SocketAddr, String)| match url {
                same if same == format!("http://{address}") => format!("{same:?}"),
                name => format!("\"http://{address}\"(resolved from {name:?})"),
            };
            return Err(format!("resolved urls: {} != {}", shown(left), shown(right)));
        }
    }
    Ok(())
}

/// The first address of a URL. A name server that is down may come up while we wait.
fn resolve(url: &Url, deadline: Instant) -> Result<SocketAddr, String> {
    const PAUSE: Duration = Duration::from_secs(1);
    loop {
        let reason = match url.resolve() {
            Ok(addresses) => match addresses.first() {
                Some(address) => return Ok(*address),
                None => "no address".to_string(),
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() + PAUSE > deadline {
            return Err(format!("failed to resolve {url}: {reason}"));
        }
        log::warn!(url:% = url, error = reason.as_str(); "failed to resolve a host name; retrying");
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> InitialCluster {
        InitialCluster::parse(text).expect(text)
    }

    #[test]
    fn several_urls_of_a_member_are_one_member() {
        let cluster = parse("a=http://10.0.0.1:2,b=http://10.0.0.2:1,a=http://10.0.0.1:1");
        let urls = cluster.urls_of("a").expect("a is listed");
        assert_eq!(urls::join(urls), "http://10.0.0.1:1,http://10.0.0.1:2");
        assert_eq!(cluster.members("t").map(|members| members.len()), Ok(2));
        assert_eq!(urls::join(&cluster.others("a")), "http://10.0.0.2:1");
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        let error = |text| InitialCluster::parse(text).expect_err(text);
        assert_eq!(error(""), "initial cluster unset and no discovery URL found");
        assert_eq!(error("a="), "empty URL given for \"a\"");
        assert_eq!(
            error("http://10.0.0.1:1"),
            "initial cluster has \"http://10.0.0.1:1\", which is not NAME=URL"
        );
        assert_eq!(
            parse("a=http://10.0.0.1:1,b=http://10.0.0.1:1").check_unique(),
            Err("initial cluster a=http://10.0.0.1:1,b=http://10.0.0.1:1 has duplicate url".into())
        );
    }

    #[test]
    fn flags_that_disagree_with_the_list_are_told_apart() {
        let rows = [
            ("a=http://10.0.0.1:1", "http://10.0.0.1:1", Ok(())),
            ("a=http://localhost:1", "http://127.0.0.1:1", Ok(())),
            (
                "b=http://10.0.0.1:1",
                "http://10.0.0.1:1",
                Err("couldn't find local name \"a\" in the initial cluster configuration"),
            ),
            (
                "a=http://10.0.0.1:1",
                "http://10.0.0.2:1",
                Err("--initial-cluster has a=http://10.0.0.1:1 but missing from \
                     --initial-advertise-peer-urls=http://10.0.0.2:1 (resolved urls: \
                     \"http://10.0.0.2:1\" != \"http://10.0.0.1:1\")"),
            ),
            (
                "a=http://10.0.0.1:1",
                "http://10.0.0.1:1,http://10.0.0.2:1",
                Err("--initial-advertise-peer-urls has http://10.0.0.2:1 but missing from \
                     --initial-cluster=a=http://10.0.0.1:1"),
            ),
        ];
        for (cluster, advertised, expected) in rows {
            let advertised = Url::parse_list(advertised).expect("good URLs");
            let checked = parse(cluster).check_advertised("a", &advertised);
            assert_eq!(checked, expected.map_err(str::to_string), "{cluster}");
        }
    }
}
