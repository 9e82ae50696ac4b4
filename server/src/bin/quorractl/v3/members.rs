//! `member`: who belongs to the cluster.

use std::io::Write;

use clap::Command;
use quorra::urls::Url;
use serde_json::{Value, json};

use super::gateway::{Gateway, Kind};
use super::message::MembersResponse;
use super::output::Printer;
use super::{BAD_ARGUMENTS, BAD_FEATURE, ERROR, failed};
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, valued, verb};
use crate::go;

/// The verb.
pub(super) fn command() -> Command {
    let peer_urls = || valued("peer-urls", "Where other members reach it, separated by commas.");
    let consistency = valued("consistency", "l: linearizable, s: serializable.");
    Command::new("member").about("List and change the members. [v2, v3]").subcommands([
        verb("member list", "List the members.", "").arg(consistency),
        verb("member add", "Add a member.", "NAME")
            .args([peer_urls(), boolean("learner", "As one without a vote.")]),
        verb("member remove", "Remove a member.", "ID"),
        verb("member update", "Change a member's peer URLs.", "ID").arg(peer_urls()),
        verb("member promote", "Give a learner its vote.", "ID"),
    ])
}

/// Performs a verb below it.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let printer = Printer::of(flags)?;
    match verb {
        "list" => {
            let consistency = flags.text("consistency");
            let answer = list(&mut Gateway::open(flags, out)?, consistency)?;
            printer.members(&answer, out)
        }
        "add" => add(&printer, flags, out),
        _ => change(verb, &printer, flags, out),
    }
}

/// Asks for the list: `l`inearizable, `s`erializable, or as the server likes.
pub(super) fn list(
    gateway: &mut Gateway,
    consistency: Option<&str>,
) -> Result<MembersResponse, Failure> {
    let message = match consistency {
        None => json!({}),
        Some("l") => json!({"linearizable": true}),
        Some("s") => json!({"linearizable": false}),
        Some(other) => {
            let quoted = go::quote(other.as_bytes());
            return Err(failed(BAD_FEATURE, format!("unknown consistency flag {quoted}")));
        }
    };
    Ok(gateway.call("/v3/cluster/member/list", &message, Kind::Read)?)
}

fn add(printer: &Printer, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let wrong = |text: String| Err(failed(BAD_ARGUMENTS, text));
    let arguments = flags.arguments();
    let name = match arguments.as_slice() {
        [] => return wrong("member name not provided".into()),
        [name] => *name,
        many => {
            let urls = many.iter().filter(|it| it.to_lowercase().starts_with("http"));
            let hints: String =
                urls.map(|url| format!(", did you mean --peer-urls={url}")).collect();
            return wrong(format!("too many arguments{hints}"));
        }
    };
    let Some(urls) = flags.text("peer-urls") else {
        return wrong("member peer urls not provided".into());
    };
    let message = json!({"peerURLs": peer_urls(urls)?, "isLearner": flags.is_set("learner")});
    let mut gateway = Gateway::open(flags, out)?;
    let answer: MembersResponse = gateway.call("/v3/cluster/member/add", &message, Kind::Write)?;
    let id = answer.member.as_ref().map(|member| member.id.0).unwrap_or_default();
    printer.member_changed("added to", id, &answer, out)?;
    if !printer.is_simple() {
        return Ok(());
    }
    let pairs = answer.members.iter().flat_map(|member| {
        let name = if member.id.0 == id { name } else { &member.name };
        member.peer_urls.iter().map(move |url| format!("{name}={url}"))
    });
    let pairs = pairs.collect::<Vec<_>>().join(",");
    writeln!(out, "\nETCD_NAME={}", go::quote(name.as_bytes()))?;
    writeln!(out, "ETCD_INITIAL_CLUSTER={}", go::quote(pairs.as_bytes()))?;
    writeln!(out, "ETCD_INITIAL_ADVERTISE_PEER_URLS={}", go::quote(urls.as_bytes()))?;
    writeln!(out, "ETCD_INITIAL_CLUSTER_STATE=\"existing\"")?;
    Ok(())
}

/// What stands between commas. Each must be a URL before the cluster is asked.
fn peer_urls(text: &str) -> Result<Value, Failure> {
    for url in text.split(',') {
        Url::parse(url.trim()).map_err(|reason| failed(ERROR, reason))?;
    }
    Ok(text.split(',').collect::<Vec<_>>().into())
}

fn change(verb: &str, printer: &Printer, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let wrong = |text: String| failed(BAD_ARGUMENTS, text);
    let arguments = flags.arguments();
    let [id] = arguments.as_slice() else {
        return Err(wrong("member ID is not provided".into()));
    };
    let id = u64::from_str_radix(id, 16).map_err(|_| {
        let id = go::quote(id.as_bytes());
        let reason = format!("strconv.ParseUint: parsing {id}: invalid syntax");
        wrong(format!("bad member ID arg ({reason}), expecting ID in Hex"))
    })?;
    let mut message = json!({"ID": id.to_string()});
    if verb == "update" {
        let urls = flags.text("peer-urls");
        let urls = urls.ok_or_else(|| wrong("member peer urls not provided".into()))?;
        message["peerURLs"] = peer_urls(urls)?;
    }
    let mut gateway = Gateway::open(flags, out)?;
    let path = format!("/v3/cluster/member/{verb}");
    let answer: MembersResponse = gateway.call(&path, &message, Kind::Write)?;
    let done = match verb {
        "remove" => "removed from",
        "update" => "updated in",
        _ => "promoted in",
    };
    printer.member_changed(done, id, &answer, out)
}
