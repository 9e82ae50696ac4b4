//! The committed log replayed through the models: every answer must be the one that its place in
//! the order gives.
//!
//! The ledger of applied entries is the witness. Each answer names the newest change that it shows
//! (a v3 revision, a v2 index). A change that was acknowledged must be the very command that made
//! that revision or index, no command may serve two operations, and whatever changed nothing must
//! be what the model answers in that state. Real time is checked on the same positions, and that no
//! node expires before its time.

use std::collections::{BTreeMap, BTreeSet};

use quorra_core::raft::{Entry, EntryKind, Index};
use quorra_core::replica::{Job, JobResult, Request, Response};
use quorra_core::store::command::{Body, Command};
use quorra_core::store::membership::Member;
use quorra_core::store::v2::auth::{Access, Answer, Change, Claim, Refusal};
use quorra_core::store::{v2, v3};
use quorra_core::time::WallTime;

use super::lifetimes::{Lifetimes, Times};
use super::real_time::{self, Placed};
use super::{Verdict, Violation, require};
use crate::history::{History, Operation, Outcome, is_definite};
use crate::model;

/// Both stores and the membership, as the log makes them.
struct State {
    v3: model::v3::Model,
    v2: model::v2::Model,
    members: model::members::Model,
    auth: model::auth::Model,
    clock: WallTime,
}

/// What one command did, for the operation that asked for it.
#[derive(Debug)]
enum Made {
    V3(v3::Write, v3::Answer),
    V2(Option<Claim>, v2::Write, Box<v2::Event>),
    Auth(Option<Claim>, Change, Result<Answer, Refusal>),
}

impl State {
    fn new(bootstrap: &[Member]) -> Self {
        let mut v2 = model::v2::Model::default();
        bootstrap.iter().for_each(|_| v2.touch());
        let members = model::members::Model::new(bootstrap);
        let auth = model::auth::Model::default();
        Self { v3: model::v3::Model::default(), v2, members, auth, clock: WallTime::default() }
    }

    /// What a request for a key comes to now, if it is one. Whoever was denied must have been so by
    /// some reading of its claim, and whoever was not must be permitted by one.
    fn expected_v2(&mut self, operation: &Operation) -> Option<Result<v2::Event, v2::Error>> {
        let permitted = self.readings(operation)?;
        let (denied, wants) = (is_denied(operation), |permitted: &bool| *permitted);
        let permitted =
            if denied { permitted.iter().all(wants) } else { permitted.iter().any(wants) };
        if !permitted {
            return Some(Err(self.denied()));
        }
        match operation.request.asked() {
            Request::V2Get { get, .. } => Some(self.v2.get(get)),
            Request::V2Write(write) => Some(self.v2.apply(write, self.clock)),
            _ => None,
        }
    }

    /// Whether what is asked of a key is permitted, for each reading of the claim.
    fn readings(&self, operation: &Operation) -> Option<Vec<bool>> {
        let (path, access) = match operation.request.asked() {
            Request::V2Get { get, .. } => (&get.path, Access::Read),
            Request::V2Write(write) => (write.path(), Access::Write),
            _ => return None,
        };
        let permits = |claim| self.auth.permits(claim, path.as_bytes(), access);
        Some(operation.claims().into_iter().map(permits).collect())
    }

    fn denied(&self) -> v2::Error {
        let (kind, cause) = (v2::ErrorKind::Unauthorized, "Insufficient credentials".into());
        v2::Error { kind, cause, index: self.v2.index() }
    }

    fn write_v2(
        &mut self,
        claim: Option<&Claim>,
        write: &v2::Write,
    ) -> Result<v2::Event, v2::Error> {
        let permitted = self.auth.permits(claim, write.path().as_bytes(), Access::Write);
        if permitted { self.v2.apply(write, self.clock) } else { Err(self.denied()) }
    }

    /// Applies a command; what changed one of the stores in a way that clients see is returned.
    fn apply(&mut self, command: &Command) -> Option<Made> {
        self.clock = self.clock.max(command.stamp);
        match &command.body {
            Body::V3(write) => {
                let before = self.v3.revision();
                let answer = self.v3.apply(write).ok()?;
                (self.v3.revision() > before).then(|| Made::V3(write.clone(), answer))
            }
            Body::V2(write) => {
                let claim = Claim::decode(&command.user);
                let event = self.write_v2(claim.as_ref(), write).ok()?;
                Some(Made::V2(claim, write.clone(), Box::new(event)))
            }
            Body::V2Auth(change) => {
                let claim = Claim::decode(&command.user);
                let (touches, outcome) = self.auth.apply(claim.as_ref(), change);
                (0..touches).for_each(|_| self.v2.touch());
                Some(Made::Auth(claim, change.clone(), outcome))
            }
            Body::V2Sync => None,
            Body::Publish { member, .. } => {
                if self.members.contains(*member) {
                    self.v2.touch();
                }
                None
            }
            Body::ClusterVersion(_) => {
                self.v2.touch();
                None
            }
            Body::Membership(change) => {
                (0..self.members.apply(change)).for_each(|_| self.v2.touch());
                None
            }
        }
    }
}

/// A change of users and roles with its outcome.
type Administered = (Option<Claim>, Change, Result<Answer, Refusal>);

/// What the v2 store answered.
type V2Answer<'a> = Result<&'a v2::Event, &'a v2::Error>;

/// Answers by the revision or index that they show.
#[derive(Default)]
struct Claims<'a> {
    v3: BTreeMap<i64, Vec<(&'a Operation, &'a v3::Answer)>>,
    v2: BTreeMap<u64, Vec<(&'a Operation, V2Answer<'a>)>>,
    /// Who was denied over HTTP, where no index tells when.
    denied: Vec<&'a Operation>,
    placed_v3: Vec<Placed>,
    placed_v2: Vec<Placed>,
    lifetimes: Lifetimes,
}

fn revision_of(answer: &v3::Answer) -> i64 {
    match answer {
        v3::Answer::Range(range) => range.revision,
        v3::Answer::Put { revision, .. }
        | v3::Answer::DeleteRange { revision, .. }
        | v3::Answer::Txn { revision, .. } => *revision,
    }
}

impl<'a> Claims<'a> {
    fn of(history: &'a History) -> Result<Self, Violation> {
        let mut claims = Self::default();
        for operation in history.operations() {
            let Outcome::Answered(_, response) = &operation.outcome else { continue };
            match &**response {
                Response::V3(Ok(answer)) => {
                    claims.v3.entry(revision_of(answer)).or_default().push((operation, answer));
                }
                Response::V3(Err(error)) => {
                    return Err(Violation(format!("{:?} fails: {error:?}", operation.request)));
                }
                Response::V2(Ok(event)) => {
                    let claim = (operation, Ok(&**event));
                    claims.v2.entry(event.index).or_default().push(claim);
                }
                Response::V2(Err(_)) if operation.gated && is_denied(operation) => {
                    claims.denied.push(operation);
                }
                Response::V2(Err(error)) => {
                    claims.v2.entry(error.index).or_default().push((operation, Err(error)));
                }
                _ => {}
            }
        }
        Ok(claims)
    }

    /// Judges what was shown at the state's revision, which `made` has just brought about.
    fn judge_v3(&mut self, state: &mut State, made: Option<&Made>) -> Verdict {
        let revision = state.v3.revision();
        let mut unclaimed = made;
        for (operation, answer) in self.v3.remove(&revision).unwrap_or_default() {
            let own = match (unclaimed, &operation.request) {
                (Some(Made::V3(write, made)), Request::V3Write(asked)) => {
                    write == asked && shown_v3(made) == shown_v3(answer)
                }
                _ => false,
            };
            if own {
                unclaimed = None;
            } else {
                let expected = match &operation.request {
                    Request::V3Range { range, .. } => state.v3.range(range),
                    Request::V3ReadTxn { txn, .. } => state.v3.read_txn(txn),
                    Request::V3Write(write) => state.v3.apply(write),
                    _ => continue,
                };
                require(expected.as_ref().map(shown_v3) == Ok(shown_v3(answer)), || {
                    let asked = &operation.request;
                    format!("{asked:?} is answered {answer:?}, the model says {expected:?}")
                })?;
            }
            self.placed_v3.push(place(operation, u64::try_from(revision).unwrap_or(0), own));
        }
        Ok(())
    }

    /// Whoever was denied is so in some state: users and roles have just changed to this one.
    fn judge_denied(&mut self, state: &State) {
        let is_permitted = |permitted: Vec<bool>| permitted.into_iter().all(|it| it);
        self.denied.retain(|operation| state.readings(operation).is_none_or(is_permitted));
    }

    /// Each node that expires is a change of its own, which readers may see one by one.
    fn judge_expiry(&mut self, state: &mut State, at: Index, times: Times<'_>) -> Verdict {
        while let Some(event) = state.v2.expire(state.clock) {
            self.lifetimes.ended(times, at, &event)?;
            self.judge_v2(state, None)?;
        }
        Ok(())
    }

    /// The same for the v2 store.
    fn judge_v2(&mut self, state: &mut State, made: Option<&Made>) -> Verdict {
        let index = state.v2.index();
        let mut unclaimed = made;
        for (operation, answer) in self.v2.remove(&index).unwrap_or_default() {
            let request = operation.request.asked();
            let own = match (unclaimed, request) {
                (Some(Made::V2(claim, write, made)), Request::V2Write(asked)) => {
                    operation.claims().contains(&claim.as_ref())
                        && write == asked
                        && answer.is_ok_and(|answer| shown_v2(made, answer) == *answer)
                }
                _ => false,
            };
            if own {
                if let Some(Made::V2(_, write, _)) = unclaimed.take() {
                    self.lifetimes.given(index, operation.started, write);
                }
            } else {
                let Some(expected) = state.expected_v2(operation) else { continue };
                let answer = match answer {
                    Ok(event) => Ok(v2::Event { at: None, ..event.clone() }),
                    Err(error) => Err(error.clone()),
                };
                require(expected == answer, || {
                    let asked = &operation.request;
                    format!("{asked:?} is answered {answer:?}, the model says {expected:?}")
                })?;
            }
            self.placed_v2.push(place(operation, index, own));
        }
        Ok(())
    }
}

/// An answer as a client sees it: values that were not asked for are not there.
fn shown_v3(answer: &v3::Answer) -> v3::Answer {
    let mut shown = answer.clone();
    match &mut shown {
        v3::Answer::Range(range) if range.keys_only => {
            range.records = range.records.iter().map(without_value).collect();
        }
        v3::Answer::Txn { answers, .. } => {
            answers.iter_mut().for_each(|answer| *answer = shown_v3(answer));
        }
        _ => {}
    }
    shown
}

fn without_value(record: &v3::Record) -> v3::Record {
    let (create, modified) = (record.create_revision(), record.mod_revision());
    v3::Record::new(create, modified, record.version(), record.lease(), record.key(), b"")
}

/// A change as its writer sees it: over HTTP the leader's stamp does not show.
fn shown_v2(made: &v2::Event, answer: &v2::Event) -> v2::Event {
    let at = if answer.at.is_none() { None } else { made.at };
    v2::Event { at, ..made.clone() }
}

/// Every event of the v2 store that the log makes, in order.
///
/// # Errors
/// When an entry cannot be understood.
pub fn v2_events(ledger: &[&Entry]) -> Result<Vec<v2::Event>, Violation> {
    let mut state = State::new(&[]);
    let mut events = Vec::new();
    for entry in ledger {
        let Some(command) = decode(entry)? else { continue };
        if let Some(Made::V2(_, _, event)) = state.apply(&command) {
            events.push(*event);
        }
        if command.body == Body::V2Sync {
            events.extend(std::iter::from_fn(|| state.v2.expire(state.clock)));
        }
    }
    Ok(events)
}

fn place(operation: &Operation, position: u64, changes: bool) -> Placed {
    let (started, ended) = (operation.started, operation.ended);
    let fresh = is_fresh(operation.request.asked()) && !is_denied(operation);
    Placed { started, ended, position, changes, fresh }
}

/// Whether its caller was found to have no permission, perhaps by a member that lags.
fn is_denied(operation: &Operation) -> bool {
    let Outcome::Answered(_, response) = &operation.outcome else { return false };
    match &**response {
        Response::V2(Err(error)) => error.kind == v2::ErrorKind::Unauthorized,
        Response::V2Auth(Err(refusal)) => *refusal == Refusal::NotPermitted,
        _ => false,
    }
}

/// Every change of users and roles that was answered is in the log, and came to what it comes to
/// there. One that was denied may not have got that far.
fn judge_administration(mut made: Vec<Administered>, history: &History) -> Verdict {
    for operation in history.operations() {
        let Outcome::Answered(_, response) = &operation.outcome else { continue };
        let (Response::V2Auth(outcome), Request::V2Auth { change, password }) =
            (&**response, operation.request.asked())
        else {
            continue;
        };
        if is_denied(operation) {
            continue;
        }
        let mut change = change.clone();
        if let Some(password) = password
            && let JobResult::Hashed(hash) = Job::HashPassword(password.clone()).simulated()
        {
            change.set_hash(hash);
        }
        // What went out on the caller's behalf is nobody else's, so it is taken first.
        let place = operation.claims().into_iter().find_map(|said| {
            made.iter().position(|(claim, made, came_to)| {
                claim.as_ref() == said && *made == change && came_to == outcome
            })
        });
        require(place.is_some(), || {
            format!("{change:?}, which came to {outcome:?}, is not in the log")
        })?;
        place.map(|place| made.swap_remove(place));
    }
    Ok(())
}

/// Whether a request promises to show everything that ended before it began.
fn is_fresh(request: &Request) -> bool {
    match request {
        Request::V3Range { serializable, .. } | Request::V3ReadTxn { serializable, .. } => {
            !serializable
        }
        Request::V2Get { quorum, .. } => *quorum,
        _ => true,
    }
}

/// Judges a history against the log that the cluster committed.
///
/// # Errors
/// When an answer is not what the log makes it, or nothing that was ever committed.
pub fn check(
    ledger: &[&Entry],
    bootstrap: &[Member],
    history: &History,
    times: Times<'_>,
) -> Verdict {
    let mut state = State::new(bootstrap);
    let mut claims = Claims::of(history)?;
    let refused = refused_writes(history);
    let mut identities = BTreeSet::new();
    let mut administered = Vec::new();
    claims.judge_v3(&mut state, None)?;
    claims.judge_v2(&mut state, None)?;
    for entry in ledger {
        let Some(command) = decode(entry)? else { continue };
        let Command { identity, .. } = command;
        require(identities.insert(identity), || {
            format!("the command at index {} was applied before: {identity:?}", entry.index)
        })?;
        if let Body::V3(write) = &command.body {
            require(!refused.contains(&write), || {
                format!("a refused write is committed at index {}", entry.index)
            })?;
        }
        let (revision, index) = (state.v3.revision(), state.v2.index());
        let made = state.apply(&command);
        if state.v3.revision() > revision {
            claims.judge_v3(&mut state, made.as_ref())?;
        }
        if state.v2.index() > index {
            claims.judge_v2(&mut state, made.as_ref())?;
        }
        if let Some(Made::Auth(claim, change, outcome)) = made {
            claims.judge_denied(&state);
            administered.push((claim, change, outcome));
        }
        if command.body == Body::V2Sync {
            claims.judge_expiry(&mut state, entry.index, times)?;
        }
    }
    let at = (state.v3.revision(), state.v2.index());
    require(claims.v3.is_empty() && claims.v2.is_empty(), || {
        let (v3, v2) = (claims.v3.last_key_value(), claims.v2.last_key_value());
        format!("answers show what the log does not hold, beyond {at:?}: {v3:?} {v2:?}")
    })?;
    require(claims.denied.is_empty(), || {
        format!("denied in no state: {:?}", claims.denied.first())
    })?;
    judge_administration(administered, history)?;
    real_time::check(&claims.placed_v3)?;
    real_time::check(&claims.placed_v2)
}

/// The v3 writes that members said would never happen; their values are unique.
fn refused_writes(history: &History) -> Vec<&v3::Write> {
    let operations = history.operations().iter();
    operations
        .filter_map(|operation| match (&operation.outcome, &operation.request) {
            (Outcome::Refused(failure), Request::V3Write(write @ v3::Write::Put(_)))
                if is_definite(*failure) =>
            {
                Some(write)
            }
            _ => None,
        })
        .collect()
}

fn decode(entry: &Entry) -> Result<Option<Command>, Violation> {
    if entry.kind == EntryKind::Empty {
        return Ok(None);
    }
    let Index(index) = entry.index;
    let command = Command::decode(entry.payload.clone());
    command.map(Some).map_err(|error| Violation(format!("the entry at {index}: {error}")))
}
