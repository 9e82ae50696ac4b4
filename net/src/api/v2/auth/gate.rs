//! Who asks, and whether they may.
//!
//! While authentication is off the gate stands open and costs nothing. When it is on, a request
//! is held until its caller is known:
//!
//! | the request has | its caller is |
//! | --- | --- |
//! | no `Authorization`, a certificate that names a user | that user |
//! | no `Authorization` | a guest |
//! | a user and the right password | that user |
//! | anything else in `Authorization` | nobody: refused, not taken for a guest |
//!
//! From then on what it asks goes out on behalf of that caller, and the replica judges it: a read
//! by the state that answers it, a write where it stands in the log. Only administration is
//! judged here, too, because users and roles are printed from this member's state.
//!
//! A member that has just started may not have heard yet whether authentication is on; it asks
//! the replica to be told first.

use quorra_core::replica::{self, Reply, Request as Question, Response as Content};
use quorra_core::store::v2::auth::{Auth, Caller, Claim, Refusal as Denial};

use super::{basic, failed, not_permitted, of_cluster};
use crate::api::front::respond;
use crate::api::v2::errors::{Code, Refusal};
use crate::api::v2::{self, parameters};
use crate::api::{Begun, Exchange, Outcome, View};
use crate::http::{Request, Response};

/// What is behind the gate; the two differ in how a refusal reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Keys,
    Administration,
}

/// A request that is held, or was let through.
#[derive(Debug)]
struct Gate {
    behind: Behind,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// This member finds out whether authentication is on. The request begins again then.
    CatchingUp { request: Request, path: Vec<u8> },
    /// The password for a key is being checked; what is asked waits.
    Key { claim: Claim, question: Box<Question>, exchange: Box<dyn Exchange> },
    /// The password of an administrator is being checked. The request begins then.
    Administrator { claim: Claim, request: Request, path: Vec<u8> },
    /// It was let through, on behalf of a caller where that matters.
    Through { claim: Option<Claim>, exchange: Box<dyn Exchange> },
    /// It is answered.
    Over,
}

/// What a request says of its caller.
enum Said {
    Known(Caller),
    Claimed(bytes::Bytes, replica::Password),
    Nonsense,
}

fn auth<'a>(view: View<'a>) -> &'a Auth {
    view.replica.state().v2().auth()
}

fn is_open(view: View<'_>) -> bool {
    !auth(view).is_enabled() && view.replica.has_caught_up()
}

fn said(request: &Request, view: View<'_>) -> Said {
    let header = request.headers.first("authorization").unwrap_or_default();
    if header.is_empty() {
        let name = view.identity.map(|identity| identity.common_name.as_str());
        let user = name.filter(|name| auth(view).user(name).is_some());
        let bytes = |name: &str| bytes::Bytes::copy_from_slice(name.as_bytes());
        return Said::Known(user.map_or(Caller::Guest, |name| Caller::User(bytes(name))));
    }
    match basic::parse(header) {
        Some((user, password)) => Said::Claimed(user, password),
        None => Said::Nonsense,
    }
}

/// Holds a request for a key until its caller is known. It has begun as if the gate were open:
/// what is wrong with its parameters comes first. `key` is what follows `/v2/keys`.
pub(in crate::api::v2) fn guard_key(
    request: &Request,
    path: &[u8],
    key: &[u8],
    begun: Begun,
    view: View<'_>,
) -> Begun {
    if is_open(view) {
        return begun;
    }
    let (Outcome::Ask(question), Some(exchange)) = begun else { return begun };
    let behind = Behind::Keys;
    if !view.replica.has_caught_up() {
        return catch_up(request, path, behind);
    }
    let (slash, recursive) = (key.ends_with(b"/"), parameters::is_recursive(request));
    let claim = |caller| Claim { caller, slash, recursive };
    match said(request, view) {
        Said::Known(caller) => {
            let claim = claim(caller);
            let outcome = on_behalf(Some(&claim), Outcome::Ask(question));
            let stage = Stage::Through { claim: Some(claim), exchange };
            (outcome, Some(Box::new(Gate { behind, stage })))
        }
        Said::Claimed(user, password) => {
            let claim = claim(Caller::User(user.clone()));
            let stage = Stage::Key { claim, question, exchange };
            authenticate(user, password, Gate { behind, stage })
        }
        Said::Nonsense => respond(refused(behind, view)),
    }
}

/// Holds a request until its caller is known to be an administrator, and begins it then.
pub(in crate::api::v2) fn guard_administration(
    request: &Request,
    path: &[u8],
    view: View<'_>,
) -> Begun {
    if is_open(view) {
        return v2::route(request, path, view);
    }
    let behind = Behind::Administration;
    if !view.replica.has_caught_up() {
        return catch_up(request, path, behind);
    }
    let claim = |caller| Claim { caller, slash: false, recursive: false };
    match said(request, view) {
        Said::Known(caller) => administer(request, path, claim(caller), view),
        Said::Claimed(user, password) => {
            let claim = claim(Caller::User(user.clone()));
            let (request, path) = (request.clone(), path.to_vec());
            let stage = Stage::Administrator { claim, request, path };
            authenticate(user, password, Gate { behind, stage })
        }
        Said::Nonsense => respond(refused(behind, view)),
    }
}

fn catch_up(request: &Request, path: &[u8], behind: Behind) -> Begun {
    let stage = Stage::CatchingUp { request: request.clone(), path: path.to_vec() };
    (Outcome::Ask(Box::new(Question::CaughtUp)), Some(Box::new(Gate { behind, stage })))
}

fn authenticate(user: bytes::Bytes, password: replica::Password, gate: Gate) -> Begun {
    let question = Question::Authenticate { user, password };
    (Outcome::Ask(Box::new(question)), Some(Box::new(gate)))
}

fn administer(request: &Request, path: &[u8], claim: Claim, view: View<'_>) -> Begun {
    if !auth(view).permits_administration(&claim.caller) {
        return respond(not_permitted());
    }
    let (outcome, exchange) = v2::route(request, path, view);
    let outcome = on_behalf(Some(&claim), outcome);
    let stage = exchange.map(|exchange| Stage::Through { claim: Some(claim), exchange });
    let gate = |stage| Box::new(Gate { behind: Behind::Administration, stage });
    (outcome, stage.map(|stage| gate(stage) as Box<dyn Exchange>))
}

/// What is asked, on behalf of a caller.
fn on_behalf(claim: Option<&Claim>, outcome: Outcome) -> Outcome {
    match (claim, outcome) {
        (Some(claim), Outcome::Ask(request)) => {
            Outcome::Ask(Box::new(Question::OnBehalf { claim: claim.clone(), request }))
        }
        (_, outcome) => outcome,
    }
}

fn refused(behind: Behind, view: View<'_>) -> Response {
    match behind {
        Behind::Keys => {
            let refusal = Refusal::early(Code::UNAUTHORIZED, "Insufficient credentials");
            refusal.response(view.replica.membership().cluster)
        }
        Behind::Administration => not_permitted(),
    }
}

impl Gate {
    fn failed(&self, failure: replica::Failure, view: View<'_>) -> Response {
        match self.behind {
            Behind::Keys => {
                Refusal::of_failure(failure).response(view.replica.membership().cluster)
            }
            Behind::Administration => of_cluster(failed(failure), view),
        }
    }

    /// Goes on as what was begun goes on.
    fn follow(&mut self, claim: Option<Claim>, (outcome, exchange): Begun) -> Outcome {
        if let Some(exchange) = exchange {
            self.stage = Stage::Through { claim, exchange };
        }
        outcome
    }

    /// What was held goes on, now that its caller is known.
    fn let_through(&mut self, view: View<'_>) -> Outcome {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::CatchingUp { request, path } => {
                let begun = v2::begin(&request, &path, view);
                self.follow(None, begun)
            }
            Stage::Key { claim, question, exchange } => {
                let outcome = on_behalf(Some(&claim), Outcome::Ask(question));
                self.follow(Some(claim), (outcome, Some(exchange)))
            }
            Stage::Administrator { claim, request, path } => {
                let begun = administer(&request, &path, claim, view);
                self.follow(None, begun)
            }
            Stage::Through { .. } | Stage::Over => unreachable!("it is not held any more"),
        }
    }
}

impl Exchange for Gate {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        if let Stage::Through { claim, exchange } = &mut self.stage {
            if matches!(reply.outcome, Ok(Content::V2Auth(Err(Denial::NotPermitted)))) {
                return Outcome::Respond(not_permitted());
            }
            let outcome = exchange.on_reply(reply, view);
            return on_behalf(claim.as_ref(), outcome);
        }
        match reply.outcome {
            Ok(Content::Done | Content::Authenticated(true)) => self.let_through(view),
            Ok(Content::Authenticated(false)) => Outcome::Respond(refused(self.behind, view)),
            Ok(other) => unreachable!("{other:?} says nothing of a caller"),
            Err(failure) => Outcome::Respond(self.failed(failure, view)),
        }
    }
}
