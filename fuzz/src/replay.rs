//! The corpora, replayed without a fuzzer: each file, and a fixed row of mutations of each.

use std::fs;
use std::path::PathBuf;
use std::thread;

use quorra_core::random::Random;

use crate::Target;
use crate::pieces;

/// Runs a target over its corpus, and over so many mutations of each file. The mutations are the
/// same every time.
///
/// # Panics
/// When the target does; stderr has the input. When the corpus is empty or cannot be read.
pub fn replay(name: &str, target: Target, mutations: u64) {
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "the corpus of {name} has no files");
    for (file, bytes) in &corpus {
        run(name, file, target, bytes);
        let mut random = Random::new(pieces::seed(bytes));
        for _ in 0..mutations {
            let other = &corpus[below(&mut random, corpus.len())].1;
            run(name, file, target, &mutated(bytes, other, &mut random));
        }
    }
}

/// The corpus' files by name.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).expect("a target has a corpus");
    let paths = entries.map(|entry| entry.expect("a corpus can be listed").path());
    let read = paths.map(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name, fs::read(&path).expect("a corpus can be read"))
    });
    let mut files: Vec<_> = read.collect();
    files.sort();
    files
}

/// Says which input it was if the target panics.
fn run(name: &str, file: &str, target: Target, bytes: &[u8]) {
    struct Story<'a>(&'a str, &'a str, &'a [u8]);
    impl Drop for Story<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                let Self(name, file, bytes) = self;
                eprintln!("corpus/{name}/{file}, perhaps mutated: {}", bytes.escape_ascii());
            }
        }
    }
    let _story = Story(name, file, bytes);
    target(bytes);
}

/// One to four small changes.
fn mutated(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return other.to_vec();
        }
        let at = below(random, bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(random, 5)],
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + 1 + below(random, 8)).min(bytes.len()))),
            5 => {
                let again = bytes[at..(at + 16).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            6 => {
                let from = below(random, other.len().max(1));
                bytes.splice(at.., other.get(from..).unwrap_or_default().iter().copied());
            }
            _ => {
                let to = below(random, bytes.len());
                bytes.swap(at, to);
            }
        }
    }
    bytes
}

fn below(random: &mut Random, bound: usize) -> usize {
    let drawn = random.below(u64::try_from(bound).expect("sizes fit 64 bits"));
    usize::try_from(drawn).expect("below a size")
}
