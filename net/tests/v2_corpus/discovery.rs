//! What the discovery service keeps strangers from.

use bytes::Bytes;
use quorra_core::limits;
use quorra_net::http::{Headers, Method, Request};

use crate::member::Member;
use crate::server::{Server, Target};

/// The status and the body of an answer.
fn ask(member: &mut Member, method: &str, path: &str, host: &str, body: &str) -> (u16, String) {
    let mut headers = Headers::default();
    assert!(headers.push(b"Host", host.as_bytes()));
    assert!(headers.push(b"Content-Type", b"application/x-www-form-urlencoded"));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let request = Request {
        method: Method::of(method.as_bytes()),
        path: Bytes::copy_from_slice(path.as_bytes()),
        query: (!query.is_empty()).then(|| Bytes::copy_from_slice(query.as_bytes())),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
        oversized: false,
        secure: false,
        rpc: false,
    };
    let number = member.ask(Target::Main, &request);
    member.settle(number);
    let answer = member.take(number);
    (answer.status, String::from_utf8(answer.body).expect("answers are text"))
}

fn get(member: &mut Member, path: &str) -> (u16, String) {
    ask(member, "GET", path, "h:1", "")
}

#[test]
fn a_tokens_url_leads_where_the_service_was_found_unless_that_is_here_alone() {
    let mut member = Member::started();
    for (host, prefix) in [
        ("discovery.example.org", "http://discovery.example.org/"),
        ("10.0.0.1:2379", "http://10.0.0.1:2379/"),
        ("localhost:1", "http://127.0.0.1:2379/"),
        ("[::1]:1", "http://127.0.0.1:2379/"),
        ("no\"host", "http://127.0.0.1:2379/"),
    ] {
        // The driver's secrets are all the same here: the token before goes first.
        ask(&mut member, "DELETE", "/v2/keys/_etcd?recursive=true", "h:1", "");
        let (status, url) = ask(&mut member, "GET", "/new", host, "");
        assert_eq!(status, 200, "{url}");
        assert_eq!(url, format!("{prefix}{}", "07".repeat(16)), "{host}");
    }
}

#[test]
fn sizes_come_by_query_and_by_form_and_a_token_is_never_made_twice() {
    let mut member = Member::started();
    let size = format!("/{}/_config/size", "07".repeat(16));
    for (method, path, body, expected) in
        [("GET", "/new", "", "3"), ("GET", "/new?size=5", "", "5"), ("POST", "/new", "size=7", "7")]
    {
        ask(&mut member, "DELETE", "/v2/keys/_etcd?recursive=true", "h:1", "");
        assert_eq!(ask(&mut member, method, path, "h:1", body).0, 200);
        let (_, found) = get(&mut member, &size);
        assert!(found.contains(&format!("\"value\":\"{expected}\"")), "{found}");
    }
    let again = (400, "Unable to generate token\n".to_owned());
    assert_eq!(get(&mut member, "/new"), again);
    assert_eq!(get(&mut member, "/new?size=0").0, 400);
    assert_eq!(ask(&mut member, "PUT", "/new", "h:1", ""), (405, String::new()));
    assert_eq!(ask(&mut member, "PUT", &size, "h:1", "value=9"), (405, String::new()));
}

#[test]
fn registrations_need_a_token_and_have_bounds() {
    let mut member = Member::started();
    let token = format!("/{}", "07".repeat(16));
    let mut put = |path: &str, body: &str| ask(&mut member, "PUT", path, "h:1", body).0;
    assert_eq!(put(&format!("{token}/a"), "value=a"), 404, "nobody made the token");
    assert_eq!(put("/new", ""), 405);
    assert_eq!(get(&mut member, "/new").0, 200);
    let mut put = |path: &str, body: &str| ask(&mut member, "PUT", path, "h:1", body).0;
    assert_eq!(put(&format!("{token}/a"), "value=a"), 201);
    let half = format!("value={}", "x".repeat(600_000));
    assert_eq!(put(&format!("{token}/b"), &half), 201);
    assert_eq!(put(&format!("{token}/c"), &half), 403, "the token is full");
    assert_eq!(put(&format!("{token}/c"), "value=c"), 201);
    // Others fill the registry, through the door that operators have.
    let part = 1_000_000;
    let value = format!("value={}", "x".repeat(part));
    for place in 0..=limits::DISCOVERY_REGISTRY_BYTES_MAX / part as u64 {
        assert_eq!(put(&format!("/v2/keys/_etcd/registry/other/{place}"), &value), 201);
    }
    assert_eq!(put(&format!("{token}/d"), "value=d"), 503);
    assert_eq!(get(&mut member, "/new").0, 503);
    assert_eq!(get(&mut member, &token).0, 200, "who is there is still told");
}
