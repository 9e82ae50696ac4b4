//! From a data directory to a running replica.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::Replica;
use super::alone;
use super::outbound::Published;
use crate::codec::DecodeError;
use crate::disk::{DiskRead, File};
use crate::identity::{ClusterId, Incarnation, MemberId};
use crate::raft::{self, Entry, EntryKind, HardState, Index, LogBatch, Position, Term};
use crate::store::State;
use crate::store::checkpoint::Loader;
use crate::store::command::{Body, Command, Identity};
use crate::store::membership::{Change, Member};
use crate::time::{Now, WallTime};
use crate::wal::{self, Found, Wal};

/// The term of the entries that a new cluster begins with (etcd).
const FIRST_TERM: Term = Term(1);
/// How much of a checkpoint is read at a time.
const READ_BYTES: u64 = 4 << 20;
/// Committed entries that stay in memory after a start.
const RECENT_BYTES_MAX: usize = 16 << 20;

/// What a member's flags decide, as far as the replica is concerned.
#[derive(Clone, Debug)]
pub struct Options {
    /// Consensus; `id` is taken from the data directory or from [`Bootstrap`].
    pub raft: raft::Options,
    /// Which start of the data directory this is; kept beside it by the driver.
    pub incarnation: Incarnation,
    /// Fixes every random choice of this start.
    pub seed: u64,
    /// The size of a log segment, see `limits`.
    pub segment_bytes: u64,
    /// A checkpoint starts when the log since the last one exceeds this, or the state's size.
    pub checkpoint_log_bytes: u64,
    /// `--snapshot-count`: entries kept behind a checkpoint for lagging followers.
    pub entries_kept: u64,
    /// The parts in which a snapshot travels, see `limits`.
    pub snapshot_part_bytes: usize,
    /// Past events that v2 watches may begin in, see `limits`. The same for every member.
    pub v2_history_events: usize,
    /// Keys that one slice of long work visits.
    pub slice_keys: usize,
    /// `--max-request-bytes`
    pub request_bytes_max: usize,
    /// `--quota-backend-bytes`; none is no quota.
    pub quota_bytes: Option<u64>,
    /// `--strict-reconfig-check`
    pub strict_reconfig_check: bool,
    /// What this build announces as its version, `3.5.33`.
    pub version: String,
}

/// The first configuration of a new cluster; every member of it is given the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Derived from the members.
    pub cluster: ClusterId,
    /// This member.
    pub member: MemberId,
    /// All of them; names and client URLs are published later. None for a member that joins a
    /// running cluster: its log comes from there.
    pub members: Vec<Member>,
}

/// What a recovery wants next.
pub enum RecoveryStep {
    /// This part of a file.
    Read(DiskRead),
    /// Nothing more.
    Ready(Box<Replica>),
    /// The directory cannot be used; nothing was changed.
    Failed(RecoveryError),
}

/// Why a data directory cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// There is no log, and no [`Bootstrap`] was given.
    Empty,
    /// The checkpoint could not be read.
    Unreadable(File),
    /// A checkpoint is damaged, and the log does not do without it.
    Damaged(Damage, wal::RecoveryError),
    /// The checkpoint is of another cluster than the log.
    Foreign(File),
    /// A cluster of its own is asked of a member that the log does not name.
    NotAMember(MemberId),
    /// The log holds a committed command that this build does not understand.
    UnknownCommand(Index),
    /// The log is not what it must be.
    Log(wal::RecoveryError),
}

/// What is wrong with a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which.
    file: File,
    /// The first chunk that is not what it must be, in bytes from the file's start.
    offset: u64,
    /// The rule that is broken, in a few words.
    reason: &'static str,
}

impl From<wal::RecoveryError> for RecoveryError {
    fn from(error: wal::RecoveryError) -> Self {
        Self::Log(error)
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the data directory holds no log"),
            Self::Unreadable(file) => write!(f, "{file:?} cannot be read"),
            Self::Damaged(Damage { file, offset, reason }, log) => {
                write!(f, "{file} is corrupt at offset {offset}: {reason}; without it, {log}")
            }
            Self::Foreign(file) => {
                write!(f, "{file} belongs to another cluster than the log beside it")
            }
            Self::NotAMember(member) => write!(
                f,
                "the log does not name this member, {member}: it was removed, or has not joined \
                 yet, and no cluster can be made of it"
            ),
            Self::UnknownCommand(index) => {
                write!(f, "entry {index} holds a command of a later version")
            }
            Self::Log(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RecoveryError {}

/// A resumable start: asks for reads until the replica stands.
///
/// First the newest checkpoint that is whole, then the log behind it; committed entries are
/// applied as they are read. Nothing is changed by recovering, so a crash in the middle of it is
/// followed by the same recovery again.
pub struct Recovery {
    options: Options,
    found: Vec<Found>,
    bootstrap: Option<Bootstrap>,
    alone: bool,
    now: Now,
    stage: Stage,
    /// The newest checkpoint that was passed over.
    damage: Option<Damage>,
    dropped: Option<wal::Tail>,
}

enum Stage {
    /// The checkpoints still to be tried, the newest last.
    Choosing(Vec<Found>),
    /// A checkpoint is being read.
    Loading {
        untried: Vec<Found>,
        file: Found,
        offset: u64,
        loader: Box<Loader>,
    },
    /// The log is being read.
    Replaying(Box<Replaying>),
    Over,
}

struct Replaying {
    log: wal::Recovery,
    state: State,
    applied: Position,
    /// The checkpoint that was loaded.
    published: Option<Published>,
    /// Other checkpoints: older, or not whole.
    superseded: Vec<File>,
    /// The newest committed entries, for followers that lag a little.
    recent: Recent,
}

/// The newest entries, bounded in bytes.
#[derive(Default)]
struct Recent {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, entry: Entry) {
        self.bytes += entry.payload.len();
        self.entries.push_back(entry);
        while self.bytes > RECENT_BYTES_MAX
            && let Some(oldest) = self.entries.pop_front()
        {
            self.bytes -= oldest.payload.len();
        }
    }
}

impl Recovery {
    /// Begins with the listing of the data directory. `bootstrap` counts only when there is no
    /// log: a member that has one ignores its initial flags.
    #[must_use]
    pub fn start(
        options: Options,
        found: Vec<Found>,
        bootstrap: Option<Bootstrap>,
        now: Now,
    ) -> Self {
        let mut checkpoints: Vec<Found> =
            found.iter().copied().filter(|f| matches!(f.file, File::Checkpoint(_))).collect();
        checkpoints.sort_by_key(|found| found.file);
        let stage = Stage::Choosing(checkpoints);
        Self { options, found, bootstrap, alone: false, now, stage, damage: None, dropped: None }
    }

    /// `--force-new-cluster`: makes this member the only one of its cluster. A data
    /// directory without a log is begun as usual.
    #[must_use]
    pub fn forcing_new_cluster(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Goes on with the bytes that the last step asked for; none at first, and when they could
    /// not be read.
    pub fn next(&mut self, bytes: Option<Bytes>) -> RecoveryStep {
        match self.advance(bytes) {
            Ok(step) => step,
            Err(error) => {
                self.stage = Stage::Over;
                RecoveryStep::Failed(error)
            }
        }
    }

    /// Where the log ended before its bytes did: what was written there, but not synced before
    /// the crash, is dropped. Nobody was told of it.
    #[must_use]
    pub fn dropped(&self) -> Option<wal::Tail> {
        self.dropped
    }

    fn advance(&mut self, bytes: Option<Bytes>) -> Result<RecoveryStep, RecoveryError> {
        match core::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Choosing(untried) => self.choose(untried),
            Stage::Loading { untried, file, offset, loader } => {
                self.load(untried, file, offset, loader, bytes)
            }
            Stage::Replaying(replaying) => self.replay(replaying, bytes),
            Stage::Over => unreachable!("a recovery that has ended is not asked again"),
        }
    }

    /// Takes the newest checkpoint that was not tried yet; without one, the log's start.
    fn choose(&mut self, mut untried: Vec<Found>) -> Result<RecoveryStep, RecoveryError> {
        if let Some(file) = untried.pop() {
            let loader = Box::new(Loader::new(self.options.slice_keys));
            return Ok(self.read_checkpoint(untried, file, 0, loader));
        }
        if !self.found.iter().any(|found| matches!(found.file, File::Segment(_))) {
            return self.bootstrap();
        }
        let state = State::new(self.options.slice_keys);
        self.begin_replay(state, Position::default(), None)
    }

    fn read_checkpoint(
        &mut self,
        untried: Vec<Found>,
        file: Found,
        offset: u64,
        loader: Box<Loader>,
    ) -> RecoveryStep {
        self.stage = Stage::Loading { untried, file, offset, loader };
        RecoveryStep::Read(DiskRead { file: file.file, offset, length: READ_BYTES })
    }

    /// A part of a checkpoint was read. One that is not whole is passed over: the log may still
    /// reach back to an older one, and if it does not, its recovery says so.
    fn load(
        &mut self,
        untried: Vec<Found>,
        file: Found,
        offset: u64,
        mut loader: Box<Loader>,
        bytes: Option<Bytes>,
    ) -> Result<RecoveryStep, RecoveryError> {
        let bytes = bytes.ok_or(RecoveryError::Unreadable(file.file))?;
        let offset = offset + bytes.len() as u64;
        let ended = bytes.is_empty();
        let fed = loader.feed(bytes);
        let understood = offset - loader.unread() as u64;
        if fed.is_ok() && !ended && offset < file.length {
            return Ok(self.read_checkpoint(untried, file, offset, loader));
        }
        match fed.and_then(|()| loader.finish()) {
            Ok((at, state)) => {
                let published = Published { at, bytes: file.length };
                self.begin_replay(state, at, Some(published))
            }
            Err(DecodeError { rule, .. }) => {
                let damage = Damage { file: file.file, offset: understood, reason: rule };
                self.damage.get_or_insert(damage);
                self.choose(untried)
            }
        }
    }

    /// Why the log cannot be used. It need not reach back to a checkpoint that was passed over.
    fn blame(&self, error: wal::RecoveryError) -> RecoveryError {
        match self.damage {
            Some(damage) => RecoveryError::Damaged(damage, error),
            None => error.into(),
        }
    }

    fn begin_replay(
        &mut self,
        state: State,
        applied: Position,
        published: Option<Published>,
    ) -> Result<RecoveryStep, RecoveryError> {
        let log = wal::Recovery::new(
            &self.found,
            applied,
            self.options.incarnation,
            self.options.segment_bytes,
        )
        .map_err(|error| self.blame(error))?;
        let loaded = File::Checkpoint(applied.index.0);
        let others = self.found.iter().map(|found| found.file).filter(|file| *file != loaded);
        let superseded = others.filter(|file| matches!(file, File::Checkpoint(_))).collect();
        let recent = Recent::default();
        let replaying = Replaying { log, state, applied, published, superseded, recent };
        self.replay(Box::new(replaying), None)
    }

    fn replay(
        &mut self,
        mut replaying: Box<Replaying>,
        mut bytes: Option<Bytes>,
    ) -> Result<RecoveryStep, RecoveryError> {
        loop {
            match replaying.log.next(bytes.take()).map_err(|error| self.blame(error))? {
                wal::Step::Read(read) => {
                    self.stage = Stage::Replaying(replaying);
                    return Ok(RecoveryStep::Read(read));
                }
                wal::Step::Committed(entries) => replaying.apply(entries)?,
                wal::Step::Done(recovered) => {
                    self.dropped = recovered.dropped;
                    return self.finish(*replaying, *recovered);
                }
            }
        }
    }

    /// A new member: its log begins with the members of the first configuration, the same on
    /// every one of them, as in etcd.
    fn bootstrap(&mut self) -> Result<RecoveryStep, RecoveryError> {
        self.alone = false;
        let Some(bootstrap) = &self.bootstrap else { return Err(RecoveryError::Empty) };
        let identity = wal::Identity {
            cluster: bootstrap.cluster,
            member: bootstrap.member,
            incarnation: self.options.incarnation,
        };
        let recovered = wal::Recovered {
            wal: Wal::create(identity, self.options.segment_bytes),
            hard_state: HardState::default(),
            last: Position::default(),
            commit_index: Index::default(),
            uncommitted: Vec::new(),
            dropped: None,
        };
        let state = State::new(self.options.slice_keys);
        self.assemble(recovered, state, Position::default(), Recent::default(), None, Vec::new())
    }

    fn finish(
        &self,
        replaying: Replaying,
        recovered: wal::Recovered,
    ) -> Result<RecoveryStep, RecoveryError> {
        let Replaying { state, applied, published, superseded, recent, .. } = replaying;
        if let Some(published) = published
            && state.membership().cluster != recovered.wal.identity().cluster
        {
            return Err(RecoveryError::Foreign(File::Checkpoint(published.at.index.0)));
        }
        self.assemble(recovered, state, applied, recent, published, superseded)
    }

    /// Puts the replica together. A log that holds nothing yet is given its first entries.
    fn assemble(
        &self,
        recovered: wal::Recovered,
        mut state: State,
        mut applied: Position,
        mut recent: Recent,
        published: Option<Published>,
        superseded: Vec<File>,
    ) -> Result<RecoveryStep, RecoveryError> {
        let wal::Recovered { wal, mut hard_state, mut last, mut commit_index, .. } = recovered;
        let mut uncommitted = recovered.uncommitted;
        let identity = wal.identity();
        state.found_cluster(identity.cluster);
        let mut first = None;
        let founders = self.bootstrap.as_ref().map_or(&[][..], |bootstrap| &bootstrap.members);
        let batch = if self.alone {
            let term = hard_state.term.next();
            uncommitted.clear();
            Some(alone::batch(state.membership(), identity.member, term, applied.index)?)
        } else {
            let is_new = last == Position::default() && !founders.is_empty();
            is_new.then(|| first_batch(founders))
        };
        if let Some(batch) = batch {
            for entry in &batch.entries {
                state.apply(entry).expect("this member encoded it");
                recent.push(entry.clone());
            }
            let term = batch.hard_state.map_or(FIRST_TERM, |written| written.term);
            last = Position { term, index: batch.commit_index };
            applied = last;
            commit_index = batch.commit_index;
            hard_state = batch.hard_state.unwrap_or_default();
            first = Some(batch);
        }
        let restored = raft::Restored {
            hard_state,
            base: published.map(|published| published.at).unwrap_or_default(),
            tail: recent.entries.into_iter().chain(uncommitted).collect(),
            last,
            commit_index,
            configuration: state.configuration(),
            applied_index: applied.index,
        };
        let wal = Some(wal);
        let parts = Parts { identity, wal, restored, state, applied, published, superseded };
        let replica = Replica::assemble(self.options.clone(), parts, first, self.now);
        Ok(RecoveryStep::Ready(Box::new(replica)))
    }
}

impl Replaying {
    fn apply(&mut self, entries: Vec<Entry>) -> Result<(), RecoveryError> {
        for entry in entries {
            self.state.apply(&entry).map_err(|_| RecoveryError::UnknownCommand(entry.index))?;
            while self.state.has_work() {
                self.state.work();
            }
            self.applied = Position { term: entry.term, index: entry.index };
            self.recent.push(entry);
        }
        Ok(())
    }
}

/// What recovery found, for [`Replica::assemble`].
pub(super) struct Parts {
    pub(super) identity: wal::Identity,
    pub(super) wal: Option<Wal>,
    pub(super) restored: raft::Restored,
    pub(super) state: State,
    pub(super) applied: Position,
    pub(super) published: Option<Published>,
    pub(super) superseded: Vec<File>,
}

/// The first entries of every member of a new cluster: its members, in the order of their ids,
/// committed from the start. Equal on all of them, so it makes no difference who wrote them.
fn first_batch(members: &[Member]) -> LogBatch {
    let mut sorted: Vec<&Member> = members.iter().collect();
    sorted.sort_by_key(|member| member.id);
    let entry = |(position, member): (usize, &Member)| {
        let counter = position as u64 + 1;
        let identity = Identity { counter, ..Identity::default() };
        let body = Body::Membership(Change::Add(member.clone()));
        let command = Command { identity, stamp: WallTime(0), user: Bytes::new(), body };
        Entry::new(FIRST_TERM, Index(counter), EntryKind::Configuration, command.encode())
    };
    let entries: Vec<Entry> = sorted.into_iter().enumerate().map(entry).collect();
    let commit_index = Index(entries.len() as u64);
    let hard_state = Some(HardState { term: FIRST_TERM, vote: None });
    LogBatch { hard_state, reset: None, entries, commit_index }
}
