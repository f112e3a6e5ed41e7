//! How many logins one address may begin (D-004), and how much work one session may make for the identity provider.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use device_proto::RequestId;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Addresses, or sessions, remembered at once. When so many are busy, newcomers wait.
const REMEMBERED: usize = 100_000;

/// How long they wait: until the quiet ones are forgotten.
const WHEN_FULL: Duration = Duration::from_secs(60);

/// Renewals of one login in a row: a person tries things out, a device does not.
const RENEWALS: NonZeroU32 = NonZeroU32::new(60).expect("it is not 0");

/// One more every so often: the shortest-lived tokens there are, of five seconds, are still renewed in time.
const RENEWAL_EVERY: Duration = Duration::from_secs(3);

/// Exchanges of one login in a row: each token it may have, twice.
const EXCHANGES: NonZeroU32 = NonZeroU32::new(2_048).expect("it is not 0");

/// One more every so often: that renews as many tokens as it may have every five minutes.
const EXCHANGE_EVERY: Duration = Duration::from_millis(250);

/// A limiter by address, or by session.
pub(crate) struct Throttle<K: Clone + Eq + Hash = IpAddr>(DefaultKeyedRateLimiter<K>);

impl Throttle {
    pub(crate) fn new(per_minute: NonZeroU32) -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(per_minute)))
    }

    /// Counts one more from this address; says how long to wait when it is too many.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Duration> {
        self.check_key(&network(address))
    }
}

impl Throttle<RequestId> {
    /// What one session may renew its login.
    pub(crate) fn renewals() -> Self {
        Self::every(RENEWAL_EVERY, RENEWALS)
    }

    /// What one session may exchange.
    pub(crate) fn exchanges() -> Self {
        Self::every(EXCHANGE_EVERY, EXCHANGES)
    }

    fn every(pause: Duration, in_a_row: NonZeroU32) -> Self {
        let quota = Quota::with_period(pause).expect("it is not 0");
        Self(RateLimiter::keyed(quota.allow_burst(in_a_row)))
    }

    /// Counts one more of this session, unless it is too many.
    pub(crate) fn allows(&self, session: &RequestId) -> bool {
        self.check_key(session).is_ok()
    }
}

impl<K: Clone + Eq + Hash> Throttle<K> {
    fn check_key(&self, key: &K) -> Result<(), Duration> {
        if self.0.len() >= REMEMBERED {
            return Err(WHEN_FULL);
        }
        self.0
            .check_key(key)
            .map_err(|too_soon| too_soon.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets those that have been quiet.
    pub(crate) fn forget_quiet(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

/// One household has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_004_an_address_runs_out_and_its_neighbour_does_not() {
        let throttle = Throttle::new(NonZeroU32::new(3).unwrap());
        let ask = |address: &str| throttle.check(address.parse().unwrap());
        assert!((0..3).all(|_| ask("192.0.2.1").is_ok()));
        assert!(ask("192.0.2.1").is_err_and(|wait| wait <= Duration::from_secs(20)));
        assert!(ask("192.0.2.2").is_ok());
        assert!((0..3).all(|n| ask(&format!("2001:db8::{n}")).is_ok()));
        assert!(ask("2001:db8::ffff").is_err(), "the same /64");
        assert!(ask("::ffff:192.0.2.1").is_err(), "the same IPv4 address, mapped");
    }
}
