//! Which signing key is used when (C-032): a pure list of keys and their times. Nothing is written when a key's time comes;
//! its state follows from the clock.

use serde::{Deserialize, Serialize};

use crate::oauth::alg::Alg;

/// How long a new key is published before it signs, seconds. Clients that cache the key set have it by then.
pub(super) const PUBLISHED_BEFORE: u64 = 24 * 3600;

/// The list of the keys, as it is kept: the earliest to sign is first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    pub(super) keys: Vec<Planned>,
}

/// One key of the list; the key itself lies beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Planned {
    /// The thumbprint (RFC 7638) of the public key.
    pub(super) kid: String,
    pub(super) alg: Alg,
    /// Unix seconds; from then on it is in the key set.
    pub(super) published: u64,
    /// Unix seconds; from then on it signs, until another key of its algorithm does.
    pub(super) signs_from: u64,
}

/// What a key is for at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Published; signs later.
    Next,
    /// Signs.
    Current,
    /// Signed until `since`, Unix seconds; published for the tokens that it signed.
    Retired { since: u64 },
}

impl Plan {
    /// Returns the key that signs. When the clock went back behind all of them, the earliest does.
    pub(super) fn current(&self, alg: Alg, now: u64) -> Option<&Planned> {
        let mut own = self.of(alg);
        let earliest = own.next()?;
        Some(
            own.take_while(|key| key.signs_from <= now)
                .last()
                .unwrap_or(earliest),
        )
    }

    /// Returns what a key of the list is for.
    pub(super) fn state(&self, key: &Planned, now: u64) -> State {
        let mut later = self.of(key.alg).skip_while(|own| own.kid != key.kid).skip(1);
        let successor = later.next();
        match self.current(key.alg, now) {
            Some(current) if current.kid == key.kid => State::Current,
            _ if key.signs_from > now => State::Next,
            _ => State::Retired {
                since: successor.map_or(now, |next| next.signs_from),
            },
        }
    }

    /// Returns the key that waits for its time.
    pub(super) fn next(&self, alg: Alg, now: u64) -> Option<&Planned> {
        self.of(alg).find(|key| self.state(key, now) == State::Next)
    }

    /// Adds a key.
    pub(super) fn add(&mut self, key: Planned) {
        self.keys.push(key);
        self.keys.sort_by_key(|key| key.signs_from);
    }

    /// Lets the keys that wait sign now.
    pub(super) fn hurry(&mut self, alg: Alg, now: u64) {
        for key in self.keys.iter_mut().filter(|key| key.alg == alg) {
            key.signs_from = key.signs_from.min(now);
        }
        self.keys.sort_by_key(|key| key.signs_from);
    }

    /// Drops the keys that have been retired for `kept` seconds.
    pub(super) fn drop_old(&mut self, kept: u64, now: u64) {
        let plan = self.clone();
        self.keys.retain(|key| match plan.state(key, now) {
            State::Retired { since } => since.saturating_add(kept) > now,
            State::Next | State::Current => true,
        });
    }

    fn of(&self, alg: Alg) -> impl Iterator<Item = &Planned> {
        self.keys.iter().filter(move |key| key.alg == alg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = PUBLISHED_BEFORE;

    fn key(kid: &str, signs_from: u64) -> Planned {
        Planned {
            kid: kid.into(),
            alg: Alg::ES256,
            published: 0,
            signs_from,
        }
    }

    fn plan(keys: &[(&str, u64)]) -> Plan {
        let mut plan = Plan::default();
        for (kid, signs_from) in keys {
            plan.add(key(kid, *signs_from));
        }
        plan
    }

    fn states(plan: &Plan, now: u64) -> Vec<State> {
        plan.keys.iter().map(|key| plan.state(key, now)).collect()
    }

    #[test]
    fn c_032_a_key_waits_signs_and_retires_by_the_clock_alone() {
        use State::{Current, Next, Retired};
        let plan = plan(&[("a", 0), ("b", 2 * DAY), ("c", 3 * DAY)]);
        for (now, expected) in [
            (0, [Current, Next, Next]),
            (2 * DAY - 1, [Current, Next, Next]),
            (2 * DAY, [Retired { since: 2 * DAY }, Current, Next]),
            (
                3 * DAY,
                [Retired { since: 2 * DAY }, Retired { since: 3 * DAY }, Current],
            ),
        ] {
            assert_eq!(states(&plan, now), expected, "{now}");
        }
    }

    #[test]
    fn c_032_there_is_always_one_key_that_signs_even_when_the_clock_went_back() {
        let plan = plan(&[("a", 100), ("b", 200)]);
        for (now, kid) in [(0, "a"), (100, "a"), (199, "a"), (200, "b"), (u64::MAX, "b")] {
            assert_eq!(plan.current(Alg::ES256, now).unwrap().kid, kid, "{now}");
        }
        assert_eq!(states(&plan, 0), [State::Current, State::Next]);
        assert!(plan.current(Alg::RS256, 0).is_none());
    }

    #[test]
    fn c_032_a_key_that_is_hurried_signs_at_once_also_twice_in_a_second() {
        let mut plan = plan(&[("a", 0), ("b", 2 * DAY)]);
        plan.hurry(Alg::RS256, DAY);
        assert_eq!(plan.current(Alg::ES256, DAY).unwrap().kid, "a");
        plan.hurry(Alg::ES256, DAY);
        assert_eq!(plan.current(Alg::ES256, DAY).unwrap().kid, "b");
        plan.add(key("c", DAY));
        assert_eq!(plan.current(Alg::ES256, DAY).unwrap().kid, "c");
        assert_eq!(plan.next(Alg::ES256, DAY), None);
        assert_eq!(plan.state(&key("b", DAY), DAY), State::Retired { since: DAY });
    }

    #[test]
    fn c_032_a_retired_key_is_dropped_after_its_time_and_no_other() {
        let all = plan(&[("a", 0), ("b", DAY), ("c", 9 * DAY)]);
        for (now, left) in [(DAY + 9, 3), (DAY + 10, 2), (9 * DAY + 9, 2), (9 * DAY + 10, 1)] {
            let mut plan = all.clone();
            plan.drop_old(10, now);
            assert_eq!(plan.keys.len(), left, "{now}");
        }
    }
}
