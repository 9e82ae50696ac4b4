//! Verbs about members and their health.

use std::fmt::Write;
use std::time::{Duration, Instant};

use quorra::client::{self, Request};
use quorra::urls::Url;
use serde_json::Value;

use super::{Failure, Outcome};

/// What `/health` says of a member.
enum Health {
    Good,
    Bad,
    Unknown(String),
}

/// etcd answers a text, and some of its releases a boolean.
fn health_of(url: &Url, timeout: Duration) -> Health {
    let answer = match client::get(url, "/health", timeout) {
        Ok(answer) => answer,
        Err(error) => return Health::Unknown(error.to_string()),
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match &body["health"] {
        Value::Bool(true) => Health::Good,
        Value::String(text) if text == "true" => Health::Good,
        _ => Health::Bad,
    }
}

/// `cluster-health`, as etcdctl's v2 prints it.
pub(super) fn health(endpoints: &[Url], timeout: Duration) -> Outcome {
    let list = first_answer(endpoints, timeout, |url| {
        let answer = client::get(url, "/v2/members", timeout)?;
        Ok(answer.body)
    })
    .map_err(|message| Failure {
        code: 4,
        output: "cluster may be unhealthy: failed to list members\n".into(),
        message: format!("Error:  {message}"),
    })?;
    let members = list["members"].as_array().map_or(&[][..], Vec::as_slice);
    let mut output = String::new();
    let mut healthy = 0;
    for member in members {
        if member_health(member, timeout, &mut output) {
            healthy += 1;
        }
    }
    match healthy {
        0 => Err(Failure {
            code: 5,
            output: output + "cluster is unavailable\n",
            message: "Error:  no member is healthy".into(),
        }),
        all if all == members.len() => Ok(output + "cluster is healthy\n"),
        _ => Err(Failure {
            code: 5,
            output: output + "cluster is degraded\n",
            message: "Error:  some members are not healthy".into(),
        }),
    }
}

/// Asks a member's client URLs in turn until one answers.
fn member_health(member: &Value, timeout: Duration, output: &mut String) -> bool {
    let id = member["id"].as_str().unwrap_or_default();
    let urls = texts(&member["clientURLs"]);
    let mut line = |text: String| writeln!(output, "{text}").expect("a string takes all text");
    if urls.is_empty() {
        line(format!("member {id} is unreachable: no available published client urls"));
        return false;
    }
    for text in &urls {
        let found = match Url::parse(text) {
            Ok(url) => health_of(&url, timeout),
            Err(error) => Health::Unknown(error),
        };
        match found {
            Health::Good => {
                line(format!("member {id} is healthy: got healthy result from {text}"));
                return true;
            }
            Health::Bad => {
                line(format!("member {id} is unhealthy: got unhealthy result from {text}"));
                return false;
            }
            Health::Unknown(error) => {
                line(format!("failed to check the health of member {id} on {text}: {error}"));
            }
        }
    }
    line(format!("member {id} is unreachable: [{}] are all unreachable", urls.join(" ")));
    false
}

/// `endpoint health`, as etcdctl's v3 prints it.
pub(super) fn endpoint_health(endpoints: &[Url], timeout: Duration) -> Outcome {
    let mut output = String::new();
    let mut failures = String::new();
    for url in endpoints {
        let start = Instant::now();
        let reason = match health_of(url, timeout) {
            Health::Good => {
                let took = start.elapsed();
                writeln!(
                    output,
                    "{} is healthy: successfully committed proposal: took = {took:?}",
                    url.address
                )
                .expect("a string takes all text");
                continue;
            }
            Health::Bad => "it says so".to_string(),
            Health::Unknown(error) => error,
        };
        writeln!(failures, "{} is unhealthy: failed to commit proposal: {reason}", url.address)
            .expect("a string takes all text");
    }
    match failures.is_empty() {
        true => Ok(output),
        false => Err(Failure { code: 1, output, message: failures + "Error: unhealthy cluster" }),
    }
}

/// `member list`, as etcdctl's v3 prints it.
pub(super) fn member_list(endpoints: &[Url], timeout: Duration) -> Outcome {
    let list = first_answer(endpoints, timeout, |url| {
        let request = Request {
            method: "POST",
            path: "/v3/cluster/member/list",
            content_type: "application/json",
            body: b"{}",
        };
        Ok(client::exchange(url, &request, timeout)?.body)
    })
    .map_err(|error| Failure {
        code: 1,
        output: String::new(),
        message: format!("Error: {error}"),
    })?;
    let members = list["members"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(members.iter().map(member_line).collect())
}

fn member_line(member: &Value) -> String {
    // The gateway writes 64-bit numbers as text, and leaves defaults out.
    let id = member["ID"].as_str().and_then(|id| id.parse::<u64>().ok()).unwrap_or_default();
    let name = member["name"].as_str().unwrap_or_default();
    format!(
        "{id:x}, {}, {name}, {}, {}, {}\n",
        if name.is_empty() { "unstarted" } else { "started" },
        texts(&member["peerURLs"]).join(","),
        texts(&member["clientURLs"]).join(","),
        member["isLearner"].as_bool().unwrap_or_default()
    )
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().filter_map(Value::as_str).map(str::to_string).collect()
}

/// The JSON that the first endpoint with any answers.
fn first_answer(
    endpoints: &[Url],
    timeout: Duration,
    ask: impl Fn(&Url) -> Result<Vec<u8>, client::ClientError>,
) -> Result<Value, String> {
    let mut failures = Vec::new();
    for url in endpoints {
        let parsed = ask(url).map_err(|error| error.to_string()).and_then(|body| {
            serde_json::from_slice(&body).map_err(|_| "the answer is not JSON".to_string())
        });
        match parsed {
            Ok(value) => return Ok(value),
            Err(error) => failures.push(format!("{url}: {error}")),
        }
    }
    Err(format!("no endpoint answers; {} (of {timeout:?} each)", failures.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_read_as_etcdctl_prints_them() {
        let started = json!({
            "ID": "10276657743932975437",
            "name": "default",
            "peerURLs": ["http://localhost:2380"],
            "clientURLs": ["http://localhost:2379"]
        });
        assert_eq!(
            member_line(&started),
            "8e9e05c52164694d, started, default, http://localhost:2380, http://localhost:2379, \
             false\n"
        );
        assert_eq!(
            member_line(&json!({"ID": "1", "peerURLs": ["http://h:1"], "isLearner": true})),
            "1, unstarted, , http://h:1, , true\n"
        );
    }
}
