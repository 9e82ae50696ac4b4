//! The `Date` field (RFC 9110, 6.6.1), formatted once a second.

use quorra_core::time::WallTime;

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The text of the newest second asked for.
#[derive(Debug, Default)]
pub(super) struct Date {
    second: Option<i64>,
    text: String,
}

impl Date {
    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    pub(super) fn at(&mut self, wall: WallTime) -> &str {
        let second = wall.0.div_euclid(1_000_000_000);
        if self.second != Some(second) {
            self.second = Some(second);
            self.text = format(second);
        }
        &self.text
    }
}

fn format(second: i64) -> String {
    let (days, of_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let week_day = usize::try_from(days.rem_euclid(7)).expect("a remainder is not negative");
    let month_name = MONTHS[usize::try_from(month - 1).expect("months count from one")];
    std::format!(
        "{}, {day:02} {month_name} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[week_day],
        of_day / 3_600,
        of_day / 60 % 60,
        of_day % 60,
    )
}

/// Year, month and day of a count of days since 1970-01-01, by eras of 400 years that begin on the
/// first of March, so that a leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let rows = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"),
        ];
        let mut date = Date::default();
        for (second, text) in rows {
            assert_eq!(date.at(WallTime(second * 1_000_000_000)), text);
        }
    }
}
