//! A full search for an order that explains a small history of one register.
//!
//! No witness is needed: every order that respects real time is tried, remembering which sets of
//! operations led to which value (Wing and Gong 1993, with Lowe's memory). Exponential at worst,
//! hence for samples of at most 64 operations.

use std::collections::BTreeSet;

use super::{Verdict, Violation};

/// What was done to the register, and what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// This became its value; none is a removal.
    Write(Option<u64>),
    /// This was its value.
    Read(Option<u64>),
}

/// One operation on the register.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// When it began.
    pub started: u64,
    /// When its answer came; never, if it may or may not have happened.
    pub ended: Option<u64>,
    /// See there.
    pub action: Action,
}

/// The most operations that one search takes.
pub const OPERATIONS_MAX: usize = 64;

/// Looks for an order.
///
/// # Errors
/// When there is none.
pub fn check(operations: &[Operation]) -> Verdict {
    assert!(operations.len() <= OPERATIONS_MAX, "a sample is small");
    let wanted: u64 = (0..).zip(operations).filter(|(_, o)| o.ended.is_some()).map(bit).sum();
    let mut seen = BTreeSet::new();
    let mut stack = vec![(0_u64, None)];
    while let Some((done, value)) = stack.pop() {
        if done & wanted == wanted {
            return Ok(());
        }
        if !seen.insert((done, value)) {
            continue;
        }
        let open = || (0_u32..).zip(operations).filter(|(at, _)| done & (1 << at) == 0);
        let horizon = open().filter_map(|(_, operation)| operation.ended).min().unwrap_or(u64::MAX);
        for (at, operation) in open().filter(|(_, operation)| operation.started <= horizon) {
            match operation.action {
                Action::Write(next) => stack.push((done | 1 << at, next)),
                Action::Read(shown) if shown == value => stack.push((done | 1 << at, value)),
                Action::Read(_) => {}
            }
        }
    }
    Err(Violation(format!("no order explains {operations:?}")))
}

fn bit<T>((at, _): (u32, T)) -> u64 {
    1 << at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(started: u64, ended: u64, action: Action) -> Operation {
        Operation { started, ended: Some(ended), action }
    }

    #[test]
    fn concurrent_writes_may_land_in_either_order() {
        let writes =
            [operation(0, 10, Action::Write(Some(1))), operation(0, 10, Action::Write(Some(2)))];
        for last in [1, 2] {
            let read = operation(11, 12, Action::Read(Some(last)));
            assert_eq!(check(&[writes[0], writes[1], read]), Ok(()));
        }
        let first = operation(11, 12, Action::Read(Some(1)));
        let second = operation(13, 14, Action::Read(Some(2)));
        assert!(check(&[writes[0], writes[1], first, second]).is_err());
    }

    #[test]
    fn a_lost_write_is_caught_and_an_open_one_may_be_lost() {
        let write = operation(0, 1, Action::Write(Some(1)));
        let read = operation(2, 3, Action::Read(None));
        assert!(check(&[write, read]).is_err());
        let open = Operation { ended: None, ..write };
        assert_eq!(check(&[open, read]), Ok(()));
        let late = operation(4, 5, Action::Read(Some(1)));
        assert_eq!(check(&[open, read, late]), Ok(()));
    }
}
