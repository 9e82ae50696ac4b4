//! What is going to happen, in the order of virtual time; at one time, in the order of its making.

use std::collections::BTreeMap;

/// The agenda of a world.
#[derive(Debug)]
pub(crate) struct Queue<Event> {
    events: BTreeMap<(u64, u64), Event>,
    made: u64,
}

impl<Event> Default for Queue<Event> {
    fn default() -> Self {
        Self { events: BTreeMap::new(), made: 0 }
    }
}

impl<Event> Queue<Event> {
    /// Plans an event.
    pub(crate) fn push(&mut self, time: u64, event: Event) {
        self.made += 1;
        self.events.insert((time, self.made), event);
    }

    /// The next event, and its time.
    pub(crate) fn pop(&mut self) -> Option<(u64, Event)> {
        self.events.pop_first().map(|((time, _), event)| (time, event))
    }
}
