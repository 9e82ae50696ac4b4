//! A service that follows a script: each request that must come, and what it is answered.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

const TOKEN: &str = "/v2/keys/_etcd/registry/t";
const OWN: &str = "8e9e05c52164694d";
const SIZE: &str = "/_config/size?quorum=false&recursive=false&sorted=false";
const LIST: &str = "?quorum=false&recursive=false&sorted=false";

/// No answer at all, on a connection that stays open.
const SILENCE: &str = "silence";

thread_local! {
    static PAUSES: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
}

/// An answer with this status and body, at this index.
fn answer(status: u16, index: u64, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nX-Etcd-Index: {index}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn node(id: &str, value: &str, index: u64) -> String {
    format!(
        r#"{{"key":"{TOKEN}/{id}","value":"{value}","modifiedIndex":{index},"createdIndex":{index}}}"#
    )
}

fn event(node: &str) -> String {
    answer(200, 9, &format!(r#"{{"action":"create","node":{node}}}"#))
}

fn size(text: &str) -> String {
    event(&node("size", text, 3))
}

fn list(index: u64, nodes: &[String]) -> String {
    let nodes = nodes.join(",");
    let top = format!(r#""key":"{TOKEN}","dir":true,"modifiedIndex":3,"createdIndex":3"#);
    answer(200, index, &format!(r#"{{"action":"get","node":{{{top},"nodes":[{nodes}]}}}}"#))
}

fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk).expect("the client asks");
        text.push_str(str::from_utf8(&chunk[..count]).expect("requests are ASCII"));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split_once("Content-Length: ").map_or("0", |(_, rest)| rest);
        let length = length.split("\r\n").next().and_then(|length| length.parse().ok());
        if Some(body.len()) == length {
            let line = head.split(" HTTP/1.1").next().unwrap_or_default();
            return format!("{line} {body}").trim_end().to_string();
        }
    }
}

/// What a member makes of a service that answers like this (not at all, if the answer is empty);
/// the requests are checked.
fn joined(script: &[(&str, &str, String)]) -> Result<String, DiscoveryError> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = listener.local_addr().expect("a bound socket has an address");
    let rows: Vec<_> = script
        .iter()
        .map(|(method, rest, answer)| {
            let request = match rest.strip_prefix('!') {
                Some(whole) => format!("{method} {whole}"),
                None => format!("{method} {TOKEN}{rest}"),
            };
            (request, answer.replace("ADDRESS", &address.to_string()))
        })
        .collect();
    let server = std::thread::spawn(move || {
        for (request, answer) in rows {
            let (mut stream, _) = listener.accept().expect("the client connects");
            assert_eq!(read_request(&mut stream), request);
            if answer == SILENCE {
                // The client gives up: nothing more is asked here.
                assert_eq!(stream.read(&mut [0]).expect("the client closes"), 0);
                continue;
            }
            stream.write_all(answer.as_bytes()).expect("the client reads");
        }
    });
    let url = format!("http://{address}{TOKEN}");
    let discovery = Discovery { url, proxy: None, falls_back: false };
    let id = u64::from_str_radix(OWN, 16).expect("a number");
    PAUSES.take();
    let pause = |pause| PAUSES.with_borrow_mut(|pauses| pauses.push(pause));
    let mut joining = Joining::new(&discovery, MemberId(id)).expect("a good URL");
    joining.pause = pause;
    joining.registry.request_timeout = Duration::from_millis(300);
    joining.registry.watch_timeout = Duration::from_millis(300);
    let outcome = joining.join("a=http://10.0.0.1:2380");
    if let Err(panic) = server.join() {
        std::panic::resume_unwind(panic);
    }
    outcome
}

fn put() -> String {
    format!("/{OWN}?prevExist=false value=a%3Dhttp%3A%2F%2F10.0.0.1%3A2380")
}

fn own() -> String {
    node(OWN, "a=http://10.0.0.1:2380", 5)
}

fn see_self() -> String {
    format!("/{OWN}?recursive=false&wait=true&waitIndex=5")
}

#[test]
fn a_member_asks_what_etcd_asks_and_takes_the_first_to_come() {
    let outcome = joined(&[
        ("GET", SIZE, size("3")),
        ("GET", LIST, list(4, &[])),
        ("PUT", &put(), answer(201, 5, &format!(r#"{{"action":"create","node":{}}}"#, own()))),
        ("GET", &see_self(), event(&own())),
        ("GET", SIZE, size("3")),
        ("GET", LIST, list(6, &[node("b0b", "b=http://10.0.0.2:2380", 6), own()])),
        (
            "GET",
            "?recursive=true&wait=true&waitIndex=7",
            event(&node("ca7", "c=http://10.0.0.3:2380,c=http://10.0.0.3:1", 9)),
        ),
    ]);
    let list = "a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,\
                c=http://10.0.0.3:2380,c=http://10.0.0.3:1";
    assert_eq!(outcome, Ok(list.to_string()));
}

#[test]
fn waiting_goes_on_behind_each_event_and_looks_again_when_someone_left() {
    let with = |others: &[String]| list(6, &[&[own()], others].concat());
    let gone = r#"{"key":"/t/b0b","modifiedIndex":8,"createdIndex":6}"#;
    let outcome = joined(&[
        ("GET", SIZE, size("3")),
        ("GET", LIST, list(4, &[])),
        ("PUT", &put(), event(&own())),
        ("GET", &see_self(), event(&own())),
        ("GET", SIZE, size("3")),
        ("GET", LIST, with(&[])),
        ("GET", "?recursive=true&wait=true&waitIndex=7", event(&node("b0b", "b=http://b:1", 7))),
        ("GET", "?recursive=true&wait=true&waitIndex=8", event(gone)),
        ("GET", SIZE, size("2")),
        ("GET", LIST, with(&[])),
        ("GET", "?recursive=true&wait=true&waitIndex=7", answer(400, 9, CLEARED)),
        ("GET", SIZE, size("2")),
        ("GET", LIST, with(&[node("ca7", "c=http://c:1", 9)])),
    ]);
    assert_eq!(outcome, Ok("a=http://10.0.0.1:2380,c=http://c:1".to_string()));
}

const CLEARED: &str =
    r#"{"errorCode":401,"message":"The event in requested index is outdated and cleared"}"#;
const EXISTS: &str = r#"{"errorCode":105,"message":"Key already exists","cause":"/t","index":7}"#;
const MISSING: &str = r#"{"errorCode":100,"message":"Key not found","cause":"/t","index":7}"#;

#[test]
fn what_the_service_says_is_final() {
    let other = |index| node("b0b", "b=http://b:1", index);
    let full = || DiscoveryError::Full("b=http://b:1".into());
    let garbage = || DiscoveryError::BadEndpoint;
    let missing = "100: Key not found (/t) [7]".to_string();
    type Row = (Vec<(&'static str, &'static str, String)>, DiscoveryError);
    let rows: [Row; 9] = [
        (vec![("GET", SIZE, answer(404, 7, MISSING))], DiscoveryError::Refused(missing)),
        (vec![("GET", SIZE, size("many")), ("GET", LIST, list(4, &[]))], DiscoveryError::BadSize),
        (vec![("GET", SIZE, size("0")), ("GET", LIST, list(4, &[]))], DiscoveryError::BadSize),
        (vec![("GET", SIZE, size("1")), ("GET", LIST, list(4, &[other(4)]))], full()),
        (vec![("GET", SIZE, size("1")), ("GET", LIST, list(4, &[own(), other(4)]))], full()),
        (vec![("GET", SIZE, answer(200, 1, "hello"))], garbage()),
        (vec![("GET", SIZE, "SSH-2.0\r\n\r\n".into())], garbage()),
        (vec![("GET", SIZE, answer(200, 1, &"x".repeat(5 << 20)))], garbage()),
        (vec![("GET", SIZE, "HTTP/1.1 302 X\r\nContent-Length: 0\r\n\r\n".into())], garbage()),
    ];
    for (script, error) in rows {
        assert_eq!(joined(&script), Err(error));
        assert!(PAUSES.take().is_empty(), "nothing is asked twice");
    }
}

#[test]
fn an_earlier_registration_of_this_member_is_refused() {
    let outcome = joined(&[
        ("GET", SIZE, size("2")),
        ("GET", LIST, list(4, &[own()])),
        ("PUT", &put(), answer(412, 7, EXISTS)),
    ]);
    assert_eq!(outcome, Err(DiscoveryError::DuplicateId));
}

#[test]
fn a_registration_that_was_not_answered_is_found_again() {
    let unavailable = || answer(503, 0, "");
    let outcome = joined(&[
        ("GET", SIZE, size("1")),
        ("GET", LIST, list(4, &[])),
        ("PUT", &put(), unavailable()),
        ("PUT", &put(), answer(412, 7, EXISTS)),
        ("GET", &format!("/{OWN}"), event(&own())),
        ("GET", &see_self(), event(&own())),
        ("GET", SIZE, size("1")),
        ("GET", LIST, list(6, &[own()])),
    ]);
    assert_eq!(outcome, Ok("a=http://10.0.0.1:2380".to_string()));
    assert_eq!(PAUSES.take(), [Duration::from_secs(2)]);
}

#[test]
fn names_and_values_of_others_are_checked() {
    for (value, error) in [
        ("a=http://b:1", DiscoveryError::DuplicateName),
        ("b=nonsense", DiscoveryError::InvalidUrl),
        ("", DiscoveryError::DuplicateName),
    ] {
        let outcome = joined(&[
            ("GET", SIZE, size("2")),
            ("GET", LIST, list(4, &[])),
            ("PUT", &put(), event(&own())),
            ("GET", &see_self(), event(&own())),
            ("GET", SIZE, size("2")),
            ("GET", LIST, list(6, &[own(), node("b0b", value, 6)])),
        ]);
        assert_eq!(outcome, Err(error), "{value}");
    }
}

#[test]
fn a_service_that_does_not_answer_is_asked_for_ever_with_growing_pauses() {
    let busy = || [answer(503, 0, "<html>"), String::new()];
    let answers = std::iter::repeat_with(busy).flatten().take(10);
    let mut script: Vec<_> = answers.map(|answer| ("GET", SIZE, answer)).collect();
    script.push(("GET", SIZE, answer(404, 7, MISSING)));
    assert!(matches!(joined(&script), Err(DiscoveryError::Refused(_))));
    let seconds: Vec<_> = PAUSES.take().iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [2, 4, 8, 16, 32, 64, 128, 256, 256, 256]);
}

#[test]
fn redirects_are_followed_but_not_in_circles() {
    let to =
        |place: &str| format!("HTTP/1.1 307 X\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
    let moved = joined(&[
        ("GET", SIZE, to("http://ADDRESS/elsewhere?x=1")),
        ("GET", "!/elsewhere?x=1", to("/again")),
        ("GET", "!/again", answer(404, 7, MISSING)),
    ]);
    assert!(matches!(moved, Err(DiscoveryError::Refused(_))), "{moved:?}");
    let mut circle = vec![("GET", SIZE, to("/again"))];
    circle.extend((0..10).map(|_| ("GET", "!/again", to("/again"))));
    assert_eq!(joined(&circle), Err(DiscoveryError::BadEndpoint));
}

#[test]
fn silence_is_waited_out_and_a_silent_wait_looks_again() {
    let outcome = joined(&[
        ("GET", SIZE, SILENCE.into()),
        ("GET", SIZE, size("2")),
        ("GET", LIST, list(4, &[])),
        ("PUT", &put(), event(&own())),
        ("GET", &see_self(), event(&own())),
        ("GET", SIZE, size("2")),
        ("GET", LIST, list(6, &[own()])),
        ("GET", "?recursive=true&wait=true&waitIndex=7", SILENCE.into()),
        ("GET", SIZE, size("2")),
        ("GET", LIST, list(8, &[own(), node("b0b", "b=http://b:1", 8)])),
    ]);
    assert_eq!(outcome, Ok("a=http://10.0.0.1:2380,b=http://b:1".to_string()));
    assert_eq!(PAUSES.take(), [Duration::from_secs(2)], "a long wait is no trouble");
}

#[test]
fn the_last_index_there_is_leads_nowhere_further() {
    let last = format!("?recursive=true&wait=true&waitIndex={}", u64::MAX);
    let outcome = joined(&[
        ("GET", SIZE, size("2")),
        ("GET", LIST, list(4, &[])),
        ("PUT", &put(), event(&own())),
        ("GET", &see_self(), event(&own())),
        ("GET", SIZE, size("2")),
        ("GET", LIST, list(u64::MAX, &[own()])),
        ("GET", &last, event(&node("b0b", "b=http://b:1", u64::MAX))),
    ]);
    assert_eq!(outcome, Ok("a=http://10.0.0.1:2380,b=http://b:1".to_string()));
}
