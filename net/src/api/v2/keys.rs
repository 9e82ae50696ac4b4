//! `/v2/keys`: from a request to a question, and from its replies to an answer.

use bytes::{Bytes, BytesMut};
use quorra_core::identity::ClusterId;
use quorra_core::limits;
use quorra_core::replica::{Header, Reply, Request as Question, Response as Content};
use quorra_core::store::v2::{Action, Event, Path};
use quorra_core::time::{Instant, WallTime};

use super::errors::{Code, Refusal};
use super::json;
use super::parameters::Ask;
use crate::api::front::{method_not_allowed, respond};
use crate::api::{Begun, Exchange, Outcome, View};
use crate::host::KeysMethod;
use crate::http::{Body, Method, Request, Response};

/// The fields of a success, and those that the front door adds.
const FIELDS: usize = 8;
/// What the values of a success take at most: a cluster's id and three numbers.
const FIELDS_BYTES: usize = 16 + 3 * 20;

/// Begins a request for a key, given as it stands behind `/v2/keys`.
pub(super) fn begin(request: &Request, key: &[u8], view: View<'_>) -> Begun {
    let allowed = [Method::Head, Method::Get, Method::Put, Method::Post, Method::Delete];
    if !allowed.contains(&request.method) {
        return respond(method_not_allowed("HEAD,GET,PUT,POST,DELETE"));
    }
    match ask(request, key) {
        Ok((question, kind)) => {
            let method = counted_as(&request.method, &question);
            view.statistics.requests.keys[method as usize].received.count();
            if matches!(kind, Kind::Watch { .. }) {
                view.statistics.requests.watches.count();
            }
            let exchange = KeysExchange { method, began: view.now.monotonic, kind };
            (Outcome::Ask(Box::new(question)), Some(Box::new(exchange)))
        }
        Err(refusal) => respond(refusal.response(view.replica.membership().cluster)),
    }
}

/// How the request is counted.
fn counted_as(method: &Method, question: &Question) -> KeysMethod {
    match method {
        Method::Get if matches!(question, Question::V2Get { quorum: true, .. }) => {
            KeysMethod::QuorumGet
        }
        Method::Put => KeysMethod::Put,
        Method::Post => KeysMethod::Post,
        Method::Delete => KeysMethod::Delete,
        Method::Head => KeysMethod::Head,
        _ => KeysMethod::Get,
    }
}

fn ask(request: &Request, key: &[u8]) -> Result<(Question, Kind), Refusal> {
    let path = Path::clean(key);
    let depth = path.depth();
    let ask = Ask::parse(request, path)?;
    if depth > limits::V2_PATH_DEPTH_MAX {
        return Err(Refusal::early(Code::INVALID_FORM, "key has too many components"));
    }
    Ok(match ask {
        Ask::Write { write, brief } => (Question::V2Write(write), Kind::Answer { brief }),
        Ask::Get { get, quorum } => {
            (Question::V2Get { get, quorum }, Kind::Answer { brief: false })
        }
        Ask::Watch(watch) => {
            let stream = watch.stream;
            (Question::V2Watch(watch), Kind::Watch { stream })
        }
    })
}

/// A keys request that waits.
#[derive(Debug)]
struct KeysExchange {
    method: KeysMethod,
    began: Instant,
    kind: Kind,
}

/// What it waits for.
#[derive(Debug)]
enum Kind {
    /// For its one answer; `brief` ones show no nodes on success.
    Answer { brief: bool },
    /// For events. A stream's answer never ends by itself.
    Watch { stream: bool },
}

impl Exchange for KeysExchange {
    fn on_reply(&mut self, reply: Reply, view: View<'_>) -> Outcome {
        let outcome = self.kind.answered(reply, view);
        if let Outcome::Respond(response) = &outcome
            && !matches!(response.body, Body::Stream)
        {
            let took = view.now.monotonic.since(self.began);
            view.statistics.requests.keys[self.method as usize].answered(response.status, took);
        }
        outcome
    }
}

impl Kind {
    fn answered(&self, reply: Reply, view: View<'_>) -> Outcome {
        let cluster = view.replica.membership().cluster;
        let refused = |refusal: Refusal| Outcome::Respond(refusal.response(cluster));
        match (reply.outcome, self) {
            (Err(failure), _) => refused(Refusal::of_failure(failure)),
            (Ok(Content::V2(Err(error))), _) => refused(Refusal::of_store(error)),
            (Ok(Content::V2(Ok(event))), Self::Answer { brief }) => {
                let fields = success(&reply.header, event.index, cluster);
                Outcome::Respond(answer(&event, *brief, view.now.wall, fields))
            }
            (Ok(Content::V2Watching), Self::Watch { .. }) => {
                let fields = success(&reply.header, reply.header.v2_index, cluster);
                Outcome::Respond(Response { body: Body::Stream, ..fields })
            }
            (Ok(Content::V2Event(event)), Self::Watch { .. }) => {
                Outcome::Data(json::event(&event, false, view.now.wall).freeze())
            }
            // A stream that hears no more stays open and silent, as in etcd.
            (Ok(Content::V2WatchEnd), Self::Watch { stream: true }) => Outcome::Wait,
            (Ok(Content::V2WatchEnd), Self::Watch { stream: false }) => Outcome::End(Vec::new()),
            (Ok(other), _) => unreachable!("{other:?} does not answer a keys request"),
        }
    }
}

/// An answer without a body, with the fields of a success.
fn success(header: &Header, index: u64, cluster: ClusterId) -> Response {
    // One block holds all values.
    let mut text = BytesMut::with_capacity(FIELDS_BYTES);
    json::put_hexadecimal(&mut text, cluster.0);
    let numbers = [index, header.commit_index.0, header.term.0];
    let ends = numbers.map(|number| {
        let end = text.len();
        json::put_number(&mut text, number);
        end
    });
    let text = text.freeze();
    let [cluster_end, index_end, commit_end] = ends;
    let mut headers = Vec::with_capacity(FIELDS);
    headers.extend([
        ("Content-Type", Bytes::from_static(b"application/json")),
        ("X-Etcd-Cluster-Id", text.slice(..cluster_end)),
        ("X-Etcd-Index", text.slice(cluster_end..index_end)),
        ("X-Raft-Index", text.slice(index_end..commit_end)),
        ("X-Raft-Term", text.slice(commit_end..)),
    ]);
    Response { headers, ..Response::new(200, Bytes::new()) }
}

fn answer(event: &Event, brief: bool, now: WallTime, fields: Response) -> Response {
    let shortened = matches!(
        event.action,
        Action::Set | Action::Create | Action::Update | Action::CompareAndSwap
    );
    let body = json::event(event, brief && shortened, now).freeze();
    let status = if event.created { 201 } else { 200 };
    Response { status, body: Body::Full(body), ..fields }
}
