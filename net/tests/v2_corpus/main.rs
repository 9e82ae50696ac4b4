//! Replays the recorded answers of etcd 3.4 (`conformance/v2`) against a member in memory: the
//! APIs, the replica and the store are the real ones, time is virtual, the disk answers at once.
//!
//! The corpus' README describes the steps; `conformance/replay_v2.py` does the same over HTTP.

mod discovery;
mod json;
mod member;
mod scenario;
mod server;

use std::fs;
use std::path::PathBuf;

use json::Json;
use member::Member;
use scenario::{Outcome, Scenario};

/// The areas that this build answers, and how many scenarios they have.
const AREAS: [&str; 17] = [
    "auth",
    "cas",
    "delete",
    "disco",
    "discovery",
    "get",
    "index",
    "machines",
    "members",
    "misc",
    "params",
    "paths",
    "post",
    "set",
    "stats",
    "ttl",
    "watch",
];
const SCENARIOS: usize = 64;

#[test]
fn every_scenario_is_answered_as_etcd_answered_it() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../conformance/v2");
    let mut files: Vec<PathBuf> = fs::read_dir(&corpus)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("its files can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let (mut failures, mut replayed) = (Vec::new(), 0);
    for path in &files {
        let text = fs::read_to_string(path).expect("a scenario is text");
        let scenario = Scenario::parse(&text);
        let area = scenario.label("area").and_then(Json::text).expect("it has an area");
        if !AREAS.contains(&area) {
            continue;
        }
        let Outcome { steps, wrong } = replay(&scenario);
        assert!(steps > 0, "{} has steps", path.display());
        failures.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", path.display())));
        replayed += 1;
    }
    assert!(failures.is_empty(), "{} differ:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(replayed, SCENARIOS, "no scenario is left out");
}

/// Replays a scenario against a member of its own.
fn replay(scenario: &Scenario) -> Outcome {
    scenario.replay(&mut Member::started(), "/conf01234567")
}

#[test]
fn a_wrong_answer_is_found() {
    let step = |body: &str| {
        format!(
            r#"{{"scenario":"x","step":"1","method":"PUT","path":"/v2/keys{{{{p}}}}/a?value=1",
            "encoding":"json+nl","expect":{{"status":201,"headers":{{"X-Etcd-Index":"+1"}},
            "body":{body}}}}}"#
        )
        .replace('\n', " ")
    };
    let node = r#"{"key":"{{p}}/a","value":"1","modifiedIndex":"+1","createdIndex":"+1"}"#;
    let right = step(&format!(r#"{{"action":"set","node":{node}}}"#));
    assert_eq!(replay(&Scenario::parse(&right)).wrong, [""; 0]);
    for (from, to) in [
        ("201", "200"),
        ("\"set\"", "\"create\""),
        ("\"value\":\"1\"", "\"value\":\"2\""),
        ("\"createdIndex\":\"+1\"", "\"createdIndex\":\"+2\""),
        ("\"createdIndex\":\"+1\"", "\"createdIndex\":\"+1\",\"dir\":true"),
        (",\"createdIndex\":\"+1\"", ""),
        ("X-Etcd-Index\":\"+1\"", "X-Etcd-Index\":\"+2\""),
        ("X-Etcd-Index\":\"+1\"", "X-Etcd-Index\":null"),
        ("json+nl", "json"),
        (
            "\"modifiedIndex\":\"+1\",\"createdIndex\":\"+1\"",
            "\"createdIndex\":\"+1\",\"modifiedIndex\":\"+1\"",
        ),
    ] {
        let wrong = right.replacen(from, to, 1);
        assert_ne!(wrong, right, "{from} is in the step");
        assert_ne!(replay(&Scenario::parse(&wrong)).wrong, [""; 0], "{from} as {to}");
    }
}
