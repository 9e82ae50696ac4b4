//! Every flag that etcd knows, with what becomes of it here.
//!
//! A flag that does nothing here is never silently dropped: [`Support::Refused`] ones refuse to
//! start with anything but their default, [`Support::Moot`] ones warn.

mod others;
mod working;

use Kind::{Bool, Duration, Number, OneOf, Text, Urls};
use others::{MOOT, REFUSED};
use working::WORKING;

/// What a flag's value must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything.
    Text,
    /// As Go reads it: `1 t T TRUE true True 0 f F FALSE false False`.
    Bool,
    /// A decimal number, perhaps negative.
    Number,
    /// As Go writes it: `1h30m`, `300ms`, `0`.
    Duration,
    /// A list of URLs.
    Urls,
    /// One of these words.
    OneOf(&'static [&'static str]),
}

/// What becomes of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It works, and stands under this heading of the help.
    Works(&'static str),
    /// Only the default is accepted; the flag's text tells why.
    Refused,
    /// It tunes what only etcd has: any value is accepted, with a warning that tells why.
    Moot,
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) default: &'static str,
    pub(super) support: Support,
    /// For the help where the flag works, else the reason why it does not.
    pub(super) text: &'static str,
}

impl Flag {
    /// The environment variable of the same meaning.
    pub(super) fn variable(&self) -> String {
        format!("ETCD_{}", self.name.to_uppercase().replace('-', "_"))
    }
}

/// All flags, the working ones first and in the order of the help.
pub(super) fn all() -> impl Iterator<Item = Flag> {
    let row =
        |support| move |&(name, kind, default, text)| Flag { name, kind, default, support, text };
    let working = WORKING.iter().map(|&(support, name, kind, default, text)| Flag {
        name,
        kind,
        default,
        support,
        text,
    });
    let refused = REFUSED.iter().map(row(Support::Refused));
    working.chain(refused).chain(MOOT.iter().map(row(Support::Moot)))
}

/// The flag of that name.
pub(super) fn find(name: &str) -> Option<Flag> {
    all().find(|flag| flag.name == name)
}

impl Kind {
    /// Whether the text is a value of this kind; if not, why.
    pub(super) fn check(self, text: &str) -> Result<(), String> {
        let good = match self {
            Text => true,
            Bool => boolean(text).is_some(),
            Number => text.parse::<i64>().is_ok(),
            Duration => duration(text).is_some(),
            OneOf(words) => {
                let known = words.contains(&text);
                return known.then_some(()).ok_or_else(|| format!("invalid value {text:?}"));
            }
            Urls if text.is_empty() => true,
            Urls => return crate::urls::Url::parse_list(text).map(|_| ()),
        };
        good.then_some(()).ok_or_else(|| "parse error".to_string())
    }
}

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Go's `time.ParseDuration` reads it; a negative one is none at all.
pub(super) fn duration(text: &str) -> Option<std::time::Duration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(std::time::Duration::ZERO);
    }
    let mut seconds = None;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let number: f64 = rest[..rest.len() - unit.len()].parse().ok()?;
        let named = UNITS.iter().filter(|(name, _)| unit.starts_with(name));
        let (name, unit_seconds) = named.max_by_key(|(name, _)| name.len())?;
        rest = &unit[name.len()..];
        seconds = Some(seconds.unwrap_or(0.0) + number * unit_seconds);
    }
    let seconds = if negative { seconds.map(|_| 0.0) } else { seconds };
    std::time::Duration::try_from_secs_f64(seconds?).ok()
}

/// Go's units of time, in seconds.
const UNITS: [(&str, f64); 6] =
    [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_flag_stands_once_and_its_default_is_good() {
        let mut seen = BTreeSet::new();
        for flag in all() {
            assert!(seen.insert(flag.name), "--{} stands twice", flag.name);
            assert_eq!(flag.kind.check(flag.default), Ok(()), "--{}", flag.name);
        }
        assert!(seen.len() > 150, "etcd's table has more flags than {}", seen.len());
    }

    #[test]
    fn durations_are_gos() {
        let rows = [
            ("0", 0),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("+1.5s", 1_500),
            ("300ms", 300),
            ("-2s", 0),
        ];
        for (good, millis) in rows {
            let expected = std::time::Duration::from_millis(millis);
            assert_eq!(duration(good), Some(expected), "{good}");
        }
        for bad in ["", "10", "m", "1.2.3s", "1d", "s1"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_flag_of_etcd_is_known_under_its_variable() {
        let lines = include_str!("../etcd_flags.txt").lines().filter(|line| !line.starts_with('#'));
        let mut etcds = BTreeSet::from(["version"]);
        for line in lines {
            let (name, variable) = line.split_once(' ').expect("a name and a variable");
            if name == "version" {
                continue;
            }
            let flag = find(name).unwrap_or_else(|| panic!("--{name} is unknown"));
            assert_eq!(flag.variable(), variable);
            etcds.insert(name);
        }
        assert_eq!(etcds.len(), 165, "the fixture is whole");
    }

    #[test]
    fn every_flag_has_a_help_or_tells_why_it_does_not_work() {
        for flag in all() {
            assert!(!flag.text.is_empty(), "--{}", flag.name);
        }
    }
}
