//! A one-member cluster in memory, asked at the front door of its APIs.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use quorra_core::disk::{DiskOp, DiskRead, File};
use quorra_core::identity::{ClusterId, Incarnation, MemberId};
use quorra_core::limits;
use quorra_core::raft;
use quorra_core::replica::{
    self, Bootstrap, Effect, Effects, Input, Options, Recovery, RecoveryStep, Replica, RequestId,
};
use quorra_core::store::membership;
use quorra_core::time::{Duration, Instant, Now, WallTime};
use quorra_net::api::{Call, Outcome, Service, View};
use quorra_net::host;
use quorra_net::http::{Body, Headers, Method, Request, Response};

use crate::server::{Answer, RequestNumber, Server, Target};

const PEER_URL: &str = "http://127.0.0.1:2380";
const CLIENT_URL: &str = "http://127.0.0.1:2379";
const NAME: &str = "default";
/// How many milliseconds an answer may take.
const PATIENCE: u64 = 10_000;

/// The member, its disk, and the requests that wait.
pub(crate) struct Member {
    now: Now,
    answers: BTreeMap<RequestId, Answer>,
    replica: Replica,
    service: Service,
    options: host::Options,
    statistics: host::Statistics,
    files: BTreeMap<File, Vec<u8>>,
    calls: BTreeMap<RequestId, Call>,
    next: u64,
}

impl Member {
    /// A member that leads, is published, and has decided its cluster's version.
    pub(crate) fn started() -> Self {
        let now = Now { monotonic: Instant(1 << 40), wall: WallTime(1_700_000_000_123_456_789) };
        let urls = [PEER_URL.to_owned()];
        let id = MemberId::of_bootstrap(&urls, "etcd-cluster");
        let member = membership::Member {
            id,
            name: NAME.to_owned(),
            peer_urls: urls.to_vec(),
            client_urls: Vec::new(),
            is_learner: false,
        };
        let cluster = ClusterId::of(&[id]);
        let bootstrap = Bootstrap { cluster, member: id, members: vec![member] };
        let mut recovery = Recovery::start(replica_options(), Vec::new(), Some(bootstrap), now);
        let replica = match recovery.next(None) {
            RecoveryStep::Ready(replica) => *replica,
            _ => panic!("an empty directory needs no read"),
        };
        let options = host_options();
        let mut member = Self {
            now,
            answers: BTreeMap::new(),
            replica,
            service: Service::new(&options),
            options,
            statistics: host::Statistics::default(),
            files: BTreeMap::new(),
            calls: BTreeMap::new(),
            next: 1,
        };
        let (name, client_urls) = (NAME.to_owned(), vec![CLIENT_URL.to_owned()]);
        while member.replica.status().role != raft::RoleName::Leader {
            member.pass_time(10);
        }
        let publish = replica::Request::Publish { name, client_urls };
        member.input(Input::Request(RequestId(0), publish));
        while member.replica.cluster_version().is_none() {
            member.pass_time(10);
        }
        member
    }

    /// Lets milliseconds pass.
    fn pass_time(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now.monotonic = self.now.monotonic + Duration::from_millis(1);
            self.now.wall.0 += 1_000_000;
            while self.replica.deadline() <= self.now.monotonic {
                let before = self.replica.deadline();
                self.input(Input::Tick);
                if self.replica.deadline() == before {
                    break;
                }
            }
        }
    }

    /// Lets time pass until an answer is as far as it should be; false if it never is.
    fn wait(&mut self, number: RequestNumber, until: impl Fn(&Answer) -> bool) -> bool {
        for _ in 0..PATIENCE {
            if until(self.answer(number)) {
                return true;
            }
            self.pass_time(1);
        }
        false
    }

    fn view(&self) -> View<'_> {
        View {
            replica: &self.replica,
            options: &self.options,
            statistics: &self.statistics,
            identity: None,
            now: self.now,
        }
    }

    fn follow(&mut self, id: RequestId, outcome: Outcome) {
        let answer = self.answers.get_mut(&id).expect("only what was asked is answered");
        match outcome {
            Outcome::Respond(response) => begin(answer, response),
            Outcome::Data(bytes) => answer.body.extend_from_slice(&bytes),
            Outcome::End(_) => answer.ended = true,
            Outcome::Ask(question) => self.input(Input::Request(id, *question)),
            // Whatever it is, it is done.
            Outcome::Run(_) => {
                let mut call = self.calls.remove(&id).expect("an errand is of a call that waits");
                let outcome = call.on_errand(self.view());
                self.follow(id, outcome);
            }
            Outcome::Wait => {}
        }
    }

    fn input(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input, Input::Flush]);
        while let Some(input) = inputs.pop_front() {
            let mut effects = Effects::new();
            self.replica.step(self.now, input, &mut effects);
            while let Some(effect) = effects.pop() {
                self.perform(effect, &mut inputs);
            }
        }
    }

    fn perform(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Disk(lane, ticket, operations) => {
                operations.into_iter().for_each(|operation| self.write(operation));
                inputs.extend([Input::Durable(lane, ticket), Input::Flush]);
            }
            Effect::Read(id, place) => inputs.push_back(Input::Read(id, Ok(self.read(place)))),
            Effect::Reply(id, reply) => {
                if let Some(mut call) = self.calls.remove(&id) {
                    let outcome = call.on_reply(reply, self.view());
                    self.calls.insert(id, call);
                    self.follow(id, outcome);
                }
            }
            Effect::Stop(reason) => panic!("the member stops: {reason:?}"),
            Effect::Job(id, job) => inputs.extend([Input::Job(id, job.simulated()), Input::Flush]),
            Effect::Send(..) | Effect::Members | Effect::Notice(_) => {}
        }
    }

    fn write(&mut self, operation: DiskOp) {
        match operation {
            DiskOp::Create(file) => drop(self.files.insert(file, Vec::new())),
            DiskOp::Write { file, offset, bytes } => self.put(file, offset, &bytes),
            DiskOp::Zero { file, offset, length } => {
                self.put(file, offset, &vec![0; usize::try_from(length).expect("small")]);
            }
            DiskOp::Publish(_) => {}
            DiskOp::Remove(file) => drop(self.files.remove(&file)),
        }
    }

    fn put(&mut self, file: File, offset: u64, bytes: &[u8]) {
        let content = self.files.entry(file).or_default();
        let start = usize::try_from(offset).expect("small");
        content.resize(content.len().max(start + bytes.len()), 0);
        content[start..start + bytes.len()].copy_from_slice(bytes);
    }

    fn read(&self, place: DiskRead) -> Bytes {
        let content = self.files.get(&place.file).map(Vec::as_slice).unwrap_or_default();
        let start = content.len().min(usize::try_from(place.offset).expect("small"));
        let length = usize::try_from(place.length).unwrap_or(usize::MAX);
        let end = content.len().min(start.saturating_add(length));
        Bytes::copy_from_slice(&content[start..end])
    }
}

impl Server for Member {
    fn ask(&mut self, target: Target<'_>, request: &Request) -> RequestNumber {
        if let Target::At(url) = target {
            assert_eq!(url, CLIENT_URL, "there is one member");
        }
        let number = RequestNumber(self.next);
        let id = RequestId(self.next);
        self.next += 1;
        self.answers.insert(id, Answer::default());
        let (outcome, call) = self.service.begin(request, self.view());
        if let Some(call) = call {
            self.calls.insert(id, call);
        }
        self.follow(id, outcome);
        if request.method == Method::Head {
            self.settle(number);
            self.answers.get_mut(&id).expect("it was asked").body.clear();
        }
        number
    }

    fn answer(&self, number: RequestNumber) -> &Answer {
        &self.answers[&RequestId(number.0)]
    }

    fn take(&mut self, number: RequestNumber) -> Answer {
        self.answers.remove(&RequestId(number.0)).expect("it was asked")
    }

    fn settle(&mut self, number: RequestNumber) {
        assert!(self.wait(number, |answer| answer.begun), "a request is answered");
    }

    fn finish(&mut self, number: RequestNumber) -> bool {
        self.wait(number, |answer| answer.ended)
    }

    fn pass(&mut self, milliseconds: u64) {
        self.pass_time(milliseconds);
    }

    fn wall(&self) -> i64 {
        self.now.wall.0
    }
}

/// Begins an answer.
fn begin(answer: &mut Answer, response: Response) {
    assert!(!answer.begun, "a request is answered once");
    answer.begun = true;
    answer.status = response.status;
    answer.headers = Headers::default();
    for (name, value) in &response.headers {
        assert!(answer.headers.push(name.as_bytes(), value), "a field is short");
    }
    match response.body {
        Body::Full(bytes) => {
            answer.body = bytes.to_vec();
            answer.ended = true;
        }
        Body::Stream => {}
        Body::Lazy(_) | Body::Sized(_) => panic!("this API makes whole answers"),
    }
}

fn host_options() -> host::Options {
    host::Options {
        name: NAME.to_owned(),
        client_urls: vec![CLIENT_URL.to_owned()],
        v2: true,
        discovery_service: true,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        cors: Vec::new(),
        host_whitelist: Vec::new(),
        incarnation: Incarnation(1),
        connections_max: 100,
        command_line: Vec::new(),
        file_descriptor_limit: 1024,
        v3: host::V3Options::default(),
        extensive_metrics: false,
        quota_bytes: None,
    }
}

fn replica_options() -> Options {
    Options {
        raft: raft::Options {
            id: MemberId(0),
            election_timeout: Duration::from_millis(1000),
            heartbeat_interval: Duration::from_millis(100),
            pre_vote: true,
            check_quorum: true,
            inflight_messages_max: limits::INFLIGHT_MESSAGES_MAX,
            inflight_bytes_max: limits::INFLIGHT_BYTES_MAX,
            append_bytes_target: limits::APPEND_BYTES_TARGET,
            tail_bytes_max: limits::LOG_TAIL_BYTES_MAX,
            uncommitted_bytes_max: limits::UNCOMMITTED_BYTES_MAX,
        },
        incarnation: Incarnation(1),
        seed: 42,
        segment_bytes: 1 << 20,
        checkpoint_log_bytes: limits::CHECKPOINT_LOG_BYTES_MIN,
        entries_kept: 1000,
        snapshot_part_bytes: limits::SNAPSHOT_PART_BYTES,
        v2_history_events: limits::V2_HISTORY_EVENTS,
        slice_keys: limits::SLICE_KEYS,
        request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
        quota_bytes: None,
        strict_reconfig_check: true,
        version: "3.5.33".to_owned(),
    }
}
