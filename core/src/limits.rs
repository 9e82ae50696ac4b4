//! Every bound in one place, checked against its neighbours.
//!
//! What strangers can grow has a bound here; a full queue is an answer to the client or an unread
//! socket, never more memory.

/// The default of `--max-request-bytes`: the largest encoded write (etcd: 1.5 MiB).
pub const REQUEST_BYTES_DEFAULT: usize = 1_572_864;
/// What gRPC adds to the request limit before it refuses a message (etcd: 512 KiB).
pub const REQUEST_OVERHEAD_BYTES: usize = 524_288;
/// The largest `--max-request-bytes` that is accepted.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;
/// The largest body of a v2 form (etcd: 10 MiB).
pub const V2_BODY_BYTES_MAX: usize = 10 << 20;
/// The largest payload of one log entry.
pub const ENTRY_BYTES_MAX: usize = 80 << 20;
/// The largest append message: one entry of any allowed size, or many small ones.
pub const APPEND_BYTES_MAX: usize = ENTRY_BYTES_MAX + 1024;
/// How much of an append message is filled with more than one entry.
pub const APPEND_BYTES_TARGET: usize = 1 << 20;
/// The in-memory tail of the log, in payload bytes; older entries are read from disk.
pub const LOG_TAIL_BYTES_MAX: usize = 64 << 20;
/// What a leader holds uncommitted before it refuses proposals.
pub const UNCOMMITTED_BYTES_MAX: usize = 128 << 20;
/// Append messages in flight to one follower.
pub const INFLIGHT_MESSAGES_MAX: usize = 256;
/// Append bytes in flight to one follower.
pub const INFLIGHT_BYTES_MAX: usize = 16 << 20;
/// A log segment; tests use far smaller ones.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// How far zeros run ahead of the log's writer.
pub const ZEROS_AHEAD_BYTES: u64 = 4 << 20;
/// A checkpoint starts when the log since the last one exceeds this, or the state's size.
pub const CHECKPOINT_LOG_BYTES_MIN: u64 = 256 << 20;
/// One chunk of a checkpoint on disk.
pub const CHECKPOINT_CHUNK_BYTES: usize = 1 << 20;
/// One part of a snapshot on its way to a follower: small enough to cross a slow link in time.
pub const SNAPSHOT_PART_BYTES: usize = 128 << 10;
/// Entries that are applied in one turn of the driver's loop.
pub const APPLY_ENTRIES_PER_TURN: usize = 1_024;
/// Payload bytes that are applied in one turn of the driver's loop.
pub const APPLY_BYTES_PER_TURN: usize = 1 << 20;
/// Keys that one slice of long work visits.
pub const SLICE_KEYS: usize = 1_000;
/// Removals of many keys that go on in the v3 store; another one waits.
pub const REMOVALS_PENDING_MAX: usize = 16;
/// The commands of this member's clients that wait for their outcome, in bytes.
pub const WAITING_BYTES_MAX: usize = 256 << 20;
/// Requests that wait in the replica for their outcome.
pub const REQUESTS_PENDING_MAX: usize = 65_536;
/// v2 watches of this member's clients: about a kilobyte each, with the stream that waits for it.
pub const WATCHES_MAX: usize = 1 << 20;
/// The most operations in one list of a transaction (etcd: `--max-txn-ops`).
pub const TXN_OPS_MAX: usize = 128;
/// Streams of one HTTP/2 connection at once, however many `--max-concurrent-streams` allows.
pub const STREAMS_MAX: u32 = 16_384;
/// How deep transactions may nest.
pub const TXN_DEPTH_MAX: usize = 16;
/// How many components a v2 path may have.
pub const V2_PATH_DEPTH_MAX: usize = 1_000;
/// What v2 users and roles may take together; a checkpoint copies them in one go.
pub const V2_AUTH_BYTES_MAX: usize = 4 << 20;
/// Events that the v2 history keeps (etcd).
pub const V2_HISTORY_EVENTS: usize = 1_000;
/// Events that wait for one v2 watcher (etcd).
pub const V2_WATCHER_EVENTS: usize = 100;
/// The most members that a discovery token is made for.
pub const DISCOVERY_SIZE_MAX: usize = 1_000;
/// What one discovery token holds: the registrations of the largest cluster.
pub const DISCOVERY_TOKEN_BYTES_MAX: u64 = 1 << 20;
/// What all discovery tokens hold together; beyond it neither tokens nor members are taken.
pub const DISCOVERY_REGISTRY_BYTES_MAX: u64 = 64 << 20;
/// The default of `--quota-backend-bytes` (etcd: 2 GiB).
pub const QUOTA_BYTES_DEFAULT: u64 = 2 << 30;

const _: () = assert!(REQUEST_BYTES_DEFAULT <= REQUEST_BYTES_MAX);
const _: () = assert!(REQUEST_BYTES_MAX + REQUEST_OVERHEAD_BYTES < ENTRY_BYTES_MAX);
const _: () = assert!(V2_BODY_BYTES_MAX < ENTRY_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX < APPEND_BYTES_MAX);
const _: () = assert!(APPEND_BYTES_TARGET < INFLIGHT_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX < UNCOMMITTED_BYTES_MAX);
const _: () = assert!(UNCOMMITTED_BYTES_MAX <= WAITING_BYTES_MAX);
const _: () = assert!(ZEROS_AHEAD_BYTES < SEGMENT_BYTES);
