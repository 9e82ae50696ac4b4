//! What the operating system knows of this process, from `/proc` (as Prometheus' own clients).
//!
//! It is read when `/metrics` is asked for, and at no other time. What cannot be read is zero.

use std::fs;
use std::time::Duration;

use quorra_core::time::WallTime;
use quorra_net::host::Measured;

/// In which `/proc/self/stat` counts time: fixed for programs, whatever the kernel's own is.
const TICKS_PER_SECOND: u64 = 100;
/// In which `/proc/self/statm` counts memory on the machines that this runs on.
const PAGE_BYTES: u64 = 4096;

/// Measures this process.
#[must_use]
pub fn measure() -> Measured {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let memory = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let mut pages = memory.split(' ').map(|pages| pages.trim().parse().unwrap_or(0));
    let mut bytes = || pages.next().unwrap_or(0) * PAGE_BYTES;
    let (virtual_bytes, resident_bytes) = (bytes(), bytes());
    Measured {
        processor_time: ticks(field(&stat, 14) + field(&stat, 15)),
        resident_bytes,
        virtual_bytes,
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64),
        started: started(&stat, &boot),
        ..Measured::default()
    }
}

/// A field of `/proc/self/stat` by its number in proc(5); the second one may hold blanks and
/// ends with the last parenthesis.
fn field(stat: &str, number: usize) -> u64 {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest.trim_start());
    let field = behind_name.split(' ').nth(number - 3);
    field.and_then(|field| field.trim().parse().ok()).unwrap_or(0)
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / TICKS_PER_SECOND))
}

fn started(stat: &str, boot: &str) -> WallTime {
    let since_boot = ticks(field(stat, 22));
    let booted = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let time = Duration::from_secs(booted.unwrap_or(0)) + since_boot;
    WallTime(i64::try_from(time.as_nanos()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let stat = "7 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 200 1 1";
        assert_eq!((field(stat, 14), field(stat, 15), field(stat, 22)), (150, 50, 200));
        assert_eq!(started(stat, "cpu 1\nbtime 1000\n"), WallTime(1_002_000_000_000));
        assert_eq!((field("", 14), field("7 (x) S", 40)), (0, 0));
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let measured = measure();
        assert!(measured.resident_bytes > 1 << 16);
        assert!(measured.virtual_bytes >= measured.resident_bytes);
        assert!(measured.descriptors > 2);
        assert!(measured.started > WallTime(1_600_000_000_000_000_000));
    }
}
