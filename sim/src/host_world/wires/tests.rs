//! What is read is what was written, and who is gone is noticed.

use super::*;
use crate::network::Weather;
use std::time::Duration;

const A: Owner = Owner::Client(0);
const B: Owner = Owner::Member(1, 1);

fn wires(seed: u64, window: usize) -> (Wires, WireId) {
    let delay = (Duration::from_millis(1), Duration::from_millis(9));
    let weather = Weather { delay, loss: 100, duplicates: 0, reorders: false };
    let network = Network::new(weather, Chance::new(seed));
    let mut wires = Wires::new(network, vec![window], Chance::new(seed));
    let id = wires.dial((0, A), (1, B), Listener::Client);
    (wires, id)
}

/// Lets so many nanoseconds pass; who knocks is let in.
fn pass(wires: &mut Wires, mut due: Vec<(u64, Happening)>, time: u64) -> Vec<(u64, Happening)> {
    let end = wires.now + time;
    loop {
        due.extend(wires.take_agenda());
        due.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        match due.pop() {
            Some((at, happening)) if at <= end => {
                wires.advance(at);
                wires.happen(happening);
            }
            later => {
                due.extend(later);
                wires.advance(end);
                return due;
            }
        }
        for wake in wires.take_wakes() {
            if let Wake::Knock(id, ..) = wake {
                wires.answer_knock(id, Some(B));
            }
        }
    }
}

#[test]
fn what_is_read_is_what_was_written_whatever_the_cuts() {
    for seed in 0..20 {
        let (mut wires, id) = wires(seed, 1_000);
        let mut due = pass(&mut wires, Vec::new(), 5_000_000_000);
        let sent: Vec<u8> = (0..20_000_u32).map(|n| n as u8).collect();
        let (mut rest, mut got) = (&sent[..], Vec::new());
        while got.len() < sent.len() {
            if let Written::Taken(count) = wires.write(id, 0, rest) {
                rest = &rest[count..];
            }
            due = pass(&mut wires, due, 20_000_000);
            if let Read::Bytes(bytes) = wires.read(id, 1, 300) {
                got.extend_from_slice(&bytes);
            }
        }
        assert_eq!(got, sent);
        wires.finish(id, 0);
        pass(&mut wires, due, 5_000_000_000);
        assert_eq!(wires.read(id, 1, 300), Read::End);
    }
}

#[test]
fn a_dark_end_is_noticed_late_and_a_closed_one_soon() {
    for (dark, soon) in [(true, false), (false, true)] {
        let (mut wires, id) = wires(3, 1_000);
        let due = pass(&mut wires, Vec::new(), 5_000_000_000);
        if dark {
            wires.vanish(id, 1);
        } else {
            wires.reset(id, 1);
        }
        wires.write(id, 0, b"hello?");
        let due = pass(&mut wires, due, 3_000_000_000);
        assert_eq!(wires.read(id, 0, 9) == Read::Broken, soon);
        pass(&mut wires, due, 2 * PATIENCE);
        assert_eq!(wires.read(id, 0, 9), Read::Broken);
    }
}
