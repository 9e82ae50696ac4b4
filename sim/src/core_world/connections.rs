//! Connections between members, and the messages on them.

use quorra_core::identity::MemberId;
use quorra_core::replica::{Input, Message};

use super::CoreWorld;
use super::event::Event;
use super::figure_8::Heard;
use super::step::{Step, Summary};
use crate::check::{Verdict, Violation};

/// How often connections are looked after.
const DIAL_INTERVAL: u64 = 20_000_000;

impl CoreWorld {
    pub(super) fn send(&mut self, from: usize, to: MemberId, message: Message) -> Verdict {
        let Some(&to_seat) = self.seats.get(&to) else {
            return Err(Violation(format!("m{from} speaks to {to}, who is nobody")));
        };
        if self.members[to_seat].id() != to {
            return Ok(());
        }
        if let Message::Raft(message) = &message {
            self.consensus.sent(self.members[from].id(), to, message)?;
            self.check_claim(from, to, message)?;
        }
        let heard = self.overhear(from, to_seat, &message);
        let repeatable = matches!(message, Message::Raft(_));
        let arrivals = self.network.deliveries(self.now, from, to_seat, repeatable);
        let copies = arrivals.len();
        let step = Step::Sent { from, to: to_seat, message: Summary::of(&message), copies };
        self.trace.record(self.now, &step);
        let incarnation = self.members[to_seat].incarnation;
        let sender = (from, self.members[from].id());
        for arrival in arrivals {
            let message = message.clone();
            let event = Event::Deliver { sender, to: to_seat, incarnation, message };
            self.queue.push(arrival, event);
        }
        if heard == Heard::Stake {
            self.silence(from);
        }
        Ok(())
    }

    pub(super) fn on_delivery(
        &mut self,
        (from, id): (usize, MemberId),
        to: usize,
        incarnation: u64,
        message: Message,
    ) {
        let step = Step::Arrived { from, to, message: Summary::of(&message) };
        self.trace.record(self.now, &step);
        let input = Input::Peer(id, message);
        self.tell(to, incarnation, |inbox| &mut inbox.peers, input);
    }

    /// Connections come up between running members that reach each other; those over a cut link
    /// break sooner or later.
    pub(super) fn on_dial(&mut self) -> Verdict {
        self.queue.push(self.now + DIAL_INTERVAL, Event::Dial);
        for a in 0..self.members.len() {
            for b in 0..a {
                let run = self.members[a].process.is_some() && self.members[b].process.is_some();
                let whole = self.network.is_whole(a, b);
                let connected = self.network.is_connected(a, b);
                if run && whole && !connected {
                    self.connect(a, b, true);
                } else if connected && !whole && self.chance.per_mille(20) {
                    self.connect(a, b, false);
                }
            }
        }
        self.start_added();
        self.advance_figure_8();
        self.replace_wiped();
        Ok(())
    }

    pub(super) fn connect(&mut self, a: usize, b: usize, up: bool) {
        if !self.network.connect(a, b, up) {
            return;
        }
        self.trace.record(self.now, &Step::Connected { a, b, up });
        for (seat, other) in [(a, b), (b, a)] {
            let (id, peer) = (self.members[seat].id(), self.members[other].id());
            let remembered = self.members[other].replica().map(|peer| peer.acknowledged_by(id));
            let input = match remembered {
                Some(acknowledged) if up => Input::Connected { peer, acknowledged },
                _ => Input::Disconnected(peer),
            };
            let incarnation = self.members[seat].incarnation;
            self.tell(seat, incarnation, |inbox| &mut inbox.peers, input);
        }
    }
}
