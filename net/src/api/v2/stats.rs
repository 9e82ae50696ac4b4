//! `/v2/stats`: what this member counts.

use bytes::BytesMut;
use quorra_core::identity::MemberId;
use quorra_core::raft::RoleName;
use quorra_core::store::v2::Statistics;
use quorra_core::time::WallTime;

use super::json;
use super::message;
use crate::api::front::{method_not_allowed, not_found, respond};
use crate::api::{Begun, View};
use crate::host::Peer;
use crate::http::{Method, Request, Response};

/// Begins a request below `/v2/stats`; `rest` is what follows it.
pub(super) fn begin(request: &Request, rest: &[u8], view: View<'_>) -> Begun {
    let answer: fn(View<'_>) -> Response = match rest {
        b"/self" => own,
        b"/leader" => leader,
        b"/store" => |view| answered(store(&view.replica.state().v2().statistics())),
        _ => return respond(not_found()),
    };
    if request.method == Method::Get {
        respond(answer(view))
    } else {
        respond(method_not_allowed("GET"))
    }
}

fn answered(body: BytesMut) -> Response {
    Response::new(200, body).with("Content-Type", &b"application/json"[..])
}

/// The store's counters, in the order of etcd's struct.
fn store(counted: &Statistics) -> BytesMut {
    let tallies = [
        ("getsSuccess", "getsFail", counted.gets),
        ("setsSuccess", "setsFail", counted.sets),
        ("deleteSuccess", "deleteFail", counted.deletes),
        ("updateSuccess", "updateFail", counted.updates),
        ("createSuccess", "createFail", counted.creates),
        ("compareAndSwapSuccess", "compareAndSwapFail", counted.compare_and_swaps),
        ("compareAndDeleteSuccess", "compareAndDeleteFail", counted.compare_and_deletes),
    ];
    let pairs = tallies
        .iter()
        .flat_map(|(success, fail, tally)| [(*success, tally.success), (*fail, tally.fail)]);
    let last = [("expireCount", counted.expirations), ("watchers", counted.watchers)];
    let mut out = BytesMut::new();
    for (name, number) in pairs.chain(last) {
        let separator = if out.is_empty() { "{\"" } else { ",\"" };
        json::put_raw(&mut out, separator);
        json::put_raw(&mut out, name);
        json::put_raw(&mut out, "\":");
        json::put_number(&mut out, number);
    }
    json::put_raw(&mut out, "}");
    out
}

/// This member, its role and its leader. Rates of zero are left out (etcd).
fn own(view: View<'_>) -> Response {
    let status = view.replica.status();
    let counted = view.statistics;
    let mut out = BytesMut::new();
    json::put_raw(&mut out, "{\"name\":");
    json::put_string(&mut out, view.options.name.as_bytes());
    json::put_raw(&mut out, &format!(",\"id\":\"{}\",\"state\":\"", status.member));
    json::put_raw(&mut out, role(status.role));
    json::put_raw(&mut out, "\",\"startTime\":");
    put_time(&mut out, counted.started);
    let leader = status.leader.map(|id| id.to_string()).unwrap_or_default();
    json::put_raw(&mut out, &format!(",\"leaderInfo\":{{\"leader\":\"{leader}\",\"uptime\":\""));
    json::put_raw(&mut out, &duration(view.now.wall.0.saturating_sub(counted.leader_since.0)));
    json::put_raw(&mut out, "\",\"startTime\":");
    put_time(&mut out, counted.leader_since);
    json::put_raw(&mut out, "},\"recvAppendRequestCnt\":");
    json::put_number(&mut out, counted.appends_received);
    put_rate(&mut out, "recv", counted.receiving.per_second(view.now.monotonic));
    json::put_raw(&mut out, ",\"sendAppendRequestCnt\":");
    json::put_number(&mut out, counted.appends_sent);
    put_rate(&mut out, "send", counted.sending.per_second(view.now.monotonic));
    json::put_raw(&mut out, "}");
    answered(out)
}

fn put_rate(out: &mut BytesMut, way: &str, rate: Option<(f64, f64)>) {
    if let Some((messages, bytes)) = rate {
        let rates = format!(",\"{way}PkgRate\":{messages},\"{way}BandwidthRate\":{bytes}");
        json::put_raw(out, &rates);
    }
}

fn put_time(out: &mut BytesMut, time: WallTime) {
    json::put_raw(out, "\"");
    json::put_time(out, time);
    json::put_raw(out, "\"");
}

fn role(role: RoleName) -> &'static str {
    match role {
        RoleName::Follower => "StateFollower",
        RoleName::PreCandidate => "StatePreCandidate",
        RoleName::Candidate => "StateCandidate",
        RoleName::Leader => "StateLeader",
    }
}

/// A leader's followers: how long they take to acknowledge an append, in milliseconds.
fn leader(view: View<'_>) -> Response {
    let status = view.replica.status();
    if status.role != RoleName::Leader {
        return message(403, "not current leader");
    }
    let ids = view.replica.membership().members.keys().filter(|id| **id != status.member);
    let unheard = Peer::default();
    let peers = &view.statistics.peers;
    let followers: Vec<_> =
        ids.map(|id| follower(*id, peers.get(id).unwrap_or(&unheard))).collect();
    let mut out = BytesMut::new();
    json::put_raw(&mut out, &format!("{{\"leader\":\"{}\",\"followers\":{{", status.member));
    json::put_raw(&mut out, &followers.join(","));
    json::put_raw(&mut out, "}}");
    answered(out)
}

fn follower(id: MemberId, peer: &Peer) -> String {
    let latency = &peer.latency;
    format!(
        "\"{id}\":{{\"latency\":{{\"current\":{},\"average\":{},\"standardDeviation\":{},\
         \"minimum\":{},\"maximum\":{}}},\"counts\":{{\"fail\":{},\"success\":{}}}}}",
        latency.current,
        latency.average(),
        latency.standard_deviation(),
        latency.minimum,
        latency.maximum,
        peer.failures,
        peer.successes
    )
}

/// Nanoseconds as Go's `time.Duration` prints them: `1h2m3.5s`, `1.5ms`, `0s`.
fn duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let total = nanos.unsigned_abs();
    let (unit, name) = match total {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, part) = (total / unit, total % unit);
    let digits = (unit.ilog10()) as usize;
    let fraction = if part > 0 { format!(".{part:0digits$}") } else { String::new() };
    let fraction = fraction.trim_end_matches('0');
    let (hours, minutes) = (whole / 3_600, whole / 60 % 60);
    match (name, hours, minutes) {
        ("s", 0, 0) => format!("{sign}{whole}{fraction}s"),
        ("s", 0, minutes) => format!("{sign}{minutes}m{}{fraction}s", whole % 60),
        ("s", hours, minutes) => format!("{sign}{hours}h{minutes}m{}{fraction}s", whole % 60),
        _ => format!("{sign}{whole}{fraction}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorra_core::store::v2::Tally;

    #[test]
    fn durations_read_as_in_go() {
        let rows = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (2_000_000, "2ms"),
            (1_000_000_000, "1s"),
            (62_300_000_000, "1m2.3s"),
            (3_600_000_000_000, "1h0m0s"),
            (7_384_000_000_001, "2h3m4.000000001s"),
            (-1_500_000_000, "-1.5s"),
        ];
        for (nanos, expected) in rows {
            assert_eq!(duration(nanos), expected);
        }
    }

    #[test]
    fn counters_come_in_the_order_of_etcd() {
        let gets = Tally { success: 1, fail: 2 };
        let counted = Statistics { gets, watchers: 3, ..Statistics::default() };
        assert_eq!(
            store(&counted),
            "{\"getsSuccess\":1,\"getsFail\":2,\"setsSuccess\":0,\"setsFail\":0,\
             \"deleteSuccess\":0,\"deleteFail\":0,\"updateSuccess\":0,\"updateFail\":0,\
             \"createSuccess\":0,\"createFail\":0,\"compareAndSwapSuccess\":0,\
             \"compareAndSwapFail\":0,\"compareAndDeleteSuccess\":0,\"compareAndDeleteFail\":0,\
             \"expireCount\":0,\"watchers\":3}"
        );
    }
}
