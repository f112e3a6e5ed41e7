//! The time of day, as the protocol counts it.

use std::time::SystemTime;

/// Returns the seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |since| since.as_secs())
}

/// Returns how many seconds are left until `time`, 0 when it has passed.
pub(crate) fn left(time: u64) -> u64 {
    time.saturating_sub(now())
}

/// Returns a time as RFC 3339 has it, in UTC: `2026-01-31T12:00:00Z`. Years beyond 9999 have no such form, and become
/// the last second that has one.
pub(crate) fn rfc3339(time: u64) -> String {
    let time = time.min(LAST_WITH_FOUR_DIGITS);
    let (year, month, day) = date(time / 86_400);
    let (hour, minute, second) = (time / 3600 % 24, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// 9999-12-31T23:59:59Z.
const LAST_WITH_FOUR_DIGITS: u64 = 253_402_300_799;

/// Returns year, month and day of the day with this number; day 0 is 1970-01-01. A year is counted from March here, so
/// that the leap day is its last; 400 of them always have the same number of days.
fn date(day: u64) -> (u64, u64, u64) {
    const FROM_MARCH_0000_TO_1970: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let day = day + FROM_MARCH_0000_TO_1970;
    let (era, day) = (day / DAYS_IN_400_YEARS, day % DAYS_IN_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year, month + 3)
    } else {
        (year + 1, month - 9)
    };
    (400 * era + year, month, day_of_month)
}

/// Returns when something ends that has `left` seconds to go.
pub(crate) fn ends(left: u64) -> String {
    match left {
        0 => "expired".into(),
        1..60 => format!("expires in {left} s"),
        60..3600 => format!("expires in {} min", left / 60),
        3600..172_800 => format!("expires in {} h", left / 3600),
        _ => format!("expires in {} days", left / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_that_other_programs_print() {
        // From `date -u -d @N +%FT%TZ`.
        for (time, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_999_999_999, "2033-05-18T03:33:19Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (LAST_WITH_FOUR_DIGITS, "9999-12-31T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(time), expected);
        }
    }

    /// Counts the days on as a calendar does, leap years and all.
    #[test]
    fn every_day_until_the_year_2800_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for number in 0.. {
            assert_eq!(date(number), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
            if year == 2800 {
                break;
            }
        }
    }
}
