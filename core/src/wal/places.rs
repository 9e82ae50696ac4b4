//! Where entries lie: a sparse index over the log on disk, small enough to stay in memory.
//!
//! A *mark* names a record and the first index in it. There is one for about every 64 KiB of log,
//! one for each segment, and one for each record that overwrites; an overwriting record takes away
//! every mark at or behind its first index. So marks grow by index and by place at once, and what
//! lies between two marks is understood without looking at what became of it: of the entries in a
//! mark's stretch, those below the next mark's index are the log's, the rest were overwritten.
//!
//! ```text
//! on disk      [50 51 52] [53 .. 90] [61 62] [58 59 60]        marks: 50, 58
//! the log      50 51 52 53 54 55 56 57 58 59 60
//! ```

use alloc::collections::VecDeque;

use crate::raft::Index;

/// How much log lies between two marks, if nothing else asks for one.
const STRETCH_BYTES: u64 = 64 << 10;

/// A record that can be read directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// The first index in it.
    pub(super) index: Index,
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// From here to the last record whose entries this mark leads to.
    pub(super) length: u64,
    /// Bytes of log written before it, since the log's writer was made.
    before: u64,
}

/// A record as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: u64,
    /// The first and the last index in it, if it has entries.
    pub(super) indexes: Option<(Index, Index)>,
}

/// The index.
///
/// # Invariants
/// - Marks grow strictly by index and by (segment, offset).
/// - A mark's stretch lies in one segment and ends before the next mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    marks: VecDeque<Mark>,
    last: Index,
    written: u64,
}

impl Places {
    /// A record was written, or found.
    pub(super) fn note(&mut self, record: Written) {
        let before = self.written;
        self.written += record.length;
        let Some((first, last)) = record.indexes else { return };
        assert!(first <= last, "a record's indexes grow");
        let continues = first == self.last.next();
        self.last = last;
        while self.marks.back().is_some_and(|mark| mark.index >= first) {
            self.marks.pop_back();
        }
        let end = record.offset + record.length;
        match self.marks.back_mut() {
            Some(mark)
                if continues
                    && mark.segment == record.segment
                    && end <= mark.offset + STRETCH_BYTES =>
            {
                mark.length = end - mark.offset;
            }
            _ => self.marks.push_back(Mark {
                index: first,
                segment: record.segment,
                offset: record.offset,
                length: record.length,
                before,
            }),
        }
    }

    /// The log was reset: nothing written so far counts.
    pub(super) fn clear(&mut self, base: Index) {
        self.marks.clear();
        self.last = base;
    }

    /// A segment is gone; segments go oldest first.
    pub(super) fn forget(&mut self, segment: u64) {
        while self.marks.front().is_some_and(|mark| mark.segment <= segment) {
            self.marks.pop_front();
        }
    }

    /// The mark that leads to the entry at `index`, if it lies in the log.
    pub(super) fn find(&self, index: Index) -> Option<Mark> {
        if index > self.last {
            return None;
        }
        let behind = self.marks.partition_point(|mark| mark.index <= index);
        behind.checked_sub(1).and_then(|at| self.marks.get(at)).copied()
    }

    /// The index from which on entries in the record at this place are overwritten; none if all
    /// of them are. `Index(u64::MAX)` if none is.
    pub(super) fn valid_below(&self, segment: u64, offset: u64) -> Option<Index> {
        let behind =
            self.marks.partition_point(|mark| (mark.segment, mark.offset) <= (segment, offset));
        let mark = behind.checked_sub(1).and_then(|at| self.marks.get(at))?;
        let in_stretch = mark.segment == segment && offset < mark.offset + mark.length;
        let next = self.marks.get(behind).map_or(Index(u64::MAX), |next| next.index);
        in_stretch.then_some(next)
    }

    /// About how many bytes of log lie behind the entry at `index`.
    pub(super) fn bytes_behind(&self, index: Index) -> u64 {
        if index >= self.last {
            return 0;
        }
        let mark = self.find(index.next()).or_else(|| self.marks.front().copied());
        mark.map_or(0, |mark| self.written - mark.before)
    }

    /// Panics if an invariant is broken.
    pub(super) fn check(&self) {
        for (a, b) in self.marks.iter().zip(self.marks.iter().skip(1)) {
            assert!(a.index < b.index, "marks grow by index");
            assert!((a.segment, a.offset) < (b.segment, b.offset), "marks grow by place");
            let ends_before = a.segment < b.segment || a.offset + a.length <= b.offset;
            assert!(ends_before, "a stretch ends before the next mark");
        }
        let newest = self.marks.back().map_or(Index(0), |mark| mark.index);
        assert!(newest <= self.last, "marks lead to entries of the log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A log as the list of (segment, offset, first, last), and the naive way to find an entry:
    /// the last record that holds it, if no later one begins at or below it.
    fn newest(records: &[Written], index: Index) -> Option<(u64, u64)> {
        let place = |record: &Written| (record.segment, record.offset);
        for record in records.iter().rev() {
            let (first, last) = record.indexes?;
            if first <= index {
                return (index <= last).then(|| place(record));
            }
        }
        None
    }

    proptest! {
        #[test]
        fn every_entry_is_found_where_it_was_written_last(
            steps in prop::collection::vec(
                (0_u64..30, 1_u64..20, 1_u64..40_000, any::<bool>()),
                1..60,
            ),
        ) {
            let mut places = Places::default();
            let mut records: Vec<Written> = Vec::new();
            let (mut last, mut segment, mut offset) = (0_u64, 1, 64);
            for (back, count, length, switch) in steps {
                if switch {
                    (segment, offset) = (segment + 1, 64);
                }
                let first = last.saturating_sub(back % 7 * (back / 7)) + 1;
                last = first + count - 1;
                let indexes = Some((Index(first), Index(last)));
                let record = Written { segment, offset, length, indexes };
                offset += length;
                records.push(record);
                places.note(record);
                places.check();
            }
            for index in 1..=last {
                let place = newest(&records, Index(index)).expect("the log has no gaps");
                let mark = places.find(Index(index)).expect("it lies in the log");
                prop_assert_eq!(mark.segment, place.0);
                prop_assert!(mark.offset <= place.1 && place.1 < mark.offset + mark.length);
                for record in &records {
                    let (from, to) = record.indexes.expect("every record here has entries");
                    let here = (record.segment, record.offset);
                    let below = places.valid_below(record.segment, record.offset);
                    let counts = below.is_some_and(|below| index < below.0);
                    if from.0 <= index && index <= to.0 {
                        prop_assert_eq!(counts, here == place);
                    }
                }
            }
        }
    }

    #[test]
    fn a_cut_and_a_reset_forget() {
        let mut places = Places::default();
        for segment in 1..=3 {
            let indexes = Some((Index(segment * 10), Index(segment * 10 + 9)));
            places.note(Written { segment, offset: 64, length: 100, indexes });
        }
        places.forget(1);
        assert_eq!(places.find(Index(19)), None);
        assert_eq!(places.find(Index(20)).map(|mark| mark.segment), Some(2));
        assert_eq!(places.bytes_behind(Index(25)), 200);
        assert_eq!(places.bytes_behind(Index(39)), 0);
        places.clear(Index(50));
        assert_eq!(places.find(Index(20)), None);
        assert_eq!(places.bytes_behind(Index(50)), 0);
    }
}
