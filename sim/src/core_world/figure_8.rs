//! Figure 8 of the Raft paper, staged: chance alone meets it too seldom.
//!
//! ```text
//! Stake       a leader is cut off with one member less than a majority; an entry stays with them
//! Usurper     the others elect; whoever wins is cut off before its first word
//! Restoration the usurper apart, one of the old group wins again and brings the entry to one more:
//!             a majority holds it, but not yet one entry of the new term; it is silenced right there
//! Fall        the old group apart, the usurper, whose entry is newer, may win and replace the stake
//! ```
//!
//! Whoever counts the stake as committed, because a majority holds it, loses it in the end. Nothing
//! here is forced: only links are cut. Where members do something else, the play ends early.

use std::time::Duration;

use quorra_core::raft::{self, Position};
use quorra_core::replica::{Message, Request};

use super::{CoreWorld, Waiting};
use crate::chance::nanos;

/// How long an answer to what was just sent takes at most, beside the slowest way.
const ANSWER_TIME: Duration = Duration::from_millis(60);
/// No act takes longer than so many election timeouts.
const PATIENCE: u32 = 10;

/// A play that is on.
#[derive(Debug)]
pub(super) struct Figure8 {
    act: Act,
    /// When the present act ends at the latest.
    until: u64,
    /// The seats of the old leader and its companions: one less than a majority.
    old: Vec<usize>,
    /// The other seats.
    new: Vec<usize>,
    /// The old leader's last entry before the play.
    before: Position,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Stake,
    Usurper { stake: Position },
    Restoration { stake: Position, usurper: usize },
    Silence,
    Fall,
}

impl CoreWorld {
    /// Begins the play, if an odd number of members is there to play it.
    pub(super) fn begin_figure_8(&mut self) {
        let Some(leader) = self.leader() else { return };
        let Some(replica) = self.members[leader].replica() else { return };
        let before = replica.raft().last();
        let voters = replica.membership().configuration().voters;
        let running = self.running();
        let mut seats: Vec<usize> = voters.iter().map(|voter| self.seats[voter]).collect();
        if seats.len() < 3
            || seats.len().is_multiple_of(2)
            || seats.iter().any(|s| !running.contains(s))
        {
            return;
        }
        seats.retain(|seat| *seat != leader);
        self.chance.shuffle(&mut seats);
        let new = seats.split_off(seats.len() / 2 - 1);
        let old = [vec![leader], seats].concat();
        self.network.separate(&old, &new);
        self.network.separate(&new, &old);
        let until = self.act_ends();
        self.figure_8 = Some(Figure8 { act: Act::Stake, until, old, new, before });
        let publish = Request::Publish { name: "stake".into(), client_urls: Vec::new() };
        self.ask(leader, publish, Waiting::Nemesis);
    }

    fn act_ends(&self) -> u64 {
        self.now + nanos(self.swarm.knobs.election_timeout * PATIENCE)
    }

    /// Looks after the play from time to time.
    pub(super) fn advance_figure_8(&mut self) {
        let Some(play) = &self.figure_8 else { return };
        let (act, late) = (play.act, self.now >= play.until);
        match act {
            Act::Stake if !late => self.look_for_stake(),
            Act::Silence if late => self.begin_fall(),
            _ if late || !self.troubled => self.end_figure_8(),
            _ => {}
        }
    }

    fn end_figure_8(&mut self) {
        self.figure_8 = None;
        self.network.heal();
    }

    /// The stake is with the whole old group, and with nobody else.
    fn look_for_stake(&mut self) {
        let Some(play) = &self.figure_8 else { return };
        let last = |seat: &usize| self.members[*seat].replica().map(|r| r.raft().last());
        let Some(stake) = last(&play.old[0]).filter(|last| *last > play.before) else { return };
        let theirs = play.old.iter().all(|seat| last(seat) == Some(stake));
        let only_theirs = play.new.iter().all(|seat| last(seat).is_some_and(|l| l < stake));
        if theirs && only_theirs {
            self.play(Act::Usurper { stake });
        }
    }

    fn play(&mut self, act: Act) {
        let until = self.act_ends();
        if let Some(play) = &mut self.figure_8 {
            (play.act, play.until) = (act, until);
        }
    }

    /// Somebody is about to speak: links are cut before, or after its first word.
    pub(super) fn overhear(&mut self, from: usize, to: usize, message: &Message) -> Heard {
        let Some(play) = &self.figure_8 else { return Heard::Nothing };
        let Message::Raft(raft::Message::Append { entries, .. }) = message else {
            return Heard::Nothing;
        };
        match play.act {
            Act::Usurper { stake } if play.new.contains(&from) => {
                self.network.isolate(from, None, self.members.len());
                self.play(Act::Restoration { stake, usurper: from });
                Heard::Nothing
            }
            Act::Restoration { stake, usurper }
                if play.old.contains(&from) && play.new.contains(&to) && to != usurper =>
            {
                match entries.last() {
                    Some(last) if last.index == stake.index => Heard::Stake,
                    _ => Heard::Nothing,
                }
            }
            _ => Heard::Nothing,
        }
    }

    /// The stake is on its way to a majority: whoever brought it says nothing more, but hears.
    pub(super) fn silence(&mut self, speaker: usize) {
        let Some(play) = &mut self.figure_8 else { return };
        let (_, slowest) = self.swarm.weather.delay;
        let (_, disk) = self.swarm.disk_latency;
        play.act = Act::Silence;
        play.until = self.now + nanos(ANSWER_TIME + slowest * 2 + disk * 2);
        self.network.separate(&[speaker], &play.new);
    }

    fn begin_fall(&mut self) {
        let Some(play) = &self.figure_8 else { return };
        let (old, new) = (play.old.clone(), play.new.clone());
        self.network.heal();
        self.network.separate(&old, &new);
        self.network.separate(&new, &old);
        self.play(Act::Fall);
    }
}

/// What was overheard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing that matters, or something that nobody will hear any more.
    Nothing,
    /// The word that brings the stake to a majority.
    Stake,
}
