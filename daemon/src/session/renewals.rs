//! Which tokens are renewed ahead of need (D-043): those that a client used, at four fifths of their life. An unused
//! one costs the provider nothing. Pure.

use std::collections::BTreeMap;

use device_proto::ResourceUrn;

/// The part of a token's life after which it is renewed, and how much earlier that may be by chance: logins of one
/// morning do not come back at one minute.
const AT: f64 = 0.8;
const EARLIER: f64 = 0.1;

/// Seconds until a renewal that brought nothing is tried again; by chance up to twice that.
const AGAIN: u64 = 30;

/// Returns when a token that came at `now` is to be renewed, Unix seconds. `chance` is uniform in 0..1.
pub(super) fn renew_at(now: u64, expires_at: u64, chance: f64) -> u64 {
    let life = expires_at.saturating_sub(now) as f64;
    now + (life * (AT - EARLIER * chance)) as u64
}

/// The renewals to come.
#[derive(Default)]
pub(super) struct Renewals(BTreeMap<ResourceUrn, Renewal>);

/// One token's renewal, Unix seconds.
pub(super) struct Renewal {
    /// When the token is to be renewed.
    pub(super) at: u64,
    /// When the token ends. After that a new one is asked for only when a client wants it.
    pub(super) expires_at: u64,
}

impl Renewals {
    /// Plans the renewal of a token that a client used.
    pub(super) fn plan(&mut self, resource: ResourceUrn, renewal: Renewal) {
        self.0.insert(resource, renewal);
    }

    /// Forgets the resource's renewal. Its new token is there, which is renewed only when it is used itself; or the
    /// server refuses one.
    pub(super) fn settled(&mut self, resource: &ResourceUrn) {
        self.0.remove(resource);
    }

    /// Returns what has to be renewed at `now` (Unix seconds), each with the time that its new token has to last
    /// beyond. `chance` is uniform in 0..1.
    pub(super) fn due(&mut self, now: u64, chance: f64) -> Vec<(ResourceUrn, u64)> {
        self.0.retain(|_, renewal| renewal.expires_at > now);
        let due = self.0.iter_mut().filter(|(_, renewal)| renewal.at <= now);
        due.map(|(resource, renewal)| {
            renewal.at = now + AGAIN + (AGAIN as f64 * chance) as u64;
            (resource.clone(), renewal.expires_at)
        })
        .collect()
    }

    /// Returns when [`Renewals::due`] wants to be called, Unix seconds.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.values().map(|renewal| renewal.at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urn(name: &str) -> ResourceUrn {
        format!("urn:d:{name}").parse().unwrap()
    }

    #[test]
    fn d_043_a_token_is_renewed_at_four_fifths_of_its_life_or_a_little_earlier() {
        assert_eq!(renew_at(1_000, 2_000, 0.0), 1_800);
        assert_eq!(renew_at(1_000, 2_000, 1.0), 1_700);
        assert_eq!(renew_at(1_000, 900, 0.5), 1_000, "already over");
    }

    #[test]
    fn d_043_only_a_planned_renewal_comes_due_and_only_while_the_token_lives() {
        let mut renewals = Renewals::default();
        assert_eq!(renewals.next(), None);
        let renewal = |at, expires_at| Renewal { at, expires_at };
        renewals.plan(urn("x"), renewal(180, 200));
        renewals.plan(urn("y"), renewal(500, 600));
        assert_eq!(renewals.next(), Some(180));
        assert_eq!(renewals.due(179, 0.0), []);
        assert_eq!(renewals.due(180, 0.0), [(urn("x"), 200)]);
        assert_eq!(renewals.due(180, 0.0), [], "once");
        assert_eq!(renewals.next(), Some(180 + AGAIN));
        assert_eq!(renewals.due(180 + AGAIN, 0.0), [], "it ended meanwhile");
        renewals.settled(&urn("y"));
        assert_eq!(renewals.next(), None);
    }
}
