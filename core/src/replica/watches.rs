//! v2 watches of this member's clients. Local: they are no part of the replicated state.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{RequestId, Response};
use crate::limits;
use crate::store::State;
use crate::store::v2;

/// # Invariants
/// - `open` are the requests whose watch the store knows, under the request's own number.
#[derive(Default)]
pub(super) struct Watches {
    open: BTreeSet<RequestId>,
}

impl Watches {
    /// Whether no more are opened until one ends.
    pub(super) fn are_full(&self) -> bool {
        self.open.len() >= limits::WATCHES_MAX
    }

    /// Registers a watch; the response says so, or why not.
    pub(super) fn open(&mut self, id: RequestId, watch: &v2::Watch, state: &mut State) -> Response {
        match state.v2_mut().watch(v2::WatchId(id.0), watch) {
            Ok(()) => {
                self.open.insert(id);
                Response::V2Watching
            }
            Err(error) => Response::V2(Err(error)),
        }
    }

    /// The client is gone.
    pub(super) fn close(&mut self, id: RequestId, state: &mut State) {
        if self.open.remove(&id) {
            state.v2_mut().cancel(v2::WatchId(id.0));
        }
    }

    /// Passes on what watches have heard. The events are shared, not copied.
    pub(super) fn deliver(&mut self, state: &mut State, mut tell: impl FnMut(RequestId, Response)) {
        while let Some(watch) = state.v2_mut().ready() {
            let id = RequestId(watch.0);
            while let Some(heard) = state.v2_mut().next_heard(watch) {
                match heard {
                    v2::Heard::Event(event) => tell(id, Response::V2Event(event)),
                    v2::Heard::End => {
                        self.open.remove(&id);
                        tell(id, Response::V2WatchEnd);
                    }
                }
            }
        }
    }

    /// Forgets all of them: the store that they watched is replaced.
    pub(super) fn end_all(&mut self) -> Vec<RequestId> {
        core::mem::take(&mut self.open).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_bounded_and_make_room_when_they_end() {
        let ids = (1..=limits::WATCHES_MAX as u64).map(RequestId);
        let mut watches = Watches { open: ids.collect() };
        assert!(watches.are_full());
        watches.close(RequestId(7), &mut State::new(10));
        assert!(!watches.are_full());
    }
}
