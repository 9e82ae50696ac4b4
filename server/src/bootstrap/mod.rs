//! The first start of a member without data: who the members of its cluster are.
//!
//! Everything is checked before anything is written, in etcd's order and with etcd's words. A
//! member that has data never comes here: its initial flags are ignored.

mod discovered;
mod discovery;
mod initial_cluster;
mod running;

use std::time::Duration;

use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::replica::Bootstrap;

use crate::flags::{Config, InitialState};
use crate::tls::ClientTls;
use crate::urls::{self, Url};
use initial_cluster::InitialCluster;
use running::Running;

/// How long peers may take to say whether this member was started before (etcd).
const BOOTSTRAPPED_TIMEOUT: Duration = Duration::from_secs(1);
/// How long each peer may take to say who the members are (etcd).
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// What becomes of a first start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A member with this first configuration.
    Member(Bootstrap),
    /// The cluster that it came for is full: a v2 proxy in front of the members, which are at
    /// these peer URLs.
    Proxy(Vec<Url>),
}

/// What this start becomes, or why the flags and the other members allow nothing. `tls` is how the
/// other members are asked.
pub fn checked(config: &Config, tls: Option<&ClientTls>) -> Result<Start, String> {
    match &config.discovery {
        Some(discovery) => discovered::at_service(config, discovery),
        None => listed(config, tls).map(Start::Member),
    }
}

/// Where a proxy finds the members of its cluster: the peer URLs of all of them.
pub fn peer_urls(config: &Config) -> Result<Vec<Url>, String> {
    let cluster = match (&config.discovery, &config.service_records) {
        (Some(discovery), _) => discovered::watched(discovery)?,
        (None, Some(records)) => discovered::by_records(config, records, &[])?,
        (None, None) => InitialCluster::parse(&config.initial_cluster)?,
    };
    Ok(cluster.peer_urls())
}

fn listed(config: &Config, tls: Option<&ClientTls>) -> Result<Bootstrap, String> {
    let cluster = match &config.service_records {
        Some(records) => discovered::with_self(config, records)?,
        None => InitialCluster::parse(&config.initial_cluster)?,
    };
    match config.initial_state {
        InitialState::New => form(config, &cluster, tls),
        InitialState::Existing => join(config, &cluster, tls),
    }
}

/// The first configuration of a new cluster as the flags alone describe it.
pub fn from_flags(config: &Config) -> Result<Bootstrap, String> {
    let cluster = InitialCluster::parse(&config.initial_cluster)?;
    let described = described(config, &cluster, &config.token)?;
    Ok(match config.initial_state {
        InitialState::New => described,
        // Its log comes from the cluster that it joins, even if it died before any of it came.
        InitialState::Existing => Bootstrap { members: Vec::new(), ..described },
    })
}

fn described(config: &Config, cluster: &InitialCluster, token: &str) -> Result<Bootstrap, String> {
    let own = urls::strings(cluster.urls_of(&config.name)?);
    let mut members = cluster.members(token)?;
    // A member is started once it has published its name itself.
    members.iter_mut().for_each(|member| member.name.clear());
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    let member = MemberId::of_bootstrap(&own, token);
    Ok(Bootstrap { cluster: ClusterId::of(&ids), member, members })
}

/// A new cluster: all its members start from the same list.
fn form(
    config: &Config,
    cluster: &InitialCluster,
    tls: Option<&ClientTls>,
) -> Result<Bootstrap, String> {
    cluster.urls_of(&config.name)?;
    cluster.check_advertised(&config.name, &config.advertise_peer_urls)?;
    cluster.check_unique()?;
    let bootstrap = described(config, cluster, &config.token)?;
    let running = Running::fetch(&cluster.others(&config.name), tls, BOOTSTRAPPED_TIMEOUT);
    if running.is_some_and(|running| running.has_published(bootstrap.member)) {
        return Err(format!("member {} has already been bootstrapped", bootstrap.member));
    }
    Ok(bootstrap)
}

/// A running cluster: its ids count, and the list must match it member by member. The log comes
/// from there as well.
fn join(
    config: &Config,
    cluster: &InitialCluster,
    tls: Option<&ClientTls>,
) -> Result<Bootstrap, String> {
    cluster.urls_of(&config.name)?;
    cluster.check_unique()?;
    let running = Running::fetch(&cluster.others(&config.name), tls, JOIN_TIMEOUT).ok_or(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from \
         the given URLs",
    )?;
    let listed = cluster.members(&config.token)?;
    let matched = running
        .match_members(&listed)
        .map_err(|reason| format!("error validating peerURLs {running}: {reason}"))?;
    let own = matched
        .iter()
        .find(|member| member.name == config.name)
        .expect("each member of the list was matched, this one among them");
    if running::is_etcds(&cluster.others(&config.name), tls, JOIN_TIMEOUT) {
        return Err(
            "incompatible with current running cluster: its members are etcd's, which speak \
                    another protocol among themselves; members of both cannot form one cluster"
                .into(),
        );
    }
    if running.has_published(own.id) {
        // What it has voted for and acknowledged is gone: it must not come back as who it was.
        return Err(format!(
            "member {0} has already been bootstrapped: to start it again without its data, remove \
             it (\"member remove {0}\") and add it as a new member",
            own.id
        ));
    }
    Ok(Bootstrap { cluster: running.cluster, member: own.id, members: Vec::new() })
}
