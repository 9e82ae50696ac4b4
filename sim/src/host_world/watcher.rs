//! Clients that wait for v2 events: long polls one after another, and streams.
//!
//! What each of them heard is kept, and compared with the events that the committed log makes:
//! in order, none twice, and none missing between the first index waited for and the last heard.

use quorra_core::replica::Request;
use quorra_core::store::v2::{Action, Event, Path, Watch};
use quorra_net::host::Listener;

use super::http1;
use super::step::Step;
use super::talk::{Call, Heard, Talk, field};
use super::wires::{Read, WireId, Written};
use super::{Guest, HostWorld, v2};
use crate::callers;
use crate::check::{Verdict, Violation, require};

/// What one wait heard.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) watch: Watch,
    /// The store's index when it began.
    registered: Option<u64>,
    heard: Vec<Event>,
    /// It was told that its index is too old, at this index.
    cleared: Option<u64>,
}

#[derive(Debug)]
struct Line {
    wire: WireId,
    talk: Talk,
    status: u16,
    partial: Vec<u8>,
    record: Record,
}

/// A client that waits.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    line: Option<Line>,
    /// Where it goes on after what it heard last.
    resume: Option<Watch>,
    asked: u64,
}

impl HostWorld {
    fn watcher(&mut self, guest: usize) -> &mut Watcher {
        match &mut self.guests[guest] {
            Guest::Watcher(watcher) => watcher,
            _ => unreachable!("guests keep their kind"),
        }
    }

    /// The wire of a watcher, if it has one.
    pub(super) fn watcher_wire(&self, guest: usize) -> Option<WireId> {
        match &self.guests[guest] {
            Guest::Watcher(watcher) => watcher.line.as_ref().map(|line| line.wire),
            _ => None,
        }
    }

    pub(super) fn on_watcher(&mut self, guest: usize) -> Verdict {
        if !self.troubled {
            return Ok(());
        }
        if self.watcher(guest).line.is_none() {
            let resumes = self.watcher(guest).resume.clone();
            let watch = resumes.filter(|_| self.chance.per_mille(700));
            let watch = watch.unwrap_or_else(|| self.draw_watch());
            let seat = self.chance.index(self.members.len());
            let wire = self.call_up(guest, seat, Listener::Client);
            let talk = Talk::Http1(http1::Talk::default());
            let record = Record { watch, registered: None, heard: Vec::new(), cleared: None };
            let line = Line { wire, talk, status: 0, partial: Vec::new(), record };
            self.watcher(guest).line = Some(line);
            self.watch(guest);
        } else if self.chance.per_mille(200) {
            self.end_watch(guest, true);
        }
        let next = self.now + self.chance.between(50_000_000, 2_000_000_000);
        self.wait(guest, next);
        self.on_line(guest)
    }

    fn draw_watch(&mut self) -> Watch {
        let directory = self.chance.between(1, 3);
        let (path, recursive) = match self.chance.between(0, 3) {
            0 => ("/".to_owned(), true),
            1 => (format!("/dir{directory}/file01"), false),
            _ => (format!("/dir{directory}"), self.chance.per_mille(800)),
        };
        let index = self.chance.between(1, 60);
        let wait_index = self.chance.per_mille(300).then_some(index);
        let stream = self.chance.per_mille(500);
        Watch { path: Path::clean(path.as_bytes()), recursive, stream, wait_index }
    }

    fn watch(&mut self, guest: usize) {
        let authorization = self.callers.as_ref().map(|_| callers::root_authorization());
        let watcher = self.watcher(guest);
        let token = watcher.asked;
        watcher.asked += 1;
        if let Some(line) = &mut watcher.line {
            let request = Request::V2Watch(line.record.watch.clone());
            let call = Call { authorization, ..v2::call(&request) };
            line.talk.ask(token, &call);
        }
    }

    pub(super) fn on_watcher_wire(&mut self, guest: usize, wire: WireId) -> Verdict {
        match self.watcher_wire(guest) {
            Some(known) if known == wire => self.on_line(guest),
            _ => Ok(()),
        }
    }

    fn on_line(&mut self, guest: usize) -> Verdict {
        loop {
            let Guest::Watcher(watcher) = &mut self.guests[guest] else { return Ok(()) };
            let Some(line) = &mut watcher.line else { return Ok(()) };
            let wire = line.wire;
            match self.wires.write(wire, 0, line.talk.output()) {
                Written::Taken(count) => drop(line.talk.output().split_to(count)),
                Written::Blocked => {}
                Written::Broken => {
                    self.end_watch(guest, false);
                    return Ok(());
                }
            }
            match self.wires.read(wire, 0, 64 << 10) {
                Read::Bytes(bytes) => {
                    for heard in line.talk.hear(&bytes)? {
                        self.on_watch_heard(guest, heard)?;
                    }
                }
                Read::Nothing => return Ok(()),
                Read::End | Read::Broken => {
                    self.end_watch(guest, false);
                    return Ok(());
                }
            }
        }
    }

    fn on_watch_heard(&mut self, guest: usize, heard: Heard) -> Verdict {
        let Some(line) = &mut self.watcher(guest).line else { return Ok(()) };
        match heard {
            Heard::Head(_, status, fields) => {
                line.status = status;
                let index = field(&fields, "x-etcd-index").and_then(|text| text.parse().ok());
                line.record.registered = index.filter(|_| status == 200);
            }
            Heard::Body(_, bytes) => {
                line.partial.extend_from_slice(&bytes);
                while let Some(end) = line_end(guest, &self.guests) {
                    self.on_event_line(guest, end)?;
                }
            }
            Heard::End(..) => {
                let watch = line.record.watch.clone();
                self.keep_record(guest);
                if let Some(line) = &mut self.watcher(guest).line {
                    line.record.watch = Watch { wait_index: line.record.next_index(), ..watch };
                    line.record.heard.clear();
                    (line.record.registered, line.record.cleared) = (None, None);
                }
                if self.troubled {
                    self.watch(guest);
                }
            }
            Heard::Cancelled(_) | Heard::Last => {}
        }
        Ok(())
    }

    /// One line of a watch's body.
    fn on_event_line(&mut self, guest: usize, end: usize) -> Verdict {
        let now = self.now;
        let Some(line) = &mut self.watcher(guest).line else { return Ok(()) };
        let text: Vec<u8> = line.partial.drain(..=end).collect();
        let value = v2::parse(&text)?;
        if line.status != 200 {
            let code = value["errorCode"].as_u64();
            require(matches!(code, Some(300 | 401)), || format!("a watch is refused: {value}"))?;
            if code == Some(401) {
                line.record.cleared = value["index"].as_u64();
                line.record.registered = line.record.cleared;
            }
            return Ok(());
        }
        let event = v2::event(&value)?;
        let index = event.node.modified_index;
        let key = String::from_utf8_lossy(event.node.path.as_bytes()).into_owned();
        line.record.heard.push(event);
        self.trace.record(now, &Step::Heard { client: guest, index, key: &key });
        Ok(())
    }

    /// The watcher's connection is over; where it goes on depends on what it heard.
    pub(super) fn end_watch(&mut self, guest: usize, leaves: bool) {
        let Some(wire) = self.watcher_wire(guest) else { return };
        match self.chance.between(0, 2) {
            _ if !leaves => self.wires.close(wire, 0),
            0 => self.wires.vanish(wire, 0),
            1 => self.wires.reset(wire, 0),
            _ => self.wires.close(wire, 0),
        }
        self.keep_record(guest);
        let watcher = self.watcher(guest);
        watcher.resume = watcher.line.take().map(|line| {
            let wait_index = line.record.next_index();
            Watch { wait_index, ..line.record.watch }
        });
    }

    fn keep_record(&mut self, guest: usize) {
        let record = self.watcher(guest).line.as_ref().map(|line| line.record.clone());
        self.watched.extend(record);
    }
}

fn line_end(guest: usize, guests: &[Guest]) -> Option<usize> {
    let Guest::Watcher(watcher) = &guests[guest] else { return None };
    let partial = &watcher.line.as_ref()?.partial;
    partial.iter().position(|byte| *byte == b'\n')
}

impl Record {
    /// The first index that was not heard yet.
    fn next_index(&self) -> Option<u64> {
        if self.cleared.is_some() {
            return None;
        }
        let last = self.heard.last().map(|event| event.node.modified_index + 1);
        last.or(self.watch.wait_index).or_else(|| self.registered.map(|index| index + 1))
    }

    /// Compares what was heard with all events that ever happened, in order. Members keep the
    /// events of the last `window` indices for those who ask later.
    ///
    /// # Errors
    /// When something is wrong, doubled, out of order, or missing.
    pub(super) fn check(&self, events: &[Event], window: u64) -> Verdict {
        let Some(registered) = self.registered else { return Ok(()) };
        let told = self.cleared.unwrap_or(registered);
        let is_outside = self.watch.wait_index.is_some_and(|index| index + window <= told);
        require(self.cleared.is_some() == is_outside, || {
            format!("{:?} at index {told} is told of what is gone: {:?}", self.watch, self.cleared)
        })?;
        if self.cleared.is_some() {
            return Ok(());
        }
        let mut next = self.watch.wait_index.unwrap_or(registered + 1);
        let mut last = 0;
        require(self.watch.stream || self.heard.len() <= 1, || {
            format!("a long poll of {:?} hears {} events", self.watch, self.heard.len())
        })?;
        for heard in &self.heard {
            let index = heard.node.modified_index;
            let again = index + 1 == next && index == last && self.hears_twice(heard);
            require(index >= next || again, || {
                format!("{:?} hears {index} after {next}", self.watch)
            })?;
            last = index;
            let missed = events
                .iter()
                .find(|event| (next..index).contains(&event.index) && self.surely_hears(event));
            require(missed.is_none(), || format!("{:?} misses {missed:?}", self.watch))?;
            let made = events.iter().find(|event| event.index == index);
            let same = made.is_some_and(|made| {
                (made.action, &made.node, &made.previous)
                    == (heard.action, &heard.node, &heard.previous)
            });
            require(same, || format!("{:?} hears {heard:?}, which was {made:?}", self.watch))?;
            require(self.may_hear(heard), || format!("{:?} hears {heard:?}", self.watch))?;
            next = next.max(index + 1);
        }
        Ok(())
    }

    /// A hidden key is heard of in the history only, and the end of a directory above only by
    /// watchers whose own key was there (as in etcd).
    fn surely_hears(&self, event: &Event) -> bool {
        let (path, own) = (&event.node.path, &self.watch.path);
        let shown = below(path, own).is_some_and(|rest| {
            !rest.split(|byte| *byte == b'/').any(|name| name.starts_with(b"_"))
        });
        path == own || self.watch.recursive && shown
    }

    /// etcd tells a stream of the end of its own key twice.
    fn hears_twice(&self, event: &Event) -> bool {
        let ends =
            matches!(event.action, Action::Delete | Action::CompareAndDelete | Action::Expire);
        self.watch.stream && ends && event.node.path == self.watch.path
    }

    /// Its own key, one below it if that was asked for, or the end of a directory above it.
    fn may_hear(&self, event: &Event) -> bool {
        let (path, own) = (&event.node.path, &self.watch.path);
        let ends = matches!(event.action, Action::Delete | Action::Expire);
        path == own
            || self.watch.recursive && below(path, own).is_some()
            || ends && event.node.directory && below(own, path).is_some()
    }
}

/// What of a path is below another.
fn below<'a>(path: &'a Path, ancestor: &Path) -> Option<&'a [u8]> {
    if ancestor.is_root() {
        return path.as_bytes().strip_prefix(b"/");
    }
    path.as_bytes().strip_prefix(ancestor.as_bytes())?.strip_prefix(b"/")
}

/// Judges everything that watchers heard.
///
/// # Errors
/// At the first that was told wrongly.
pub(super) fn check(records: &[Record], events: &[Event], window: u64) -> Result<(), Violation> {
    records.iter().try_for_each(|record| record.check(events, window))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorra_core::store::v2::NodeView;

    fn event(index: u64, key: &str) -> Event {
        let node = NodeView {
            path: Path::clean(key.as_bytes()),
            value: None,
            directory: false,
            expiration: None,
            nodes: Vec::new(),
            modified_index: index,
            created_index: index,
        };
        let (previous, at) = (None, None);
        Event { action: Action::Set, node, previous, index, at, created: false, refresh: false }
    }

    fn record(heard: &[(u64, &str)]) -> Record {
        let path = Path::clean(b"/a");
        let watch = Watch { path, recursive: true, stream: true, wait_index: None };
        let heard = heard.iter().map(|(index, key)| event(*index, key)).collect();
        Record { watch, registered: Some(3), heard, cleared: None }
    }

    #[test]
    fn gaps_doubles_and_strangers_are_caught() {
        let events: Vec<Event> =
            [(3, "/a/x"), (4, "/a/x"), (5, "/b"), (6, "/a/_h"), (7, "/a/y"), (8, "/a/z")]
                .map(|(index, key)| event(index, key))
                .into();
        let check = |heard: &[(u64, &str)]| record(heard).check(&events, 1_000).is_ok();
        assert!(check(&[(4, "/a/x"), (7, "/a/y")]) && check(&[]));
        assert!(!check(&[(7, "/a/y")]), "a gap");
        assert!(!check(&[(4, "/a/x"), (4, "/a/x")]), "a double");
        assert!(!check(&[(3, "/a/x")]), "from before the watch");
        assert!(!check(&[(4, "/a/q")]), "another key");
        assert!(!check(&[(4, "/a/x"), (5, "/b")]), "a stranger");
    }

    #[test]
    fn what_is_gone_is_told_and_only_that() {
        for (wait_index, cleared, fine) in [
            (4, None, true),
            (3, None, false),
            (3, Some(13), true),
            (4, Some(13), false),
            (4, Some(14), true),
        ] {
            let mut record = record(&[]);
            record.watch.wait_index = Some(wait_index);
            (record.registered, record.cleared) = (Some(13), cleared);
            assert_eq!(record.check(&[], 10).is_ok(), fine, "{wait_index} {cleared:?}");
        }
    }
}
