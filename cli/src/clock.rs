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
