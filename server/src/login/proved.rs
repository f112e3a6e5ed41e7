//! When a person proved who they are, as far as the provider says it (C-109): decided without a clock.

/// By how much the provider's clock may differ from ours, seconds.
const CLOCKS_DIFFER: u64 = 30;

/// When a person proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proved {
    /// Unix seconds of our clock.
    pub(super) at: u64,
    /// Whether the provider says so. Otherwise it is only when the person came back.
    pub(super) is_said: bool,
}

/// Returns when the person proved who they are. `None`: they were asked to do it anew, and the provider does not say that
/// they did. The request for it went through the person's browser, which may have dropped it.
pub(super) fn proved(said: Option<u64>, fresh_since: Option<u64>, now: u64) -> Option<Proved> {
    let at = match fresh_since {
        None => said.unwrap_or(now),
        Some(since) => {
            let said = said.filter(|said| said.saturating_add(CLOCKS_DIFFER) >= since)?;
            said.max(since)
        }
    };
    Some(Proved {
        at: at.min(now),
        is_said: said.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Proved, proved};

    #[test]
    fn c_109_a_person_who_must_sign_in_anew_has_done_so_when_the_provider_says_so() {
        for (said, fresh_since, expected) in [
            (Some(50), None, Some(50)),
            (None, None, Some(100)), // Not said: no fresh proof, of whatever was asked before.
            (Some(120), None, Some(100)),
            (Some(95), Some(90), Some(95)),
            (Some(60), Some(90), Some(90)),
            (Some(59), Some(90), None),
            (Some(120), Some(90), Some(100)),
            (Some(u64::MAX), Some(90), Some(100)),
            (None, Some(90), None),
        ] {
            let is_said = said.is_some();
            let expected = expected.map(|at| Proved { at, is_said });
            assert_eq!(
                proved(said, fresh_since, 100),
                expected,
                "{said:?} {fresh_since:?}"
            );
        }
    }
}
