//! The time that a client gives a call.

use quorra_core::time::Duration;

/// The value of a `grpc-timeout` field: at most eight digits and a unit. None if it is not one.
#[must_use]
pub fn timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        let rows: [(&[u8], Option<Duration>); 8] = [
            (b"5S", Some(Duration::from_secs(5))),
            (b"4999886u", Some(Duration::from_micros(4_999_886))),
            (b"99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            (b"100000000n", None),
            (b"S", None),
            (b"5", None),
            (b"-1S", None),
            (b"5s", None),
        ];
        for (value, expected) in rows {
            assert_eq!(timeout(value), expected, "{value:?}");
        }
    }
}
