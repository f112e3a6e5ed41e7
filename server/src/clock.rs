//! The time, as it is kept and compared. The wall clock is read here and nowhere else.

use std::time::{SystemTime, UNIX_EPOCH};

use store::UnixSeconds;

/// Returns the time.
pub(crate) fn now() -> UnixSeconds {
    UnixSeconds::new(epoch_millis() / 1000)
}

/// Returns the milliseconds since 1970.
pub(crate) fn epoch_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Returns a time as RFC 3339 writes it, in UTC and whole seconds. What no calendar has is its end.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_220_a_time_is_written_in_utc() {
        assert_eq!(rfc3339(1_800_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(rfc3339(u64::MAX), "9999-12-30T22:00:00Z");
    }
}
