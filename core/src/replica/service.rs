//! What clients ask: admitted, then proposed as a command, read, or given to a job.

use super::proposals::{self, Proposals, Way};
use super::reads::Read;
use super::{
    Effect, Effects, Failure, Job, JobId, JobResult, Replica, Request, RequestId, Response,
    admission,
};
use crate::store::command::Body;
use crate::store::v2::auth::Claim;

impl Replica {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request, effects: &mut Effects) {
        let reads = self.reads.len() + self.early.len();
        let works = self.machine.works() + self.jobs.len();
        let waiting = self.proposals.writes.len() + reads + works;
        self.count_v2(&request);
        let refused = admission::refuse(&self.admission_view(waiting), &request);
        if let Some(failure) = refused {
            self.reply(id, Err(failure), effects);
            return;
        }
        match request {
            Request::V2Write(write) => self.write(Some(id), None, Body::V2(write), effects),
            Request::V3Write(write) => self.write(Some(id), None, Body::V3(write), effects),
            Request::OnBehalf { claim, request } => self.on_behalf(id, claim, *request, effects),
            Request::V2Auth { change, password } => {
                self.change_auth(id, change, password, None, effects);
            }
            Request::Authenticate { user, password } => {
                self.authenticate(id, user, password, effects);
            }
            Request::Publish { name, client_urls } => {
                let body = Body::Publish { member: self.member, name, client_urls };
                self.write(Some(id), None, body, effects);
            }
            Request::ChangeMembership(change) => {
                self.write(Some(id), None, Body::Membership(change), effects);
            }
            Request::TransferLeadership(target) => {
                let now = self.now.monotonic;
                let begun = self.raft.transfer(now, Some(target), &mut self.out);
                let outcome = begun.map(|()| Response::Done);
                self.reply(id, outcome.map_err(|_| Failure::BadTransferee), effects);
            }
            Request::Secret(length) => {
                effects.push(Effect::Job(self.jobs.begin(id), Job::Secret(length)));
            }
            read => self.read(id, read, effects),
        }
    }

    /// etcd looks up its auth switch in the store for each keys request, and counts that.
    fn count_v2(&mut self, request: &Request) {
        let asked = request.asked();
        if matches!(asked, Request::V2Write(_) | Request::V2Get { .. } | Request::V2Watch(_)) {
            self.machine.state_mut().v2_mut().count_auth_read();
        }
    }

    pub(super) fn admission_view(&self, waiting: usize) -> admission::View<'_> {
        admission::View {
            now: self.now.monotonic,
            options: &self.options,
            state: self.machine.state(),
            member: self.member,
            peers: &self.peers,
            raft: &self.raft,
            waiting,
            log_is_full: self.storage.is_full(),
            watches_are_full: self.watches.are_full(),
            stopping: self.stopping_since.is_some(),
        }
    }

    /// The table of waiting clients, and what proposing needs beside it.
    pub(super) fn way<'a>(&'a mut self, effects: &'a mut Effects) -> (&'a mut Proposals, Way<'a>) {
        let Self { now, options, raft, peers, proposals, machine, .. } = self;
        let membership = machine.state().membership();
        (proposals, Way { now: *now, options, raft, peers, membership, effects })
    }

    /// Proposes a command, or passes it on. Without a request the member asks on its own behalf.
    pub(super) fn write(
        &mut self,
        request: Option<RequestId>,
        claim: Option<&Claim>,
        body: Body,
        effects: &mut Effects,
    ) {
        let user = Claim::encode(claim);
        let (proposals, mut way) = self.way(effects);
        if let Some((request, failure)) = proposals.begin(request, user, body, &mut way) {
            self.reply(request, Err(failure), effects);
        }
    }

    pub(super) fn read(&mut self, id: RequestId, request: Request, effects: &mut Effects) {
        let linearizable = admission::is_linearizable(&request);
        let since = self.now.monotonic;
        let deadline = proposals::deadline(self.now, &self.options);
        let read = Read { id, request, since, deadline };
        if linearizable {
            self.reads.gather(read);
        } else if self.machine.has_caught_up() {
            self.answer(read, effects);
        } else {
            self.early.push(read);
        }
    }

    /// Answers a read from the applied state.
    pub(super) fn answer(&mut self, read: Read, effects: &mut Effects) {
        let id = read.id;
        let (request, claim) = read.request.split();
        let outcome = match request {
            Request::V2Watch(watch) => Ok(self.watch(id, &watch, claim.as_ref())),
            Request::Members { .. } => {
                let members = self.machine.state().membership().members.values();
                Ok(Response::Members(members.cloned().collect()))
            }
            Request::Barrier | Request::CaughtUp => Ok(Response::Done),
            store_read => match self.machine.read(id, &store_read, claim.as_ref()) {
                Some(outcome) => outcome,
                None => return,
            },
        };
        self.reply(id, outcome, effects);
    }

    pub(super) fn on_job(&mut self, id: JobId, result: JobResult, effects: &mut Effects) {
        match (self.jobs.finish(id), result) {
            (Some(request), JobResult::Secret(secret)) => {
                self.reply(request, Ok(Response::Secret(secret)), effects);
            }
            (_, result) => self.on_credentials(id, result, effects),
        }
    }

    pub(super) fn on_cancel(&mut self, id: RequestId) {
        self.jobs.cancel(id);
        self.watches.close(id, self.machine.state_mut());
        self.machine.cancel(id);
        self.credentials.cancel(id);
    }
}
