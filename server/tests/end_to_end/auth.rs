//! v2's users and roles with real passwords: three members, one of them killed and started again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quorra::client::{Client, Limits, Request};
use serde_json::{Value, json};

use crate::cluster::{Cluster, Member, REQUEST_TIMEOUT, wait_for};

/// Somebody who asks, perhaps with a name and a password.
struct Caller(Client);

impl Caller {
    fn guest() -> Self {
        Self(Client::new(REQUEST_TIMEOUT))
    }

    fn user(name: &str, password: &str) -> Self {
        let mut caller = Self::guest();
        let encoded = STANDARD.encode(format!("{name}:{password}"));
        caller.0.authorize(format!("Basic {encoded}"));
        caller
    }

    /// The status of the answer.
    fn ask(&mut self, member: &Member, method: &str, path: &str, body: &str) -> u16 {
        let content_type = "application/x-www-form-urlencoded";
        let request = Request { method, path, content_type, body: body.as_bytes() };
        let answer = self.0.exchange(&member.client, &request, Limits::within(REQUEST_TIMEOUT));
        answer.expect("the member answers").status
    }

    fn change(&mut self, member: &Member, path: &str, body: &Value) -> u16 {
        self.ask(member, "PUT", &format!("/v2/auth/{path}"), &body.to_string())
    }

    fn set(&mut self, member: &Member, key: &str) -> u16 {
        self.ask(member, "PUT", &format!("/v2/keys/{key}"), "value=1")
    }
}

#[test]
fn users_may_do_what_their_roles_permit_at_every_member_and_after_a_crash() {
    let mut cluster = Cluster::new("auth", 3);
    for member in &mut cluster.members {
        member.add_flags(&["--bcrypt-cost".to_owned(), "5".to_owned()]);
        member.start();
    }
    cluster.members.iter().for_each(Member::wait_until_healthy);
    let first = &cluster.members[0];
    let mut guest = Caller::guest();
    let user = |name: &str, password: &str| json!({"user": name, "password": password});
    assert_eq!(guest.change(first, "users/root", &user("root", "secret")), 201);
    assert_eq!(guest.change(first, "users/ann", &user("ann", "pass")), 201);
    let keys = json!({"kv": {"read": ["/a*"], "write": ["/a*"]}});
    let role = json!({"role": "writer", "permissions": keys});
    assert_eq!(guest.change(first, "roles/writer", &role), 201);
    let grant = json!({"user": "ann", "grant": ["writer"]});
    assert_eq!(guest.change(first, "users/ann", &grant), 200);
    assert_eq!(guest.change(first, "enable", &Value::Null), 200);
    assert_eq!(guest.change(first, "users/eve", &user("eve", "x")), 401);
    let (mut root, mut ann) = (Caller::user("root", "secret"), Caller::user("ann", "pass"));
    let revoke = json!({"role": "guest", "revoke": {"kv": {"read": ["/*"], "write": ["/*"]}}});
    assert_eq!(root.change(first, "roles/guest", &revoke), 200);
    for member in &cluster.members {
        // A member that lags judges by the rules that it knows; a write waits for the others.
        wait_for("the rules", || (guest.set(member, "a") == 401).then_some(()));
        wait_for("ann's role", || matches!(ann.set(member, "a"), 200 | 201).then_some(()));
        assert_eq!(ann.set(member, "b"), 401);
        assert_eq!(Caller::user("ann", "wrong").set(member, "a"), 401);
        assert_eq!(ann.change(member, "users/eve", &user("eve", "x")), 401);
        assert_eq!(ann.ask(member, "DELETE", "/v2/members/1", ""), 401);
        assert_eq!(root.ask(member, "DELETE", "/v2/members/1", ""), 404);
    }
    let last = cluster.members.last_mut().expect("there are three");
    last.kill();
    last.start();
    last.wait_until_healthy();
    assert_eq!(guest.ask(last, "GET", "/v2/keys/a", ""), 401, "a start forgets no rule");
    assert_eq!(ann.ask(last, "GET", "/v2/keys/a", ""), 200);
    let secrets = ["secret", "pass", "$2a$"];
    for member in &cluster.members {
        let log = member.log();
        assert!(secrets.iter().all(|text| !log.contains(text)), "a password is in the log");
    }
}
