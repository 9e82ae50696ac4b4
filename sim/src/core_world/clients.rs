//! Clients: each asks one thing at a time of some member, and remembers what it was told.

use quorra_core::replica::{Input, Reply, Request, RequestId};

use super::event::Event;
use super::step::Step;
use super::{CoreWorld, Waiting};
use crate::chance::nanos;
use crate::history::Outcome;

/// A client that stays with its member while that runs.
#[derive(Debug, Default)]
pub(super) struct Client {
    seat: Option<usize>,
}

impl CoreWorld {
    /// The client thinks, then goes on.
    pub(super) fn rest(&mut self, client: usize) {
        let think = self.chance.between(0, nanos(self.swarm.think_max));
        self.queue.push(self.now + think, Event::Client(client));
    }

    pub(super) fn on_client(&mut self, client: usize) {
        if !self.troubled {
            return;
        }
        let running = self.running();
        if running.is_empty() {
            self.rest(client);
            return;
        }
        let stays = self.clients[client].seat.filter(|seat| running.contains(seat));
        let moves = self.chance.per_mille(100);
        let seat = match stays {
            Some(seat) if !moves => seat,
            _ => self.chance.pick(&running),
        };
        self.clients[client].seat = Some(seat);
        let drawn = self.workload.draw();
        let request = match &mut self.callers {
            Some(callers) => callers.speak(drawn),
            None => drawn,
        };
        self.operate(seat, request, |operation| Waiting::Client { client, operation });
    }

    /// Asks a member for something that the history keeps.
    pub(super) fn operate(
        &mut self,
        seat: usize,
        request: Request,
        waiting: impl FnOnce(usize) -> Waiting,
    ) -> usize {
        let operation = self.history.begin(seat, self.now, request.clone());
        self.trace.record(self.now, &Step::Asked { seat, operation, request: &request });
        self.ask(seat, request, waiting(operation));
        operation
    }

    /// Asks a member for something.
    pub(super) fn ask(&mut self, seat: usize, request: Request, waiting: Waiting) {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let incarnation = self.members[seat].incarnation;
        self.waiting.insert(id, (seat, self.now, waiting));
        let input = Input::Request(id, request);
        self.tell(seat, incarnation, |inbox| &mut inbox.clients, input);
    }

    pub(super) fn end_operation(&mut self, seat: usize, operation: usize, reply: Reply) {
        self.trace.record(self.now, &Step::Told { seat, operation, reply: &reply });
        let outcome = match reply.outcome {
            Ok(response) => Outcome::Answered(reply.header, Box::new(response)),
            Err(failure) => Outcome::Refused(failure),
        };
        self.history.end(operation, self.now, outcome);
    }

    /// The member ended: nobody will reply to what it was asked.
    pub(super) fn lose_requests(&mut self, seat: usize) {
        let lost: Vec<RequestId> =
            self.waiting.iter().filter(|(_, entry)| entry.0 == seat).map(|(id, _)| *id).collect();
        for id in lost {
            match self.waiting.remove(&id) {
                Some((_, _, Waiting::Client { client, operation })) => {
                    self.history.end(operation, self.now, Outcome::Lost);
                    self.rest(client);
                }
                Some((_, _, Waiting::Probe { operation })) => {
                    self.history.end(operation, self.now, Outcome::Lost);
                }
                Some((_, _, Waiting::Nemesis)) | None => {}
            }
        }
    }
}
