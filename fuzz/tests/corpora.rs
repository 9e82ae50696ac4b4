//! Every target over its corpus, and over mutations of it that are the same every time.

use quorra_fuzz::replay::replay;
use quorra_fuzz::{TARGETS, canary};

/// For each file of a corpus.
const MUTATIONS: u64 = 100;

#[test]
fn no_input_breaks_a_rule() {
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || replay(name, target, MUTATIONS));
        }
    });
}

/// `fuzz/run` and the corpora know the targets by these names.
#[test]
fn every_corpus_belongs_to_a_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
    let entries = std::fs::read_dir(folder).expect("there are corpora");
    for entry in entries {
        let name = entry.expect("they can be listed").file_name();
        let known = TARGETS.iter().any(|(target, _)| name == *target) || name == "canary";
        assert!(known, "{name:?} is no target's");
    }
}

/// If this does not fail, neither would anything else.
#[test]
#[should_panic(expected = "mid > len")]
fn the_canary_is_caught() {
    replay("canary", canary::run, MUTATIONS);
}

#[test]
fn the_canarys_corpus_itself_is_harmless() {
    replay("canary", canary::run, 0);
}
