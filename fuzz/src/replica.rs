//! A replica among two peers that may say anything, in any order.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use quorra_core::disk::{DiskOp, Lane, Ticket};
use quorra_core::identity::MemberId;
use quorra_core::raft::{Index, Position, Term};
use quorra_core::replica::{
    Effect, Effects, Input, Message, RecoveryError, Replica, Request, RequestId, StopReason,
};
use quorra_core::store::v3;
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::peer;

use crate::disk::Disk;
use crate::member;
use crate::pieces;

const ME: MemberId = MemberId(1);
const PEERS: [MemberId; 2] = [MemberId(2), MemberId(3)];
/// No input asks for more turns than these at one time.
const TURNS_MAX: usize = 10_000;

/// Each block is one thing that happens: its first byte says which, the rest is its content. The
/// replica's rules hold after each, and a restart from what is durable finds a state that was.
pub fn run(bytes: &[u8]) {
    let mut world = World::new();
    for block in pieces::blocks(bytes) {
        if world.stopped.is_none() {
            world.happen(block);
        }
    }
    world.check_recovery();
}

struct World {
    replica: Replica,
    effects: Effects,
    now: Now,
    disk: Disk,
    /// What is not durable yet.
    queue: VecDeque<(Lane, Ticket, Vec<DiskOp>)>,
    /// Whether the disk answers at once.
    prompt: bool,
    stopped: Option<StopReason>,
    hashes: BTreeMap<Index, u64>,
}

impl World {
    fn new() -> Self {
        let now = Now { monotonic: Instant(1 << 40), wall: WallTime(1_700_000_000_000_000_000) };
        let mut world = Self {
            replica: member::found(ME, &[ME, PEERS[0], PEERS[1]], now),
            effects: Effects::new(),
            now,
            disk: Disk::default(),
            queue: VecDeque::new(),
            prompt: true,
            stopped: None,
            hashes: BTreeMap::new(),
        };
        for peer in PEERS {
            let acknowledged = Position { term: Term(0), index: Index(0) };
            world.step(Input::Connected { peer, acknowledged });
        }
        world.settle();
        world
    }

    fn happen(&mut self, mut block: Bytes) {
        if block.is_empty() {
            return;
        }
        let what = block.split_to(1)[0];
        let first = block.first().copied().unwrap_or_default();
        let peer = PEERS[usize::from(what >> 4 & 1)];
        match what & 7 {
            0 => self.pass(Duration::from_millis(u64::from(first) * 10)),
            1 => self.hear(peer, &block),
            2 => self.step(Input::Request(RequestId(u64::from(first)), put(block))),
            3 => self.step(Input::Request(RequestId(u64::from(first)), range(what, block))),
            4 => self.prompt = first & 1 == 0,
            5 => self.disk_answers(),
            6 => self.step(Input::Disconnected(peer)),
            _ => {
                let index = Index(u64::from(first & 7));
                let acknowledged = Position { term: Term(index.0.min(1)), index };
                self.step(Input::Connected { peer, acknowledged });
            }
        }
        // Several things may happen in one turn.
        if what & 0x80 == 0 {
            self.settle();
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now.monotonic = self.now.monotonic + duration;
        self.now.wall.0 += i64::try_from(duration.as_nanos()).expect("a run is short");
        self.step(Input::Tick);
    }

    /// The block is a frame without its checksum.
    fn hear(&mut self, from: MemberId, block: &[u8]) {
        let length = u32::try_from(block.len()).expect("inputs are short");
        let frame = [&length.to_le_bytes()[..], &[0; 4], block].concat();
        let mut sealed = BytesMut::from(&peer::reseal(&frame)[..]);
        let Ok(Some(frame)) = peer::next_frame(&mut sealed, |_| true) else { return };
        let Ok(Some(message)) = peer::decode(frame) else { return };
        self.step(Input::Peer(from, message));
    }

    fn disk_answers(&mut self) {
        let Some((lane, ticket, operations)) = self.queue.pop_front() else { return };
        operations.into_iter().for_each(|operation| self.disk.perform(operation));
        self.step(Input::Durable(lane, ticket));
    }

    fn step(&mut self, input: Input) {
        self.replica.step(self.now, input, &mut self.effects);
    }

    /// Turns until nothing is left to be done at this time.
    fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            self.step(Input::Flush);
            while let Some(effect) = self.effects.pop() {
                self.perform(effect);
            }
            self.replica.check();
            self.hashes.extend(self.replica.state_hash());
            let waits = self.prompt && !self.queue.is_empty();
            if self.stopped.is_some() || !waits && self.replica.deadline() > self.now.monotonic {
                return;
            }
            if waits {
                self.disk_answers();
            } else {
                self.step(Input::Tick);
            }
        }
        panic!("a replica at rest asks for no more turns");
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Disk(lane, ticket, operations) => {
                self.queue.push_back((lane, ticket, operations));
            }
            Effect::Read(id, place) => {
                let content = self.disk.read(place);
                self.step(Input::Read(id, content));
            }
            Effect::Send(to, message) => check_sent(to, &message),
            Effect::Stop(reason) => self.stopped = Some(reason),
            Effect::Reply(..) | Effect::Job(..) | Effect::Members | Effect::Notice(_) => {}
        }
    }

    fn check_recovery(&self) {
        if self.disk.found().is_empty() {
            return;
        }
        let recovered = match member::recover(&self.disk, self.now) {
            Ok(recovered) => recovered,
            // A leader may say that the cluster committed what this build does not know.
            Err(RecoveryError::UnknownCommand(_)) => return,
            Err(error) => panic!("what was written is read again: {error}"),
        };
        recovered.check();
        let Some((index, hash)) = recovered.state_hash() else { return };
        let known = self.hashes.get(&index);
        assert!(known.is_none_or(|known| *known == hash), "recovery equals replay");
    }
}

fn check_sent(to: MemberId, message: &Message) {
    assert!(to != ME, "nobody writes to itself");
    let mut out = BytesMut::new();
    peer::encode(message.clone(), &mut out);
    let frame = peer::next_frame(&mut out, |_| true).expect("its checksum holds");
    let heard = peer::decode(frame.expect("it is whole"));
    assert_eq!(heard, Ok(Some(message.clone())), "a peer hears what was said");
}

fn put(key: Bytes) -> Request {
    let value = Some(key.clone());
    Request::V3Write(v3::Write::Put(v3::Put { key, value, lease: Some(None), previous: false }))
}

fn range(what: u8, key: Bytes) -> Request {
    let range = v3::Range {
        interval: v3::Interval::From(key),
        limit: 0,
        revision: 0,
        order: v3::SortOrder::None,
        target: v3::SortTarget::Key,
        keys_only: false,
        count_only: false,
        mod_revisions: (0, 0),
        create_revisions: (0, 0),
    };
    Request::V3Range { range, serializable: what & 0x40 != 0 }
}
