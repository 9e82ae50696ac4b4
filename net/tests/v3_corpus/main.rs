//! Replays the recorded answers of etcd 3.5 (`conformance/v3`) against a host in memory: bytes in
//! and bytes out, everything between them real; time is virtual, the disk answers at once.
//!
//! gRPC calls are made by h2's client, with messages that are built and read from the field tables
//! of `conformance/wire_v3.json`, so that nothing of our own encoding is taken for granted. The
//! corpus' README describes the steps; `conformance/replay_v3.py` does the same over sockets.

mod call;
mod compare;
mod member;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use member::Member;
use serde_json::{Value, json};
use wire::Wire;

/// The scenarios that this build answers begin so, with or without `json-` before it.
const ANSWERED: [&str; 7] =
    ["kv-", "txn-", "limits-", "maint-status", "gateway-forms", "gateway-bad-json", "cluster-"];
/// Those among them that need leases or watches.
const LATER: [&str; 2] = ["kv-put-ignore", "kv-delete-range"];
const SCENARIOS: usize = 41;

#[test]
fn every_scenario_is_answered_as_etcd_answered_it() {
    let wire = Wire::load(&conformance("wire_v3.json"));
    let mut scenarios = BTreeMap::new();
    for entry in fs::read_dir(conformance("v3")).expect("the corpus is part of the repository") {
        let path = entry.expect("its files can be listed").path();
        let text = fs::read_to_string(path).expect("a corpus is text");
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let step: Value = serde_json::from_str(line).expect("a step is JSON");
            let name = step["scenario"].as_str().expect("a step has a scenario").to_owned();
            scenarios.entry(name).or_insert_with(Vec::new).push(step);
        }
    }
    scenarios.retain(|name, _| is_answered(name));
    assert_eq!(scenarios.len(), SCENARIOS, "no scenario is left out");
    let wrong: Vec<String> = scenarios
        .iter()
        .flat_map(|(name, steps)| {
            replay(&wire, steps).into_iter().map(move |wrong| format!("{name}: {wrong}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_wrong_answer_is_found() {
    let wire = Wire::load(&conformance("wire_v3.json"));
    let header =
        json!({"cluster_id": "*", "member_id": "*", "raft_term": "~1..9", "revision": "@+1"});
    let right = json!({
        "kind": "grpc", "step": 1, "method": "/etcdserverpb.KV/Put",
        "request": {"key": "YQ==", "prev_kv": true},
        "expect": {"code": 0, "message": "", "response": {"header": header}},
    });
    assert_eq!(replay(&wire, std::slice::from_ref(&right)), [""; 0]);
    let answer = |pointer: &str, value: Value| {
        let mut wrong = right.clone();
        *wrong.pointer_mut(pointer).expect("it is in the step") = value;
        replay(&wire, &[wrong])
    };
    assert_ne!(answer("/expect/code", json!(3)), [""; 0]);
    assert_ne!(answer("/expect/response/header/revision", json!("@+2")), [""; 0]);
    assert_ne!(answer("/expect/response/header/raft_term", json!("~0..1")), [""; 0]);
    assert_ne!(answer("/expect/response", json!({})), [""; 0]);
    assert_ne!(answer("/request/key", json!("")), [""; 0]);
}

fn conformance(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance").join(name)
}

fn is_answered(name: &str) -> bool {
    let name = name.strip_prefix("json-").unwrap_or(name);
    let begins = |listed: &&str| name.starts_with(*listed);
    ANSWERED.iter().any(begins) && !LATER.iter().any(begins)
}

/// Runs one scenario on a fresh member; tells what is wrong.
fn replay(wire: &Wire, steps: &[Value]) -> Vec<String> {
    let mut member = Member::started();
    let start = member.revision();
    let mut captured = BTreeMap::new();
    let mut wrong = Vec::new();
    for step in steps {
        member.pass_for(step["delay_ms"].as_u64().unwrap_or_default());
        let request = compare::expanded(&step["request"], start, &captured);
        let method = step["method"].as_str().expect("a step has a method");
        let answer = match step["kind"].as_str() {
            Some("grpc") => call::grpc(&mut member, wire, method, &request),
            Some("json") => {
                let body = match step.get("raw_body") {
                    Some(body) => body.as_str().expect("a literal body is text").to_owned(),
                    None => request.to_string(),
                };
                call::json(&mut member, method, &body)
            }
            other => panic!("unknown kind {other:?}"),
        };
        let differences = compare::in_any_order(step, &answer, start);
        wrong.extend(differences.into_iter().map(|text| format!("step {} {text}", step["step"])));
        capture(step, &answer, &mut captured);
    }
    wrong
}

/// Keeps the values that later steps name.
fn capture(step: &Value, answer: &Value, captured: &mut BTreeMap<String, String>) {
    let Some(wanted) = step["capture"].as_object() else { return };
    for (name, path) in wanted {
        let path = path.as_str().expect("a path is text").replace('.', "/");
        let value = answer.pointer(&format!("/{path}")).and_then(Value::as_str);
        captured.insert(name.clone(), value.unwrap_or_default().to_owned());
    }
}
