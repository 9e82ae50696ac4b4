//! What the operator and the service manager are told.

use quorra_core::raft::Notice;
use quorra_core::replica::StopReason;
use quorra_net::host::Level;
use sd_notify::NotifyState;

/// A line of the host's own.
pub(super) fn log(level: Level, line: &str) {
    log::log!(level_of(level), "{line}");
}

/// A client has set the log's level.
pub(super) fn set_log_level(level: Level) {
    log::set_max_level(level_of(level).to_level_filter());
    log::log!(level_of(level), "the log level is {} from now on", level_of(level));
}

fn level_of(level: Level) -> log::Level {
    match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
    }
}

/// What consensus finds worth telling.
pub(super) fn notice(notice: Notice) {
    match notice {
        Notice::Role { term, role } => {
            log::info!(term = term.0, role:? = role; "the role has changed");
        }
        Notice::Leader { term, leader: Some(leader) } => {
            log::info!(term = term.0, leader:% = leader; "a leader is known");
        }
        Notice::Leader { term, leader: None } => {
            log::warn!(term = term.0; "no leader is known");
        }
        Notice::SteppedDown { term, reason } => {
            log::warn!(term = term.0, reason; "stepped down");
        }
        Notice::Misbehaved { peer, reason } => {
            log::error!(peer:% = peer, reason; "dropped a message of a peer");
        }
    }
}

/// Clients are served from now on.
pub(super) fn ready() {
    log::info!("ready to serve client requests");
    notify(NotifyState::Ready);
}

/// The member goes.
pub(super) fn stopping(signal: &str) {
    log::info!(signal; "stopping: handing leadership over");
    notify(NotifyState::Stopping);
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        log::warn!(error:% = error; "cannot reach the service manager");
    }
}

/// Why the member ends, in one line.
pub(super) fn reason(reason: StopReason) -> String {
    match reason {
        StopReason::Asked => "asked to".into(),
        StopReason::Removed => "this member was removed from the cluster".into(),
        StopReason::Superseded => {
            "another process has started as this member since: does it run on \
             a copy of this data directory?"
                .into()
        }
        StopReason::Disk(lane, failure) => format!(
            "a write or sync of the {lane:?} lane failed ({failure:?}): what the disk holds is \
             unknown, so the member stops"
        ),
        StopReason::UnknownCommand(index) => {
            format!("the entry at index {} was written by a later version", index.0)
        }
    }
}
