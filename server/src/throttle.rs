//! How often one address, or one session, may do something.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Keys remembered at once. When so many are busy, everybody waits.
const REMEMBERED: usize = 100_000;

/// How long they wait.
const WHEN_FULL: Duration = Duration::from_secs(60);

/// How often a full table is looked through for quiet keys. A key that came once is quiet after some seconds, so that
/// filling the table for long takes tens of thousands of requests a second.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A rate limiter with a bucket for each key.
pub(crate) struct Throttle<K: Clone + Eq + Hash> {
    buckets: DefaultKeyedRateLimiter<K>,
    looked: Mutex<Option<Instant>>,
}

/// Whom an address is counted as: an IPv6 household has a whole /64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
        })
    }
}

impl<K: Clone + Eq + Hash> Throttle<K> {
    /// Allows so many a minute.
    pub(crate) fn per_minute(count: NonZeroU32) -> Self {
        Self::with(Quota::per_minute(count))
    }

    /// Allows so many in a row, and one more after each `pause`, which is not zero.
    pub(crate) fn every(pause: Duration, in_a_row: NonZeroU32) -> Self {
        let quota = Quota::with_period(pause).expect("the pause is not zero");
        Self::with(quota.allow_burst(in_a_row))
    }

    fn with(quota: Quota) -> Self {
        Self {
            buckets: RateLimiter::keyed(quota),
            looked: Mutex::default(),
        }
    }

    /// Counts one more for this key.
    ///
    /// # Errors
    ///
    /// It is too much: how long to wait.
    pub(crate) fn check(&self, key: &K) -> Result<(), Duration> {
        if self.is_full() {
            self.look_for_quiet();
            if self.is_full() {
                return Err(WHEN_FULL);
            }
        }
        self.buckets
            .check_key(key)
            .map_err(|too_soon| too_soon.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets the keys that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.buckets.retain_recent();
        self.buckets.shrink_to_fit();
    }

    fn is_full(&self) -> bool {
        self.buckets.len() >= REMEMBERED
    }

    fn look_for_quiet(&self) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            *looked = Some(Instant::now());
            self.buckets.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_004_an_address_runs_out_and_its_neighbour_does_not() {
        let throttle = Throttle::per_minute(NonZeroU32::new(3).unwrap());
        let ask = |address: &str| throttle.check(&Network::from(address.parse::<IpAddr>().unwrap()));
        assert!((0..3).all(|_| ask("192.0.2.1").is_ok()));
        assert!(ask("192.0.2.1").is_err_and(|wait| wait <= Duration::from_secs(20)));
        assert!(ask("192.0.2.2").is_ok());
        assert!((0..3).all(|n| ask(&format!("2001:db8::{n}")).is_ok()));
        assert!(ask("2001:db8::ffff").is_err(), "the same /64");
        assert!(ask("::ffff:192.0.2.1").is_err(), "the same IPv4 address, mapped");
    }

    #[test]
    fn a_full_table_lets_go_of_the_keys_that_have_been_quiet() {
        let throttle = Throttle::every(Duration::from_nanos(1), NonZeroU32::MIN);
        for key in 0..=REMEMBERED {
            throttle
                .check(&key)
                .expect("every key but the newest is quiet again");
        }
        assert!(throttle.buckets.len() < REMEMBERED);
    }

    #[test]
    fn a_table_full_of_busy_keys_takes_no_more() {
        let throttle = Throttle::every(Duration::from_secs(3600), NonZeroU32::MIN);
        assert!((0..REMEMBERED).all(|key| throttle.check(&key).is_ok()));
        assert_eq!(throttle.check(&REMEMBERED), Err(WHEN_FULL));
    }
}
