//! The v3 store: a multi-version map of keys to values.

mod record;
mod request;

pub use record::Record;
pub use request::{
    Answer, Compare, CompareResult, CompareTarget, DeleteRange, Error, Interval, LeaseId, Op, Put,
    Range, RangeAnswer, SortOrder, SortTarget, Txn, Write,
};
