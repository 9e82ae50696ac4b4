//! The recorded answers of etcd's v2 API that take a cluster (`conformance/v2`), replayed over
//! sockets. Those that take one member are replayed in memory (`net/tests/v2_corpus`).

use std::process::Command;

use quorra::client::{self, Request};

use crate::cluster::{Cluster, Member, REQUEST_TIMEOUT, wait_for};

/// Replays all scenarios of a profile, where Python is installed (`.ci/run` installs it).
fn replay(profile: &str, member: &Member) {
    let conformance = concat!(env!("CARGO_MANIFEST_DIR"), "/../conformance");
    let output = Command::new("python3")
        .arg(format!("{conformance}/replay_v2.py"))
        .args(["--profile", profile, "--endpoint", &member.client.to_string()])
        .args(["--corpus", &format!("{conformance}/v2")])
        .output();
    match output {
        Ok(output) => {
            let told = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{profile}: {told}");
        }
        Err(error) => eprintln!("python3: {error}: the profile {profile} is left out"),
    }
}

#[test]
fn a_cluster_and_its_last_survivor_answer_as_etcds_did() {
    let mut cluster = Cluster::start("corpus", 3);
    // A URL that is in use is told apart once the members have been connected for long enough.
    let body = format!(r#"{{"peerURLs":["{}"]}}"#, cluster.members[1].peer);
    let (method, path, content_type) = ("POST", "/v2/members", "application/json");
    let request = Request { method, path, content_type, body: body.as_bytes() };
    wait_for("all members to be connected", || {
        let answer = client::exchange(&cluster.members[0].client, &request, REQUEST_TIMEOUT);
        answer.is_ok_and(|answer| answer.status == 409).then_some(())
    });
    replay("cluster3", &cluster.members[0]);
    cluster.members[1].kill();
    cluster.members[2].kill();
    let survivor = &cluster.members[0];
    wait_for("the loss of the quorum", || {
        survivor.json("/v2/members/leader").is_some_and(|all| all["id"].is_null()).then_some(())
    });
    replay("noquorum", survivor);
}
