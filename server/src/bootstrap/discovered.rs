//! First members that the flags do not list, but say where to find: at a discovery service, or in
//! a domain's service records.

use quorra_core::identity::MemberId;

use super::discovery::{self, DiscoveryError};
use super::initial_cluster::InitialCluster;
use super::{Start, described};
use crate::dns::{self, Resolver};
use crate::flags::{Config, Discovery, InitialState, ServiceRecords};
use crate::urls::{self, Url};

/// Who comes together at a discovery service, under its URL as the cluster's token.
pub(super) fn at_service(config: &Config, discovery: &Discovery) -> Result<Start, String> {
    if config.initial_state == InitialState::Existing {
        return Err("discovery URL should not be set when joining existing initial cluster".into());
    }
    let own = InitialCluster::of(&config.name, &config.advertise_peer_urls);
    own.check_unique()?;
    let peer_urls = urls::strings(&config.advertise_peer_urls);
    let id = MemberId::of_bootstrap(&peer_urls, &discovery.url);
    let list = match discovery::join(discovery, id, &own.print()) {
        Ok(list) => list,
        Err(DiscoveryError::Full(list)) if discovery.falls_back => {
            log::info!("discovery cluster is full, falling back to proxy");
            return Ok(Start::Proxy(InitialCluster::parse(&list)?.peer_urls()));
        }
        Err(error) => return Err(explained(config, discovery, &error)),
    };
    let cluster = InitialCluster::parse(&list)?;
    cluster
        .check_unique()
        .map_err(|_| format!("discovery cluster {} has duplicate url", cluster.print()))?;
    described(config, &cluster, &discovery.url).map(Start::Member)
}

/// What went wrong, and what to do about it, in etcd's words.
fn explained(config: &Config, discovery: &Discovery, error: &DiscoveryError) -> String {
    let (name, url) = (&config.name, &discovery.url);
    match error {
        DiscoveryError::DuplicateId => {
            log::info!("Please check the given data dir path if the previous bootstrap succeeded");
            log::info!("or use a new discovery token if the previous bootstrap failed.");
            format!(
                "member {name:?} has previously registered with discovery service token ({url}). \
                 But etcd could not find valid cluster configuration in the given data dir ({}).",
                config.data_dir.display()
            )
        }
        DiscoveryError::DuplicateName => {
            log::error!("please check (cURL) the discovery token for more information.");
            log::error!(
                "please do not reuse the discovery token and generate a new one to bootstrap \
                 the cluster."
            );
            format!(
                "member with duplicated name has registered with discovery service token({url}): \
                 {error}"
            )
        }
        _ => {
            log::info!("discovery token {url} was used, but failed to bootstrap the cluster.");
            log::info!("please generate a new discovery token and try to bootstrap again.");
            format!("failed to join discovery cluster ({error})")
        }
    }
}

/// The cluster that a proxy finds at a discovery service, once it is complete.
pub(super) fn watched(discovery: &Discovery) -> Result<InitialCluster, String> {
    let list = discovery::observe(discovery)
        .map_err(|error| format!("failed to get the discovery cluster ({error})"))?;
    InitialCluster::parse(&list)
}

/// The members that a domain's service records tell of; those at an URL of `own` by this member's
/// name.
pub(super) fn by_records(
    config: &Config,
    records: &ServiceRecords,
    own: &[Url],
) -> Result<InitialCluster, String> {
    let list = dns::server_cluster(&Resolver::system(), records, &config.name, own)
        .map_err(|reason| format!("error setting up initial cluster: {reason}"))?;
    InitialCluster::parse(&list)
}

/// The same, with this member among them.
pub(super) fn with_self(
    config: &Config,
    records: &ServiceRecords,
) -> Result<InitialCluster, String> {
    let cluster = by_records(config, records, &config.advertise_peer_urls)?;
    match cluster.urls_of(&config.name) {
        Ok(_) => Ok(cluster),
        Err(_) => Err(format!(
            "error setting up initial cluster: cannot find local etcd member {:?} in SRV records",
            config.name
        )),
    }
}
