//! Golden scripts: commands, `---`, and the trace of what they did. `UPDATE_SCRIPTS=1 cargo test`
//! writes the traces anew; they are then read in review.
//!
//! A line that begins with `-` is not traced. Member ids are numbers, positions are `index@term`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use quorra_core::disk::Ticket;
use quorra_core::identity::MemberId;
use quorra_core::raft::{
    Entry, EntryKind, Index, Message, Options, Position, ReadContext, Refused, SnapshotId, Term,
};
use quorra_core::time::Duration;

use crate::cluster::{Cluster, parse_configuration};
use crate::describe;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/raft")
}

#[test]
fn scripts() {
    let update = std::env::var_os("UPDATE_SCRIPTS").is_some();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the scripts are there")
        .map(|f| f.expect("f").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 45, "the scripts are there");
    let mut failed = Vec::new();
    for path in paths {
        let wanted = fs::read_to_string(&path).expect("a script is text");
        let name = path.file_stem().expect("a script has a name").to_string_lossy().into_owned();
        let run = std::panic::catch_unwind(|| run(&wanted));
        match run {
            Ok(found) if found == wanted => {}
            Ok(found) if update => fs::write(&path, found).expect("a script can be written"),
            Ok(found) => {
                let differs = wanted.lines().zip(found.lines()).find(|(w, f)| w != f);
                failed.push(format!("{name}: {differs:?}"));
            }
            Err(_) => failed.push(format!("{name}: panicked")),
        }
    }
    assert!(failed.is_empty(), "UPDATE_SCRIPTS=1 accepts new traces\n{}", failed.join("\n"));
}

/// Runs a script and prints it again, with the traces as they are.
fn run(script: &str) -> String {
    let mut cluster = None;
    let mut result = String::new();
    let mut commands = Vec::new();
    let mut is_trace = false;
    for line in script.lines().chain([""]) {
        match line {
            "" => {
                is_trace = false;
                commands.clear();
                if !result.ends_with("\n\n") && !result.is_empty() {
                    result.push('\n');
                }
            }
            "---" => {
                is_trace = true;
                result.push_str("---\n");
                for command in commands.drain(..) {
                    perform(&mut cluster, command);
                }
                let cluster: &mut Cluster = cluster.as_mut().expect("a script begins with one");
                let trace = std::mem::take(&mut cluster.trace);
                let trace = if trace.is_empty() { vec!["nothing".to_string()] } else { trace };
                trace.iter().for_each(|line| result.push_str(&format!("{line}\n")));
            }
            _ if is_trace => {}
            line => {
                result.push_str(&format!("{line}\n"));
                if !line.starts_with('#') {
                    commands.push(line);
                }
            }
        }
    }
    assert!(commands.is_empty(), "commands end with ---");
    while result.ends_with("\n\n") {
        result.pop();
    }
    result
}

struct Arguments<'a> {
    words: Vec<&'a str>,
    named: BTreeMap<&'a str, &'a str>,
}

impl<'a> Arguments<'a> {
    fn parse(line: &'a str) -> Self {
        let (named, words): (Vec<_>, Vec<_>) =
            line.split_whitespace().partition(|word| word.contains('='));
        let named = named.into_iter().filter_map(|word| word.split_once('=')).collect();
        Self { words, named }
    }

    fn member(&self, place: usize) -> MemberId {
        let word = self.words.get(place).unwrap_or_else(|| panic!("a member at {place}"));
        MemberId(word.parse().expect("a member is a number"))
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        self.named.get(name).map_or(default, |text| text.parse().expect("a number"))
    }

    fn position(&self, name: &str) -> Position {
        self.named.get(name).map_or_else(Position::default, |text| parse_position(text))
    }

    fn adjust(&self, options: &mut Options) {
        options.pre_vote = self.number("pre_vote", 1) == 1;
        options.check_quorum = self.number("check_quorum", 1) == 1;
        let size = |name, default| {
            usize::try_from(self.number(name, default as u64)).expect("a size fits")
        };
        options.inflight_messages_max = size("inflight_messages", options.inflight_messages_max);
        options.inflight_bytes_max = size("inflight_bytes", options.inflight_bytes_max);
        options.append_bytes_target = size("append_bytes", options.append_bytes_target);
        options.tail_bytes_max = size("tail_bytes", options.tail_bytes_max);
        options.uncommitted_bytes_max = size("uncommitted_bytes", options.uncommitted_bytes_max);
    }
}

fn parse_position(text: &str) -> Position {
    let (index, term) = text.split_once('@').expect("a position is index@term");
    let number = |text: &str| text.parse().expect("a number");
    Position { term: Term(number(term)), index: Index(number(index)) }
}

fn perform(cluster: &mut Option<Cluster>, line: &str) {
    let (line, is_silent) = match line.strip_prefix('-') {
        Some(line) => (line.trim(), true),
        None => (line, false),
    };
    let arguments = Arguments::parse(line);
    let kept = match cluster {
        Some(cluster) if arguments.words[0] != "cluster" => {
            let kept = std::mem::take(&mut cluster.trace);
            command(cluster, &arguments);
            kept
        }
        _ => {
            let members = |name| arguments.named.get(name).copied().unwrap_or_default();
            let text = format!("{}/{}", members("voters"), members("learners"));
            let configuration = parse_configuration(text.as_bytes());
            *cluster = Some(Cluster::new(&configuration, 1, |options| arguments.adjust(options)));
            Vec::new()
        }
    };
    let cluster = cluster.as_mut().expect("it was made");
    if is_silent {
        cluster.trace = kept;
    } else {
        let trace = std::mem::take(&mut cluster.trace);
        cluster.trace = kept.into_iter().chain(trace).collect();
    }
}

fn command(cluster: &mut Cluster, arguments: &Arguments<'_>) {
    match arguments.words[0] {
        "deliver" | "drop" | "duplicate" => wire(cluster, arguments),
        "stabilize" => cluster.stabilize(),
        "advance" => {
            let text = arguments.words[1];
            cluster.now = cluster.now + Duration::from_millis(text.parse().expect("milliseconds"));
        }
        "durable" => {
            let ticket = arguments.named.get("ticket").map(|_| arguments.number("ticket", 0));
            cluster.durable(arguments.member(1), ticket.map(Ticket));
        }
        "crash" => cluster.crash(arguments.member(1)),
        "restart" => {
            cluster.crash(arguments.member(1));
            cluster.start(arguments.member(1));
        }
        "read-log" => {
            cluster.answer_reads(arguments.member(1));
        }
        "compact" => cluster.compact(arguments.member(1), Index(arguments.number("base", 0))),
        "snapshot" => cluster.send_snapshot(arguments.member(1), arguments.member(2)),
        "hold-apply" => set_applies(cluster, arguments.member(1), false),
        "resume-apply" => set_applies(cluster, arguments.member(1), true),
        "status" => status(cluster),
        "add" => {
            let members = arguments.named.get("members").copied().unwrap_or_default();
            let configuration = parse_configuration(members.as_bytes());
            cluster.add(arguments.member(1), configuration, |options| arguments.adjust(options));
        }
        "elect" => {
            let member = arguments.member(1);
            cluster.now = cluster.now + Duration::from_millis(5000);
            cluster.give(member, |raft, now, out| raft.tick(now, out));
            cluster.stabilize();
        }
        _ => input(cluster, arguments),
    }
}

fn set_applies(cluster: &mut Cluster, member: MemberId, applies: bool) {
    cluster.nodes.get_mut(&member).expect("the script names members").applies = applies;
    cluster.give(member, |_, _, _| {});
}

fn wire(cluster: &mut Cluster, arguments: &Arguments<'_>) {
    let of = |name: &str| {
        arguments.named.get(name).map(|text| MemberId(text.parse().expect("a member is a number")))
    };
    let (from, to) = (of("from"), of("to"));
    let kind = arguments.named.get("kind").copied();
    let fits = move |f: MemberId, t: MemberId, m: &Message| {
        from.is_none_or(|from| from == f)
            && to.is_none_or(|to| to == t)
            && kind.is_none_or(|kind| describe::message(m).split(' ').next() == Some(kind))
    };
    match arguments.words[0] {
        "deliver" => {
            cluster.deliver(fits);
        }
        "drop" => cluster.wire.retain(|(from, to, message)| !fits(*from, *to, message)),
        _ => {
            let copies: Vec<_> =
                cluster.wire.iter().filter(|(f, t, m)| fits(*f, *t, m)).cloned().collect();
            cluster.wire.extend(copies);
        }
    }
}

fn input(cluster: &mut Cluster, arguments: &Arguments<'_>) {
    let member = arguments.member(1);
    let word = |place: usize| arguments.words.get(place).copied().unwrap_or_default();
    let mut refused = None;
    match word(0) {
        "timeout" => {
            let raft = cluster.nodes[&member].raft.as_ref().expect("it is up");
            cluster.now = cluster.now.max(raft.deadline());
            cluster.give(member, |raft, now, out| raft.tick(now, out));
        }
        "tick" => cluster.give(member, |raft, now, out| raft.tick(now, out)),
        "propose" => {
            let (kind, payload) = match arguments.named.get("members") {
                Some(members) => (EntryKind::Configuration, (*members).to_string()),
                None if arguments.named.contains_key("bytes") => {
                    let bytes = usize::try_from(arguments.number("bytes", 0)).expect("a size");
                    (EntryKind::Command, "x".repeat(bytes))
                }
                None => (EntryKind::Command, word(2).to_string()),
            };
            let again = arguments.number("times", 1);
            cluster.give(member, |raft, _, _| {
                for _ in 0..again {
                    refused = raft.propose(kind, Bytes::from(payload.clone())).err();
                }
            });
        }
        "read" => {
            let context = ReadContext(word(2).parse().expect("a context is a number"));
            cluster.read(member, context);
        }
        "transfer" => {
            let target = word(2).parse().ok().map(MemberId);
            cluster.give(member, |raft, now, out| refused = raft.transfer(now, target, out).err());
        }
        "reachable" | "unreachable" => {
            let (peer, up) = (arguments.member(2), word(0) == "reachable");
            cluster.give(member, |raft, now, out| raft.reachable(now, peer, up, out));
        }
        "mark" => {
            let mark = arguments.position("at");
            cluster.give(member, |raft, _, _| raft.acknowledged_before(mark));
        }
        "snapshot-sent" => {
            let at = arguments.named.get("at").map(|text| parse_position(text));
            let to = arguments.member(2);
            cluster.give(member, |raft, _, _| raft.snapshot_sent(to, at));
        }
        "inject" => {
            let (to, message) = (arguments.member(2), parse_message(arguments));
            cluster.give(to, |raft, now, out| raft.step(now, member, message, out));
        }
        command => panic!("{command} is not a command"),
    }
    if let Some(refused) = refused {
        cluster.trace.push(format!("{member} refuses: {}", describe_refusal(refused)));
    }
}

fn describe_refusal(refused: Refused) -> &'static str {
    match refused {
        Refused::NotLeader => "not the leader",
        Refused::Transferring => "a transfer is under way",
        Refused::Overloaded => "too much is uncommitted",
        Refused::ChangePending => "a change is pending",
        Refused::BadTransferee => "it cannot take over",
    }
}

fn status(cluster: &mut Cluster) {
    for (member, node) in &cluster.nodes {
        let line = match &node.raft {
            None => format!("{member} down"),
            Some(raft) => format!(
                "{member} {:?} term={} last={} commit={} applicable={}",
                raft.role(),
                raft.term(),
                describe::position(raft.last()),
                raft.commit_index(),
                raft.applicable_index()
            ),
        };
        cluster.trace.push(line);
    }
}

/// A message out of thin air: `inject FROM TO KIND name=value ..`.
fn parse_message(arguments: &Arguments<'_>) -> Message {
    let term = Term(arguments.number("term", 0));
    let index = |name: &str| Index(arguments.number(name, 0));
    let (last, prev) = (arguments.position("last"), arguments.position("prev"));
    let has = |word: &str| arguments.words.contains(&word);
    match arguments.words[3] {
        "RequestVote" => Message::RequestVote {
            term,
            pre: has("pre"),
            transfer: has("transfer"),
            last_index: last.index,
            last_term: last.term,
        },
        "Vote" => Message::Vote { term, pre: has("pre"), granted: has("granted") },
        "Append" => Message::Append {
            term,
            prev_index: prev.index,
            prev_term: prev.term,
            commit_index: index("commit"),
            entries: parse_entries(arguments),
        },
        "Appended" => Message::Appended { term, match_index: index("match") },
        "Rejected" => {
            let hint = arguments.position("hint");
            let (hint_index, hint_term) = (hint.index, hint.term);
            Message::Rejected { term, prev_index: index("rejected"), hint_index, hint_term }
        }
        "Heartbeat" => {
            let round = arguments.number("round", 0);
            Message::Heartbeat { term, commit_index: index("commit"), round }
        }
        "HeartbeatAnswer" => Message::HeartbeatAnswer { term, round: arguments.number("round", 0) },
        "ChunkAnswer" => {
            let snapshot = SnapshotId { index: prev.index, term: prev.term };
            Message::ChunkAnswer { term, snapshot, received: None, installed: has("installed") }
        }
        "TimeoutNow" => Message::TimeoutNow { term },
        kind => panic!("{kind} cannot be injected"),
    }
}

fn parse_entries(arguments: &Arguments<'_>) -> Vec<Entry> {
    let text = arguments.named.get("entries").copied().unwrap_or_default();
    let places = text.split(',').filter(|place| !place.is_empty()).map(parse_position);
    let entry = |place: Position| {
        let mut entry =
            Entry::new(place.term, place.index, EntryKind::Command, Bytes::from_static(b"evil"));
        entry.checksum ^= u32::from(arguments.words.contains(&"broken"));
        entry
    };
    places.map(entry).collect()
}
