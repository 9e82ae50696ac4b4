//! `member`: who belongs to the cluster.

use std::io::{self, Write};

use clap::Command;
use quorra::urls::Url;
use serde_json::json;

use super::cluster::{Call, CallError, Cluster, Member};
use super::{BAD_ARGUMENTS, document, expect_status, plain};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, verb};
use crate::go;

/// The verb.
pub(super) fn command() -> Command {
    Command::new("member").about("List and change the members. [v2, v3]").subcommands([
        verb("member list", "List the members.", ""),
        verb("member add", "Add a member.", "NAME PEER_URL"),
        verb("member remove", "Remove a member.", "ID"),
        verb("member update", "Change a member's peer URLs.", "ID PEER_URLS"),
    ])
}

/// Performs a verb below it.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let arguments = flags.arguments();
    let wrong = |text: &str| Err(Failure::new(BAD_ARGUMENTS, text));
    match (verb, arguments.as_slice()) {
        ("list", []) => list(flags, out),
        ("add", [name, url]) => add(name, url, flags, out),
        ("remove", [id]) => remove(id, flags, out),
        ("update", [id, urls]) => update(id, urls, flags, out),
        ("list", _) => wrong("No arguments accepted"),
        ("add", _) => wrong("Provide a name and a single member peerURL"),
        ("remove", _) => wrong("Provide a single member ID"),
        _ => wrong(
            "Provide an ID and a list of comma separated peerURL \
             (0xabcd http://example.com,http://example1.com)",
        ),
    }
}

fn list(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let mut cluster = Cluster::open(flags, out)?;
    let deadline = cluster.deadline();
    let members = cluster.members(deadline).map_err(plain)?;
    let leader = cluster.call(&Call::new("GET", "/v2/members/leader"), deadline);
    let leader: Result<Member, CallError> = leader.and_then(|answer| match answer.status {
        200 => document(&answer),
        status => Err(format!("unexpected status code {status}").into()),
    });
    let leader = leader
        .map_err(|error| Failure::new(BAD_ARGUMENTS, format!("Failed to get leader:  {error}")))?;
    for member in members {
        writeln!(out, "{}", line(&member, member.id == leader.id))?;
    }
    Ok(())
}

fn line(member: &Member, leads: bool) -> String {
    let Member { id, name, peer_urls, client_urls } = member;
    let peer_urls = peer_urls.join(",");
    match name.as_str() {
        "" => format!("{id}[unstarted]: peerURLs={peer_urls}"),
        _ => format!(
            "{id}: name={name} peerURLs={peer_urls} clientURLs={} isLeader={leads}",
            client_urls.join(",")
        ),
    }
}

fn add(name: &str, url: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let mut cluster = Cluster::open(flags, out)?;
    let deadline = cluster.deadline();
    let url = Url::parse(url.trim()).map_err(plain)?;
    let call = Call::new("POST", "/v2/members").json(&json!({"peerURLs": [url.to_string()]}));
    let added: Result<Member, CallError> = cluster.call(&call, deadline).and_then(|answer| {
        refused(&answer, 201, &[409])?;
        document(&answer)
    });
    let added = added.map_err(plain)?;
    writeln!(out, "Added member named {name} with ID {} to cluster", added.id)?;
    let members = cluster.members(deadline).map_err(plain)?;
    let pairs = members.iter().flat_map(|member| {
        let name = if member.id == added.id { name } else { &member.name };
        member.peer_urls.iter().map(move |url| format!("{name}={url}"))
    });
    let pairs: Vec<_> = pairs.collect();
    writeln!(out, "\nETCD_NAME={}", go::quote(name.as_bytes()))?;
    writeln!(out, "ETCD_INITIAL_CLUSTER={}", go::quote(pairs.join(",").as_bytes()))?;
    writeln!(out, "ETCD_INITIAL_CLUSTER_STATE=\"existing\"")?;
    Ok(())
}

/// Fails unless the answer has that status; of these others the server's reason counts.
fn refused(answer: &quorra::client::Answer, good: u16, others: &[u16]) -> Result<(), CallError> {
    match answer.status {
        status if status == good => Ok(()),
        status if others.contains(&status) => expect_status(answer, &[good]),
        status => Err(format!("unexpected status code {status}").into()),
    }
}

fn remove(id: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let mut cluster = Cluster::open(flags, out)?;
    let deadline = cluster.deadline();
    let members = cluster.members(deadline).map_err(|error| {
        let text = format!("Error while verifying ID against known members: {error}");
        Failure::new(BAD_ARGUMENTS, text)
    })?;
    for member in members.iter().filter(|member| member.name == id) {
        writeln!(
            io::stderr(),
            "Found a member named {id}; if this is correct, please use its ID, eg:\n\
             \tetcdctl member remove {}\n\
             For more details, read the documentation at https://github.com/etcd-io/etcd/blob/\
             master/Documentation/runtime-configuration.md#remove-a-member\n",
            member.id
        )?;
    }
    if !members.iter().any(|member| member.id == id) {
        let text = format!("Couldn't find a member in the cluster with an ID of {id}.");
        return Err(Failure::new(BAD_ARGUMENTS, text));
    }
    let call = Call::new("DELETE", format!("/v2/members/{}", go::escape_path(id)));
    let removed = cluster.call(&call, deadline).and_then(|answer| match answer.status {
        204 | 410 => Ok(()),
        status => Err(format!("unexpected status code {status}").into()),
    });
    removed.map_err(|error| {
        let text = format!("Received an error trying to remove member {id}: {error}");
        Failure { code: BAD_ARGUMENTS, message: text }
    })?;
    writeln!(out, "Removed member {id} from cluster")?;
    Ok(())
}

fn update(id: &str, urls: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let mut cluster = Cluster::open(flags, out)?;
    let urls = urls.split(',').map(|url| Url::parse(url.trim()).map(|url| url.to_string()));
    let mut urls = urls.collect::<Result<Vec<_>, _>>().map_err(plain)?;
    urls.sort();
    let path = format!("/v2/members/{}", go::escape_path(id));
    let call = Call::new("PUT", path).json(&json!({"peerURLs": urls}));
    let deadline = cluster.deadline();
    let updated = cluster.call(&call, deadline);
    updated.and_then(|answer| refused(&answer, 204, &[404, 409])).map_err(plain)?;
    writeln!(out, "Updated member with ID {id} in cluster")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_read_as_etcdctl_prints_them() {
        let started = Member {
            id: "4dab5883d11b1ad0".into(),
            name: "c1".into(),
            peer_urls: vec!["http://a:1".into(), "http://b:1".into()],
            client_urls: vec!["http://a:2".into()],
        };
        assert_eq!(
            line(&started, true),
            "4dab5883d11b1ad0: name=c1 peerURLs=http://a:1,http://b:1 clientURLs=http://a:2 \
             isLeader=true"
        );
        let unstarted = Member { name: String::new(), ..started };
        assert_eq!(
            line(&unstarted, false),
            "4dab5883d11b1ad0[unstarted]: peerURLs=http://a:1,http://b:1"
        );
    }
}
