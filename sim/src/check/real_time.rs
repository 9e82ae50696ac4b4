//! Real time: what ended before something else began comes before it in the order.
//!
//! The witness gives each operation a position (a revision, an index): where in the order of
//! changes it stands. Then linearizability is one pass: no operation may stand before a position
//! that someone had already been shown when it began (Herlihy and Wing 1990, 2.3).

use super::{Verdict, require};

/// An operation's place in time and in the order of changes.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// When it began.
    pub started: u64,
    /// When its answer came.
    pub ended: u64,
    /// The newest change that it shows; its own, for a change.
    pub position: u64,
    /// Whether it made that change.
    pub changes: bool,
    /// Whether it promises to show everything that ended before it began.
    pub fresh: bool,
}

/// Checks operations in any order, in the time of sorting them.
///
/// # Errors
/// When one shows less than what another had been shown before it began.
pub fn check(operations: &[Placed]) -> Verdict {
    let mut by_start = operations.to_vec();
    by_start.sort_by_key(|operation| operation.started);
    let mut by_end = operations.to_vec();
    by_end.sort_by_key(|operation| operation.ended);
    let mut ended = by_end.into_iter().peekable();
    let mut shown = 0;
    for operation in by_start.iter().filter(|operation| operation.fresh || operation.changes) {
        while let Some(earlier) = ended.next_if(|earlier| earlier.ended < operation.started) {
            shown = shown.max(earlier.position);
        }
        let least = if operation.changes { shown + 1 } else { shown };
        require(operation.position >= least, || {
            format!("an operation at {} began when {shown} was known", operation.position)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(started: u64, ended: u64, position: u64, changes: bool) -> Placed {
        Placed { started, ended, position, changes, fresh: true }
    }

    #[test]
    fn overlapping_operations_may_stand_in_any_order() {
        let write = placed(0, 10, 7, true);
        assert_eq!(check(&[write, placed(5, 6, 6, false), placed(7, 8, 7, false)]), Ok(()));
    }

    #[test]
    fn a_stale_read_is_caught() {
        let (write, read) = (placed(0, 10, 7, true), placed(11, 12, 6, false));
        assert!(check(&[write, read]).is_err());
        assert_eq!(check(&[write, Placed { fresh: false, ..read }]), Ok(()));
    }

    #[test]
    fn two_reads_that_go_back_are_caught() {
        let write = placed(0, 100, 7, true);
        assert!(check(&[write, placed(1, 2, 7, false), placed(3, 4, 6, false)]).is_err());
    }

    #[test]
    fn a_write_that_stands_before_what_it_followed_is_caught() {
        assert!(check(&[placed(0, 1, 7, false), placed(2, 3, 7, true)]).is_err());
    }
}
