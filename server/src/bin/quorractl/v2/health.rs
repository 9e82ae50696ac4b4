//! `cluster-health`: what each member says of itself.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Command;
use quorra::client::{Client, Limits, Request};
use serde_json::Value;
use signal_hook::consts::SIGINT;

use super::cluster::{Cluster, Member};
use super::{NOT_HEALTHY, SERVER_ERROR, failed};
use crate::connect;
use crate::endpoints::Endpoint;
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, verb};

/// How long one member may take to say how it is.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// The pause before the next round of `--forever`.
const PAUSE: Duration = Duration::from_secs(10);

/// The verb.
pub(super) fn command() -> Command {
    verb("cluster-health", "Check the health of every member. [v2]", "")
        .arg(boolean("forever", "Check every 10 seconds until Ctrl-C.").short('f'))
}

/// Performs it.
pub(super) fn run(flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let forever = flags.is_set("forever");
    if forever {
        let armed = Arc::new(AtomicBool::new(true));
        signal_hook::flag::register_conditional_shutdown(SIGINT, 0, armed)?;
    }
    let mut cluster = Cluster::open_given(flags, out)?;
    let deadline = cluster.deadline();
    let members = match cluster.members(deadline) {
        Ok(members) => members,
        Err(error) => {
            writeln!(out, "cluster may be unhealthy: failed to list members")?;
            return Err(failed(SERVER_ERROR, error));
        }
    };
    loop {
        let mut healthy = 0;
        for member in &members {
            healthy += usize::from(check(member, cluster.client(), out)?);
        }
        writeln!(
            out,
            "cluster is {}",
            match healthy {
                all if all == members.len() => "healthy",
                0 => "unavailable",
                _ => "degraded",
            }
        )?;
        match forever {
            false if healthy == members.len() => return Ok(()),
            false => return Err(Failure { code: NOT_HEALTHY, message: String::new() }),
            true => writeln!(out, "\nnext check after 10 second...\n")?,
        }
        out.flush()?;
        std::thread::sleep(PAUSE);
    }
}

/// Asks a member's client URLs in turn until one answers.
fn check(member: &Member, client: &mut Client, out: &mut dyn Write) -> Result<bool, Failure> {
    let Member { id, client_urls: urls, .. } = member;
    if urls.is_empty() {
        writeln!(out, "member {id} is unreachable: no available published client urls")?;
        return Ok(false);
    }
    for url in urls {
        match health_at(url, client) {
            Ok(healthy) => {
                let result = if healthy { "healthy" } else { "unhealthy" };
                writeln!(out, "member {id} is {result}: got {result} result from {url}")?;
                return Ok(healthy);
            }
            Err(error) => {
                writeln!(out, "failed to check the health of member {id} on {url}: {error}")?;
            }
        }
    }
    writeln!(out, "member {id} is unreachable: [{}] are all unreachable", urls.join(" "))?;
    Ok(false)
}

/// Whether the member at a URL is healthy; an error if it cannot be told.
fn health_at(url: &str, client: &mut Client) -> Result<bool, String> {
    let endpoint = Endpoint::parse(url, "http")?;
    let path = format!("{}/health", endpoint.base);
    let request = Request { method: "GET", path: &path, content_type: "", body: b"" };
    let answer = client.exchange(&endpoint.url, &request, Limits::within(ANSWER_TIME));
    let answer =
        answer.map_err(|error| format!("Get \"{url}/health\": {}", connect::describe(&error)))?;
    let body: Value =
        serde_json::from_slice(&answer.body).map_err(|_| "the answer is not JSON".to_string())?;
    health_of(&body).ok_or_else(|| "the answer has no health".to_string())
}

/// etcd answers a text, and some of its releases a boolean.
fn health_of(body: &Value) -> Option<bool> {
    match &body["health"] {
        Value::Bool(healthy) => Some(*healthy),
        Value::String(text) => Some(text == "true"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn health_is_a_text_or_a_boolean() {
        assert_eq!(health_of(&json!({"health": "true", "reason": ""})), Some(true));
        assert_eq!(health_of(&json!({"health": true})), Some(true));
        assert_eq!(health_of(&json!({"health": "false"})), Some(false));
        assert_eq!(health_of(&json!({"health": false})), Some(false));
        assert_eq!(health_of(&json!({})), None);
    }

    #[test]
    fn a_member_without_client_urls_is_unreachable() {
        let member = Member { id: "1".into(), ..Member::default() };
        let mut out = Vec::new();
        let healthy = check(&member, &mut Client::new(ANSWER_TIME), &mut out);
        assert_eq!(healthy, Ok(false));
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "member 1 is unreachable: no available published client urls\n");
    }
}
