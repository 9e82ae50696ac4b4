//! `--discovery`: the members of a new cluster find each other at a discovery service.
//!
//! Whoever makes the token says how large the cluster is. Each member adds itself to the token's
//! directory and waits until as many have come; the first to come are the cluster, in the order
//! in which the service saw them. etcd's members and ours speak the same at this point, but the
//! clusters that follow do not mix.
//!
//! Trouble on the way to the service is waited out, for ever: a whole rack that starts before its
//! service does must come up. What the service *says* is final.

mod endpoint;
mod registry;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use quorra_core::identity::MemberId;

use super::initial_cluster::InitialCluster;
use crate::flags::Discovery;
use endpoint::Endpoint;
use registry::{Entry, Fault, Registry};

/// The pauses grow from 2 s to 2^8 s (etcd).
const LONGEST_PAUSE: u32 = 8;
/// The number of "Key already exists" in etcd's table.
const NODE_EXISTS: u64 = 105;
/// The number of "Event index cleared" in etcd's table.
const INDEX_CLEARED: u64 = 401;

/// Why a member cannot join by discovery. The texts are etcd's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DiscoveryError {
    /// The flags name no service.
    Flag(String),
    /// The size is no number above zero.
    BadSize,
    /// This member is registered already, by an earlier start.
    DuplicateId,
    /// As many members as the cluster has were there before: their list, if it makes sense.
    Full(String),
    /// Two members have one name.
    DuplicateName,
    /// A registration is no list of a member's URLs.
    InvalidUrl,
    /// What answers there is no discovery service.
    BadEndpoint,
    /// An error of the service.
    Refused(String),
}

impl fmt::Display for DiscoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadSize => "discovery: size key is bad",
            Self::DuplicateId => "discovery: found duplicate id",
            Self::Full(_) => "discovery: cluster is full",
            Self::DuplicateName => "discovery: found duplicate name",
            Self::InvalidUrl => "discovery: invalid URL",
            Self::BadEndpoint => "discovery: bad discovery endpoint",
            Self::Flag(text) | Self::Refused(text) => text,
        })
    }
}

/// Registers a member under its id, with `NAME=URL,..`, and waits for the others; the list of all.
pub(super) fn join(
    discovery: &Discovery,
    id: MemberId,
    value: &str,
) -> Result<String, DiscoveryError> {
    Joining::new(discovery, id)?.join(value)
}

/// Waits for the members of a cluster that this process will be no member of; the list of them.
pub(super) fn observe(discovery: &Discovery) -> Result<String, DiscoveryError> {
    // No member has this id.
    let mut observing = Joining::new(discovery, MemberId(0))?;
    let looked = observing.look("cluster status check").and_then(|look| observing.wait(look));
    match looked {
        Err(DiscoveryError::Full(list)) => Ok(list),
        looked => looked.and_then(|look| cluster_of(&look.members, look.size)),
    }
}

/// A member on its way into a cluster.
struct Joining {
    registry: Registry,
    /// The discovery URL, for the operator.
    place: String,
    id: String,
    /// Pauses in a row.
    retries: u32,
    pause: fn(Duration),
}

/// The registry at one moment.
struct Look {
    /// The first members of the cluster, in the order of their coming.
    members: Vec<Entry>,
    size: usize,
    index: u64,
}

impl Joining {
    fn new(discovery: &Discovery, id: MemberId) -> Result<Self, DiscoveryError> {
        let endpoint = Endpoint::parse(&discovery.url).map_err(DiscoveryError::Flag)?;
        let proxy = discovery.proxy.as_deref().map(endpoint::proxy).transpose();
        let proxy = proxy.map_err(DiscoveryError::Flag)?;
        let place = endpoint.to_string();
        let registry = Registry::new(endpoint, proxy);
        Ok(Self { registry, place, id: id.to_string(), retries: 0, pause: std::thread::sleep })
    }

    fn join(mut self, value: &str) -> Result<String, DiscoveryError> {
        // A full cluster is not registered with.
        self.look("cluster status check")?;
        self.register(value)?;
        let look = self.look("cluster status check")?;
        let look = self.wait(look)?;
        cluster_of(&look.members, look.size)
    }

    /// Looks who is there, until the service answers.
    fn look(&mut self, step: &str) -> Result<Look, DiscoveryError> {
        loop {
            let looked = self.registry.size().and_then(|size| {
                let (members, index) = self.registry.members()?;
                Ok((size, members, index))
            });
            if let Some((size, members, index)) = self.patiently(step, looked)? {
                return self.understand(&size, members, index);
            }
        }
    }

    /// Puts the members into order. Unless this one can be among the first, the cluster is full.
    fn understand(
        &self,
        size: &str,
        mut members: Vec<Entry>,
        index: u64,
    ) -> Result<Look, DiscoveryError> {
        let size = size.parse().ok().filter(|size| *size > 0).ok_or(DiscoveryError::BadSize)?;
        members.sort_by_key(|member| member.created);
        let place = members.iter().position(|member| member.id == self.id);
        if place.unwrap_or(members.len()) >= size {
            members.truncate(size);
            return Err(DiscoveryError::Full(cluster_of(&members, size).unwrap_or_default()));
        }
        members.truncate(size);
        Ok(Look { members, size, index })
    }

    /// Adds this member, and waits until the service shows it.
    fn register(&mut self, value: &str) -> Result<(), DiscoveryError> {
        let mut tried = false;
        let created = loop {
            let outcome = match self.registry.register(&self.id, value) {
                // An earlier attempt may have got through without an answer.
                Err(Fault::Refused { code: NODE_EXISTS, .. }) if tried => {
                    self.registry.member(&self.id).and_then(|entry| match entry.value {
                        Some(registered) if registered == value => Ok(entry.created),
                        _ => Err(already_registered()),
                    })
                }
                outcome => outcome,
            };
            tried = true;
            if let Some(created) = self.patiently("registration", outcome)? {
                break created;
            }
        };
        loop {
            let seen = self.registry.await_member(&self.id, created);
            if self.patiently("registration", seen)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Waits until as many members as the cluster has have come.
    fn wait(&mut self, mut look: Look) -> Result<Look, DiscoveryError> {
        for member in &look.members {
            self.report(member);
        }
        while look.members.len() < look.size {
            let (found, missing) = (look.members.len(), look.size - look.members.len());
            log::info!("found {found} peer(s), waiting for {missing} more");
            let step = "waiting for other nodes";
            let change = self.registry.await_change(look.index.saturating_add(1));
            if let Err(Fault::Refused { code: INDEX_CLEARED, .. }) = change {
                look = self.look(step)?;
                continue;
            }
            match self.patiently(step, change)?.flatten() {
                Some(entry) if is_new(&entry, &look.members) => {
                    look.index = entry.modified;
                    self.report(&entry);
                    look.members.push(entry);
                }
                // Someone left, or nobody came for long: see who is there now.
                _ => look = self.look(step)?,
            }
        }
        log::info!("found {} needed peer(s)", look.size);
        Ok(look)
    }

    fn report(&self, member: &Entry) {
        let who = if member.id == self.id { "self" } else { "peer" };
        log::info!("found {who} {} in the cluster", member.id);
    }

    /// None if the service could not be asked: it can be asked again after a pause that has
    /// passed. What it answered is final.
    fn patiently<T>(
        &mut self,
        step: &str,
        outcome: Result<T, Fault>,
    ) -> Result<Option<T>, DiscoveryError> {
        let reason = match outcome {
            Ok(value) => {
                self.retries = 0;
                return Ok(Some(value));
            }
            Err(Fault::Refused { code: NODE_EXISTS, .. }) => {
                return Err(DiscoveryError::DuplicateId);
            }
            Err(Fault::Refused { text, .. }) => return Err(DiscoveryError::Refused(text)),
            Err(Fault::Garbage(reason)) => {
                log::error!(url = self.place.as_str(); "no answer of a discovery service: {reason}");
                return Err(DiscoveryError::BadEndpoint);
            }
            Err(Fault::Slow) => "timed out".to_string(),
            Err(Fault::Unreachable(reason)) => reason,
        };
        self.retries = (self.retries + 1).min(LONGEST_PAUSE);
        let pause = Duration::from_secs(1 << self.retries);
        let place = self.place.as_str();
        log::warn!(error = reason.as_str();
            "{step}: error connecting to {place}, retrying in {pause:?}");
        (self.pause)(pause);
        Ok(None)
    }
}

fn already_registered() -> Fault {
    Fault::Refused { code: NODE_EXISTS, text: String::new() }
}

/// Whether a change is that one more member has come.
fn is_new(entry: &Entry, members: &[Entry]) -> bool {
    let known = members.iter().any(|member| member.id == entry.id);
    entry.value.is_some() && !entry.id.starts_with('_') && !known
}

/// The list of all members, as `--initial-cluster` has it.
fn cluster_of(members: &[Entry], size: usize) -> Result<String, DiscoveryError> {
    let values: Option<Vec<&str>> = members.iter().map(|member| member.value.as_deref()).collect();
    let list = values.ok_or(DiscoveryError::InvalidUrl)?.join(",");
    let cluster = InitialCluster::parse(&list).map_err(|_| DiscoveryError::InvalidUrl)?;
    match cluster.len() == size {
        true => Ok(list),
        false => Err(DiscoveryError::DuplicateName),
    }
}
