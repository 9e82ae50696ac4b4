//! `endpoint`: each of the endpoints by itself.

use std::io::Write;
use std::time::Instant;

use clap::Command;
use serde::Serialize;
use serde_json::json;

use super::gateway::Gateway;
use super::message::{RangeResponse, StatusResponse, base64};
use super::output::Printer;
use super::{ERROR, failed, members};
use crate::endpoints::Endpoint;
use crate::failure::{Failure, Outcome};
use crate::flags::{Flags, boolean, verb};

/// The verb.
pub(super) fn command() -> Command {
    let all = boolean("cluster", "All endpoints of the cluster, by its list of members.");
    Command::new("endpoint")
        .about("Ask each endpoint by itself. [v3]")
        .arg(all.global(true))
        .subcommands([
            verb("endpoint health", "Whether it can serve.", ""),
            verb("endpoint status", "Its version, size and place in the cluster.", ""),
        ])
}

/// What `endpoint health` finds.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    pub(super) endpoint: String,
    pub(super) health: bool,
    pub(super) took: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) error: String,
}

/// An endpoint's answer to `endpoint status`.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    #[serde(rename = "Endpoint")]
    pub(super) endpoint: String,
    #[serde(rename = "Status")]
    pub(super) status: StatusResponse,
}

/// Performs a verb below it.
pub(super) fn run(verb: &str, flags: &Flags<'_>, out: &mut dyn Write) -> Outcome {
    let printer = Printer::of(flags)?;
    let mut gateway = Gateway::open(flags, out)?;
    let endpoints = endpoints(&mut gateway, flags)?;
    match verb {
        "health" => health(&mut gateway, &endpoints, &printer, out),
        _ => status(&mut gateway, &endpoints, &printer, out),
    }
}

/// The given endpoints, or all client URLs of all members.
fn endpoints(gateway: &mut Gateway, flags: &Flags<'_>) -> Result<Vec<Endpoint>, Failure> {
    if !flags.is_set("cluster") {
        return Ok(gateway.endpoints.clone());
    }
    let listed = members::list(gateway, None).map_err(|failure| {
        let reason = failure.message.trim_start_matches("Error: ").trim_end();
        let text = "failed to fetch endpoints from etcd cluster member list";
        failed(ERROR, format!("{text}: {reason}"))
    })?;
    let urls = listed.members.iter().flat_map(|member| &member.client_urls);
    let endpoints = urls.map(|url| Endpoint::parse(url, "http"));
    endpoints.collect::<Result<_, _>>().map_err(|reason| failed(ERROR, reason))
}

/// A read that a quorum must agree on; that nobody may see the key is as good an answer.
fn health(
    gateway: &mut Gateway,
    endpoints: &[Endpoint],
    printer: &Printer,
    out: &mut dyn Write,
) -> Outcome {
    let message = json!({"key": base64("health")});
    let mut found = Vec::new();
    for endpoint in endpoints {
        let start = Instant::now();
        let answer: Result<RangeResponse, _> = gateway.call_at(endpoint, "/v3/kv/range", &message);
        let took = format!("{:?}", start.elapsed());
        let error = match answer {
            Err(error) if !error.is_permission_denied() => error.to_string(),
            _ => String::new(),
        };
        let health = error.is_empty();
        found.push(Health { endpoint: endpoint.to_string(), health, took, error });
    }
    printer.health(&found, out)?;
    match found.iter().all(|it| it.health) {
        true => Ok(()),
        false => Err(failed(ERROR, "unhealthy cluster")),
    }
}

fn status(
    gateway: &mut Gateway,
    endpoints: &[Endpoint],
    printer: &Printer,
    out: &mut dyn Write,
) -> Outcome {
    let mut found = Vec::new();
    let mut silent = String::new();
    for endpoint in endpoints {
        match gateway.call_at(endpoint, "/v3/maintenance/status", &json!({})) {
            Ok(status) => found.push(Status { endpoint: endpoint.to_string(), status }),
            Err(error) => {
                silent += &format!("Failed to get the status of endpoint {endpoint} ({error})\n");
            }
        }
    }
    printer.status(&found, out)?;
    match silent.is_empty() {
        true => Ok(()),
        false => Err(Failure { code: ERROR, message: silent }),
    }
}
