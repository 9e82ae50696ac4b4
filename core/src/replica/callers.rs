//! Requests of callers who say who they are, while v2's rules count.
//!
//! A password is checked first ([`Request::Authenticate`]); what is then asked comes inside
//! [`Request::OnBehalf`]. A read is judged by the state that answers it. A write is judged here,
//! so that most refusals cost no entry, and again where it stands in the log: that judgement is
//! the one that counts.

use alloc::boxed::Box;

use super::credentials::{Finished, Unhashed, Verdict};
use super::{
    Effect, Effects, Failure, JobId, JobResult, Password, Replica, Request, RequestId, Response,
    proposals,
};
use crate::store::command::Body;
use crate::store::v2;
use crate::store::v2::auth::{Access, Change, Claim, Refusal};

impl Replica {
    /// Whether what is known here of users and roles is no older than what was shown before the
    /// last start.
    #[must_use]
    pub fn has_caught_up(&self) -> bool {
        self.machine.has_applied_enough()
    }

    pub(super) fn on_behalf(
        &mut self,
        id: RequestId,
        claim: Claim,
        request: Request,
        effects: &mut Effects,
    ) {
        match request {
            Request::V2Write(write) => {
                let v2 = self.machine.state().v2();
                let refused = v2.authorize(Some(&claim), write.path(), Access::Write).err();
                if let Some(error) = refused.filter(|_| self.has_caught_up()) {
                    return self.reply(id, Ok(Response::V2(Err(error))), effects);
                }
                self.write(Some(id), Some(&claim), Body::V2(write), effects);
            }
            Request::V2Auth { change, password } => {
                if self.is_administrator(id, &claim, effects) {
                    self.change_auth(id, change, password, Some(claim), effects);
                }
            }
            Request::ChangeMembership(change) => {
                if self.is_administrator(id, &claim, effects) {
                    self.write(Some(id), Some(&claim), Body::Membership(change), effects);
                }
            }
            read => {
                let request = Box::new(read);
                self.read(id, Request::OnBehalf { claim, request }, effects);
            }
        }
    }

    fn is_administrator(&self, id: RequestId, claim: &Claim, effects: &mut Effects) -> bool {
        let auth = self.machine.state().v2().auth();
        let permitted = auth.permits_administration(&claim.caller) || !self.has_caught_up();
        if !permitted {
            self.reply(id, Ok(Response::V2Auth(Err(Refusal::NotPermitted))), effects);
        }
        permitted
    }

    /// Proposes a change of users and roles, once its password is hashed.
    pub(super) fn change_auth(
        &mut self,
        id: RequestId,
        change: Change,
        password: Option<Password>,
        claim: Option<Claim>,
        effects: &mut Effects,
    ) {
        let Some(password) = password else {
            return self.write(Some(id), claim.as_ref(), Body::V2Auth(change), effects);
        };
        let deadline = proposals::deadline(self.now, &self.options);
        let unhashed = Unhashed { change, claim };
        match self.credentials.hash(id, unhashed, password, deadline, &mut self.jobs) {
            Some((job, asked)) => effects.push(Effect::Job(job, asked)),
            None => self.reply(id, Err(Failure::TooManyRequests), effects),
        }
    }

    pub(super) fn authenticate(
        &mut self,
        id: RequestId,
        user: bytes::Bytes,
        password: Password,
        effects: &mut Effects,
    ) {
        let auth = self.machine.state().v2().auth();
        let known = core::str::from_utf8(&user).ok().and_then(|name| auth.user(name));
        let Some(known) = known else {
            return self.reply(id, Ok(Response::Authenticated(false)), effects);
        };
        let hash = known.hash.clone();
        let deadline = proposals::deadline(self.now, &self.options);
        match self.credentials.verify(id, (user, &hash), password, deadline, &mut self.jobs) {
            Verdict::Known(right) => self.reply(id, Ok(Response::Authenticated(right)), effects),
            Verdict::Asked(jobs) => {
                jobs.into_iter().for_each(|(id, job)| effects.push(Effect::Job(id, job)));
            }
            Verdict::Busy => self.reply(id, Err(Failure::TooManyRequests), effects),
        }
    }

    /// A job of the credentials' is done.
    pub(super) fn on_credentials(&mut self, id: JobId, result: JobResult, effects: &mut Effects) {
        match self.credentials.finished(id, result) {
            Finished::Nothing => {}
            Finished::Verified(requests, right) => {
                for request in requests {
                    self.reply(request, Ok(Response::Authenticated(right)), effects);
                }
            }
            Finished::Hashed(request, change, claim) => {
                self.write(Some(request), claim.as_ref(), Body::V2Auth(change), effects);
            }
        }
    }

    /// Opens a watch, if the caller may read.
    pub(super) fn watch(
        &mut self,
        id: RequestId,
        watch: &v2::Watch,
        claim: Option<&Claim>,
    ) -> Response {
        let state = self.machine.state_mut();
        match state.v2().authorize(claim, &watch.path, Access::Read) {
            Ok(()) => self.watches.open(id, watch, state),
            Err(error) => Response::V2(Err(error)),
        }
    }
}

impl Request {
    /// What is asked, on whose behalf ever.
    #[must_use]
    pub fn asked(&self) -> &Self {
        match self {
            Self::OnBehalf { request, .. } => request,
            plain => plain,
        }
    }

    /// On whose behalf it is asked, if that was found out.
    #[must_use]
    pub fn claim(&self) -> Option<&Claim> {
        match self {
            Self::OnBehalf { claim, .. } => Some(claim),
            _ => None,
        }
    }

    /// What is asked, and on whose behalf.
    pub(super) fn split(self) -> (Self, Option<Claim>) {
        match self {
            Self::OnBehalf { claim, request } => (*request, Some(claim)),
            plain => (plain, None),
        }
    }
}
