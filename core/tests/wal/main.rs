//! The log against a disk that may lose whatever was not synced.

mod crash;
mod format;
mod model;
mod places;
mod rules;
mod space;
