//! Reads of large v2 directories, worked off in slices.
//!
//! A listing shows one state, and v2's nodes have no past: while a listing is under way no entry is
//! applied, though everything else goes on. So there is one at a time. The others wait for their
//! turn, and between two of them entries are applied: neither readers nor writers can keep the
//! other from going on for longer than one listing takes.

use alloc::collections::VecDeque;
use alloc::rc::Rc;

use super::state::WorkId;
use super::v2::auth::{Access, Claim};
use super::v2::{self, Event, Get, Listing, Read};

/// What is asked for, to be begun when its turn comes.
#[derive(Debug)]
struct Waiting {
    work: WorkId,
    get: Get,
    claim: Option<Claim>,
}

/// The listings of a state.
///
/// # Invariants
/// - The one under way began with the state as it is.
#[derive(Debug, Default)]
pub(super) struct Listings {
    under_way: Option<(WorkId, Listing)>,
    waiting: VecDeque<Waiting>,
}

impl Listings {
    /// Whether the state must stay as it is.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    pub(super) fn has_work(&self) -> bool {
        self.is_under_way() || !self.waiting.is_empty()
    }

    /// A read has turned out to be long. If it is not its turn, it begins anew later.
    pub(super) fn add(&mut self, work: WorkId, listing: Listing, get: &Get, claim: Option<&Claim>) {
        if self.has_work() {
            let (get, claim) = (get.clone(), claim.cloned());
            self.waiting.push_back(Waiting { work, get, claim });
        } else {
            self.under_way = Some((work, listing));
        }
    }

    /// Nobody waits for this any more.
    pub(super) fn cancel(&mut self, work: WorkId) {
        self.under_way.take_if(|(under_way, _)| *under_way == work);
        self.waiting.retain(|waiting| waiting.work != work);
    }

    /// Looks at `budget` more nodes; a read that came to its end. One that waited is judged by the
    /// state that answers it.
    pub(super) fn advance(
        &mut self,
        store: &v2::Store,
        budget: usize,
    ) -> Option<(WorkId, Result<Rc<Event>, v2::Error>)> {
        let (work, read) = match self.under_way.take() {
            Some((work, listing)) => (work, Ok(store.read_more(listing, budget))),
            None => {
                let Waiting { work, get, claim } = self.waiting.pop_front()?;
                let permitted = store.authorize(claim.as_ref(), &get.path, Access::Read);
                (work, permitted.and_then(|()| store.read(&get, budget)))
            }
        };
        match read {
            Ok(Read::Whole(event)) => Some((work, Ok(event))),
            Ok(Read::Paused(listing)) => {
                self.under_way = Some((work, listing));
                None
            }
            Err(error) => Some((work, Err(error))),
        }
    }
}
