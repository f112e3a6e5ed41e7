//! How much work one session may make, for this server and for the identity provider.

use std::num::NonZeroU32;
use std::time::Duration;

use device_proto::RequestId;

use crate::throttle::Throttle;

/// Asks of one session in a row: a daemon that comes back wants each token it may have.
const ASKS: NonZeroU32 = NonZeroU32::new(4_096).expect("it is not 0");

/// One more every so often. Each reads the session's record, which may have megabytes.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// Renewals of one login in a row: a person tries things out, a device does not.
const RENEWALS: NonZeroU32 = NonZeroU32::new(60).expect("it is not 0");

/// One more every so often: the shortest-lived tokens there are, of five seconds, are still renewed in time.
const RENEWAL_EVERY: Duration = Duration::from_secs(3);

/// Exchanges of one login in a row: each token it may have, twice.
const EXCHANGES: NonZeroU32 = NonZeroU32::new(2_048).expect("it is not 0");

/// One more every so often: that renews as many tokens as it may have every five minutes.
const EXCHANGE_EVERY: Duration = Duration::from_millis(250);

/// Returns the limit on how often one session renews its login.
pub(super) fn renewals() -> Throttle<RequestId> {
    Throttle::every(RENEWAL_EVERY, RENEWALS)
}

/// Returns the limit on how often one session exchanges.
pub(super) fn exchanges() -> Throttle<RequestId> {
    Throttle::every(EXCHANGE_EVERY, EXCHANGES)
}

/// Returns the limit on how often one session asks, whatever it asks for.
pub(super) fn asks() -> Throttle<RequestId> {
    Throttle::every(ASK_EVERY, ASKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_may_want_every_token_at_once_and_then_has_to_wait() {
        let (asks, session) = (asks(), RequestId::from_random([7; 16]));
        assert!((0..ASKS.get()).all(|_| asks.check(&session).is_ok()));
        let more = (0..ASKS.get()).filter(|_| asks.check(&session).is_ok()).count();
        assert!(more < 1_000, "{more} more at once");
        assert!(
            asks.check(&RequestId::from_random([8; 16])).is_ok(),
            "another session"
        );
    }
}
