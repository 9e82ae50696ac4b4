//! The host world: whole servers as nodes of madsim, driven by the bytes of their connections.
//!
//! Each member is a node whose one task is the production driver's loop over a `Host`; clients are
//! nodes that open connections and speak HTTP/1.1 and gRPC. madsim gives nodes, tasks, virtual time
//! and the kill of a node; connections ([`wires`]) and disks are our own, because madsim's know
//! neither partial writes nor back-pressure nor lost data.
//!
//! Clients work on registers: keys that are written whole and read whole, each a few dozen times.
//! No witness is needed to judge them: a full search finds an order that explains each key's
//! history, or there is none. The members themselves are watched as in the core world.

mod client;
mod driver;
mod http2;
mod wires;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle, Runtime};
use madsim::time::{self, Instant};
use quorra_core::identity::{ClusterId, MemberId};
use quorra_core::store::membership::Member as Identity;
use quorra_core::time::Now;
use quorra_net::host::Listener;

use crate::chance::{Chance, nanos};
use crate::check::consensus::{Consensus, View};
use crate::check::search::{self, Action};
use crate::check::{Verdict, Violation, require};
use crate::core_world::clock::Clock;
use crate::core_world::identity;
use crate::disk::{Condition, Crash, Disk};
use crate::faults::{Fault, Swarm};
use crate::trace::Trace;
use client::{Answer, Protocol, Verb};
use driver::Driver;
use wires::{Found, WireId, Wires};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// How long a healed cluster may take to agree.
const HEALING: Duration = Duration::from_secs(40);
/// Operations of one key, with room for the last reads.
const OPERATIONS_MAX: usize = search::OPERATIONS_MAX - 8;

/// How a member's process ended by itself.
#[derive(Debug)]
enum Ended {
    /// Its disk failed; it is started again.
    Disk,
    /// A rule broke.
    Broken(String),
}

/// What all nodes share.
struct World {
    swarm: Swarm,
    chance: Chance,
    cluster: ClusterId,
    identities: Vec<Identity>,
    incarnations: Vec<u64>,
    clocks: Vec<Clock>,
    disks: Vec<Disk>,
    wires: Wires,
    accepted: Vec<Vec<(WireId, Listener)>>,
    running: BTreeSet<usize>,
    wakers: BTreeMap<usize, Waker>,
    woken: BTreeSet<usize>,
    views: BTreeMap<usize, (u64, View)>,
    consensus: Consensus,
    registers: BTreeMap<String, Vec<search::Operation>>,
    written: u64,
    over: bool,
    violation: Option<String>,
    began: Instant,
    trace: Trace,
}

impl World {
    fn new(seed: u64, told: bool) -> Self {
        let mut chance = Chance::new(seed);
        let swarm = Swarm::draw(&mut chance);
        let identities: Vec<Identity> = (0..swarm.voters).map(identity).collect();
        let ids: Vec<MemberId> = identities.iter().map(|member| member.id).collect();
        let (slow, fast) = swarm.clock_speed;
        let condition = Condition { latency: swarm.disk_latency, full: false, failing: false };
        let disk = |chance: &mut Chance| Disk::new(condition.clone(), chance.fork());
        let delay_max = nanos(swarm.weather.delay.1).max(1);
        let splits = chance.pick(&[0, 100, 900]);
        Self {
            cluster: ClusterId::of(&ids),
            incarnations: vec![0; swarm.voters],
            clocks: (0..swarm.voters).map(|_| Clock::new(chance.between(slow, fast))).collect(),
            disks: (0..swarm.voters).map(|_| disk(&mut chance)).collect(),
            wires: Wires::new(delay_max, splits, chance.fork()),
            accepted: vec![Vec::new(); swarm.voters],
            identities,
            running: BTreeSet::new(),
            wakers: BTreeMap::new(),
            woken: BTreeSet::new(),
            views: BTreeMap::new(),
            consensus: Consensus::default(),
            registers: BTreeMap::new(),
            written: 0,
            over: false,
            violation: None,
            began: Instant::now(),
            trace: Trace::new(told),
            chance,
            swarm,
        }
    }

    fn now(&self) -> u64 {
        nanos(Instant::now().duration_since(self.began))
    }

    fn wake(&mut self, node: usize) {
        self.woken.insert(node);
        if let Some(waker) = self.wakers.remove(&node) {
            waker.wake();
        }
    }

    fn wake_all(&mut self) {
        (0..self.swarm.voters + self.swarm.clients).for_each(|node| self.wake(node));
    }

    /// Opens a connection to the member with that URL.
    fn dial(&mut self, from: usize, url: &str, listener: Listener) -> Option<WireId> {
        let named = |member: &Identity| member.peer_urls.iter().any(|known| known == url);
        let seat = self.identities.iter().position(named)?;
        let wire = self.running.contains(&seat).then(|| self.wires.open(from, seat))??;
        self.accepted[seat].push((wire, listener));
        self.wake(seat);
        Some(wire)
    }

    fn record(&mut self, time: u64, seat: usize, view: &View) {
        let role = if view.leads { " leads" } else { "" };
        let hash = view.state_hash.map_or(0, |(_, hash)| hash);
        let (term, commit, applied) = (view.term, view.commit_index, view.applied_index);
        let line =
            format!("m{seat}{role} term={term} commit={commit} applied={applied} {hash:016x}");
        self.trace.record(time, &line);
    }

    fn tell(&mut self, line: String) {
        let now = self.now();
        self.trace.record(now, &line);
    }

    fn fail(&mut self, told: String) {
        self.violation.get_or_insert(told);
    }

    /// A member's process is gone; so are its connections.
    fn ended(&mut self, seat: usize, how: Crash) {
        self.running.remove(&seat);
        self.views.remove(&seat);
        self.accepted[seat].clear();
        self.wires.drop_node(seat);
        self.disks[seat].crash(how);
        let id = self.identities[seat].id;
        self.consensus.ended(id);
        self.tell(format!("m{seat} ends: {how:?}"));
        self.wake_all();
    }

    /// Whether all members run, follow one leader and have applied the same.
    fn is_settled(&self) -> bool {
        let Some((leader, first)) = self.views.values().next() else { return false };
        let same = |other: &View| {
            other.applied_index == first.applied_index && other.applied_index == other.commit_index
        };
        *leader != 0
            && self.views.len() == self.swarm.voters
            && self.views.values().all(|(other, view)| other == leader && same(view))
    }
}

#[derive(Clone)]
struct Shared(Arc<Mutex<World>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().expect("one thread lives in this world")
    }
}

fn clock_of(world: &World, seat: usize) -> Now {
    world.clocks[seat].read(world.now())
}

/// Ends when the node is woken, or at that time.
struct Wait {
    shared: Shared,
    node: usize,
    sleep: Pin<Box<time::Sleep>>,
}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let node = self.node;
        let woken = {
            let mut world = self.shared.lock();
            world.wakers.insert(node, context.waker().clone());
            world.woken.remove(&node)
        };
        if woken { Poll::Ready(()) } else { self.sleep.as_mut().poll(context) }
    }
}

/// Waits for something to come, at most until `time`, and for at least what a turn takes.
async fn wait(shared: &Shared, node: usize, time: u64) {
    let now = shared.lock().now();
    time::sleep(Duration::from_micros(50)).await;
    // Bytes on their way do not wake anyone: a node looks often enough.
    let longest = Duration::from_millis(2);
    let left = Duration::from_nanos(time.saturating_sub(now)).min(longest);
    let sleep = Box::pin(time::sleep(left));
    Wait { shared: shared.clone(), node, sleep }.await;
}

async fn run_member(shared: Shared, seat: usize) {
    let started = Driver::start(shared.clone(), seat);
    let mut driver = match started {
        Ok(driver) => driver,
        Err(told) => return shared.lock().fail(told),
    };
    shared.lock().running.insert(seat);
    shared.lock().tell(format!("m{seat} starts"));
    loop {
        let now = shared.lock().now();
        match driver.turn(now) {
            None => {}
            Some(Ended::Disk) => return shared.lock().ended(seat, Crash::Power),
            Some(Ended::Broken(told)) => return shared.lock().fail(told),
        }
        let deadline = driver.deadline();
        wait(&shared, seat, deadline).await;
    }
}

/// One client's life: operations on registers, one after another.
async fn run_client(shared: Shared, node: usize) {
    loop {
        let (think, operation) = {
            let mut world = shared.lock();
            if world.over {
                return;
            }
            let longest = nanos(world.swarm.think_max);
            (world.chance.between(1, longest), choose(&mut world))
        };
        time::sleep(Duration::from_nanos(think)).await;
        if let Some((seat, protocol, key, verb)) = operation {
            operate(&shared, node, seat, protocol, key, verb).await;
        }
    }
}

fn choose(world: &mut World) -> Option<(usize, Protocol, String, Verb)> {
    let protocol = world.chance.pick(&[Protocol::V2, Protocol::Grpc]);
    let last = world.swarm.keys.clamp(3, 12);
    let key = format!("{protocol:?}-{}", world.chance.between(1, last));
    let verb = if world.chance.per_mille(500) {
        world.written += 1;
        Verb::Write(world.written)
    } else {
        Verb::Read
    };
    let seat = world.chance.index(world.swarm.voters);
    let used = world.registers.get(&key).map_or(0, Vec::len);
    (used < OPERATIONS_MAX).then_some((seat, protocol, key, verb))
}

/// Performs one operation and adds it to its register's history. True if its answer was clear.
async fn operate(
    shared: &Shared,
    node: usize,
    seat: usize,
    protocol: Protocol,
    key: String,
    verb: Verb,
) -> bool {
    let (wire, started, slot) = {
        let mut world = shared.lock();
        let url = world.identities[seat].peer_urls[0].clone();
        let Some(wire) = world.dial(node, &url, Listener::Client) else { return false };
        let started = world.now();
        let action = match verb {
            Verb::Write(value) => Action::Write(Some(value)),
            Verb::Read => Action::Read(None),
        };
        let history = world.registers.entry(key.clone()).or_default();
        history.push(search::Operation { started, ended: None, action });
        let slot = history.len() - 1;
        world.tell(format!("c{node} asks m{seat}: {key} {verb:?}"));
        (wire, started, slot)
    };
    let request = client::request(protocol, &key, verb);
    let answer = exchange(shared, node, seat, wire, &request, started, |bytes| {
        client::answer(protocol, verb, bytes)
    })
    .await;
    let mut world = shared.lock();
    world.wires.close(wire, node);
    world.wake(seat);
    world.tell(format!("c{node} hears of {key}: {answer:?}"));
    let now = world.now();
    let clear = !matches!(answer, Answer::Unclear);
    let operation = world.registers.get_mut(&key).and_then(|history| history.get_mut(slot));
    let operation = operation.expect("it was pushed at the start");
    match answer {
        Answer::Written => operation.ended = Some(now),
        Answer::Value(value) => {
            (operation.ended, operation.action) = (Some(now), Action::Read(value));
        }
        Answer::Unclear => {}
    }
    clear
}

/// Sends a request and gathers bytes until they are an answer.
async fn exchange(
    shared: &Shared,
    node: usize,
    seat: usize,
    wire: WireId,
    request: &[u8],
    started: u64,
    answer: impl Fn(&[u8]) -> Option<Answer>,
) -> Answer {
    let (mut sent, mut got) = (0, Vec::new());
    loop {
        let found = {
            let mut world = shared.lock();
            let now = world.now();
            if now > started + nanos(PATIENCE) {
                return Answer::Unclear;
            }
            if sent < request.len() {
                sent += world.wires.write(now, wire, node, &request[sent..]);
                world.wake(seat);
            }
            world.wires.look(now, node, &BTreeSet::new())
        };
        for found in found {
            match found {
                Found::Bytes(from, bytes) if from == wire => got.extend(bytes),
                Found::Closed(from) if from == wire => {
                    return answer(&got).unwrap_or(Answer::Unclear);
                }
                _ => {}
            }
        }
        if let Some(answer) = answer(&got) {
            return answer;
        }
        wait(shared, node, u64::MAX).await;
    }
}

/// The nodes of the members, and what befalls them.
struct Nemesis {
    shared: Shared,
    nodes: Vec<NodeHandle>,
}

impl Nemesis {
    fn start(&mut self, seat: usize) {
        let shared = self.shared.clone();
        if shared.lock().running.contains(&seat) {
            return;
        }
        let handle = Handle::current();
        handle.kill(self.nodes[seat].id());
        let node = move || run_member(shared.clone(), seat);
        self.nodes[seat] = handle.create_node().name(format!("m{seat}")).init(node).build();
    }

    fn end(&self, seat: usize, how: Crash) {
        if self.shared.lock().running.contains(&seat) {
            Handle::current().kill(self.nodes[seat].id());
            self.shared.lock().ended(seat, how);
        }
    }

    /// Lets the faults of the swarm strike until the trouble is over.
    async fn trouble(&mut self) {
        let (faults, end) = {
            let world = self.shared.lock();
            let faults: Vec<Fault> = world.swarm.faults.keys().copied().collect();
            (faults, nanos(world.swarm.trouble))
        };
        while self.shared.lock().now() < end && self.shared.lock().violation.is_none() {
            let pause = self.shared.lock().chance.between(1_000_000, 600_000_000);
            time::sleep(Duration::from_nanos(pause)).await;
            if !faults.is_empty() {
                let fault = self.shared.lock().chance.pick(&faults);
                self.strike(fault).await;
            }
            let seats = self.nodes.len();
            let back = self.shared.lock().chance.index(seats);
            self.start(back);
        }
    }

    async fn strike(&self, fault: Fault) {
        let victim = {
            let mut world = self.shared.lock();
            world.tell(format!("--- fault: {fault:?}"));
            let seats = world.swarm.voters;
            world.chance.index(seats)
        };
        match fault {
            Fault::Kill => self.end(victim, Crash::Process),
            Fault::PowerCut => {
                let everywhere = self.shared.lock().chance.per_mille(300);
                let seats = 0..self.nodes.len();
                seats
                    .filter(|seat| everywhere || *seat == victim)
                    .for_each(|seat| self.end(seat, Crash::Power));
            }
            Fault::Pause => {
                let handle = Handle::current();
                if self.shared.lock().running.contains(&victim) {
                    handle.pause(self.nodes[victim].id());
                    let pause = self.shared.lock().chance.between(1_000_000, 3_000_000_000);
                    time::sleep(Duration::from_nanos(pause)).await;
                    handle.resume(self.nodes[victim].id());
                }
            }
            _ => self.disturb(fault, victim),
        }
    }

    fn disturb(&self, fault: Fault, victim: usize) {
        let mut world = self.shared.lock();
        let seats = world.swarm.voters;
        match fault {
            Fault::Partition | Fault::SlowLink => {
                let mut order: Vec<usize> = (0..seats).collect();
                world.chance.shuffle(&mut order);
                let (left, right) = order.split_at(seats / 2);
                let both = world.chance.per_mille(600);
                world.wires.part(left, right, both);
            }
            Fault::Reset => world.wires.reset(victim),
            Fault::ClockJump => {
                let jump = world.chance.between(0, 20_000_000_000);
                let jump = i64::try_from(jump).expect("a jump is short") - 10_000_000_000;
                world.clocks[victim].wall_offset += jump;
            }
            Fault::SlowDisk => {
                let latency = (Duration::from_millis(5), Duration::from_millis(400));
                world.disks[victim].condition.latency = latency;
            }
            Fault::FullDisk => world.disks[victim].condition.full = true,
            Fault::FailedSync => world.disks[victim].condition.failing = true,
            _ => {
                world.wires.heal();
                let latency = world.swarm.disk_latency;
                let well = Condition { latency, full: false, failing: false };
                world.disks[victim].condition = well;
            }
        }
        if world.chance.per_mille(300) {
            world.wires.heal();
        }
        world.wake_all();
    }

    /// Heals everything, and waits until the members agree.
    async fn heal(&mut self, phase: &str) -> Verdict {
        {
            let mut world = self.shared.lock();
            world.tell(format!("=== {phase}"));
            world.wires.heal();
            let latency = (Duration::ZERO, Duration::from_millis(2));
            for disk in &mut world.disks {
                disk.condition = Condition { latency, full: false, failing: false };
            }
            world.wake_all();
        }
        let deadline = self.shared.lock().now() + nanos(HEALING);
        loop {
            (0..self.nodes.len()).for_each(|seat| self.start(seat));
            time::sleep(Duration::from_millis(20)).await;
            let world = self.shared.lock();
            if let Some(told) = &world.violation {
                return Err(Violation(told.clone()));
            }
            if world.is_settled() {
                return Ok(());
            }
            require(world.now() < deadline, || {
                format!("{phase}, and the members do not agree: {:?}", world.views)
            })?;
        }
    }

    /// Reads every register at some member; each must be answered.
    async fn read_all(&self) -> Verdict {
        let keys: Vec<String> = self.shared.lock().registers.keys().cloned().collect();
        let node = self.nodes.len();
        for key in keys {
            let protocol = if key.starts_with("V2") { Protocol::V2 } else { Protocol::Grpc };
            let mut read = false;
            for _ in 0..3 {
                let seat = self.shared.lock().chance.index(node);
                read = operate(&self.shared, node, seat, protocol, key.clone(), Verb::Read).await;
                if read {
                    break;
                }
                time::sleep(Duration::from_secs(1)).await;
            }
            require(read, || format!("{key} cannot be read from a healed cluster"))?;
        }
        Ok(())
    }
}

async fn run(shared: Shared) -> Verdict {
    let (voters, clients) = {
        let world = shared.lock();
        (world.swarm.voters, world.swarm.clients)
    };
    let handle = Handle::current();
    let nodes = (0..voters).map(|seat| handle.create_node().name(format!("n{seat}")).build());
    let mut nemesis = Nemesis { shared: shared.clone(), nodes: nodes.collect() };
    (0..voters).for_each(|seat| nemesis.start(seat));
    for client in 0..clients {
        let shared = shared.clone();
        let node = move || run_client(shared.clone(), voters + client);
        handle.create_node().name(format!("c{client}")).init(node).build();
    }
    nemesis.trouble().await;
    shared.lock().over = true;
    time::sleep(PATIENCE * 2).await;
    nemesis.heal("everyone is healed").await?;
    nemesis.read_all().await?;
    (0..voters).for_each(|seat| nemesis.end(seat, Crash::Power));
    nemesis.heal("everyone lost power").await?;
    nemesis.read_all().await?;
    let world = shared.lock();
    world.registers.values().try_for_each(|history| search::check(history))
}

/// Lives through the world of a seed.
pub fn live(seed: u64, told: bool) -> (Verdict, Trace) {
    let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.block_on(async move {
        let shared = Shared(Arc::new(Mutex::new(World::new(seed, told))));
        let verdict = run(shared.clone()).await;
        let mut world = shared.lock();
        (verdict, std::mem::replace(&mut world.trace, Trace::new(false)))
    })
}
