//! Which token will do for a client: the one in memory, or a new one. Decided without I/O; `supply` carries it out.

use std::sync::Arc;

use super::TokenAsk;
use crate::table::Token;

/// Seconds a token must be valid when a client does not say.
const MIN_VALID: u64 = 60;

/// Seconds that a token must be valid to be handed out at once when it is about to end.
const LEAST_VALID: u64 = 10;

/// What a client is given. Times are Unix seconds.
pub(super) enum Choice {
    /// The token in memory.
    Held(Arc<Token>),
    /// The token in memory. It ends soon, so a new one is fetched for the next client.
    HeldAndRenew(Arc<Token>),
    /// A token that is valid beyond this time, and no other.
    Fetch(u64),
    /// A token that is valid beyond this time; when there is none, the one in memory, as long as it is valid.
    FetchOrHeld(u64),
}

/// Decides at `now` (Unix seconds), when memory has this valid token of the resource.
///
/// A client that does not say how long its token must last gets what there is, and a renewal holds it up only when
/// that one has hardly any seconds left (D-051).
pub(super) fn choose(held: Option<Arc<Token>>, ask: &TokenAsk, now: u64) -> Choice {
    let beyond = now.saturating_add(ask.min_valid.unwrap_or(MIN_VALID));
    let end = held.as_ref().map(|token| token.expires_at);
    if ask.force {
        return Choice::Fetch(end.map_or(beyond, |end| end.max(beyond)));
    }
    let lasts = |token: &Token, seconds| token.expires_at.saturating_sub(now) > seconds;
    match (held, ask.min_valid) {
        (Some(token), Some(wanted)) if lasts(&token, wanted) => Choice::Held(token),
        (_, Some(_)) => Choice::Fetch(beyond),
        (Some(token), None) => {
            let usual = token.usual_min_valid(MIN_VALID);
            if lasts(&token, usual) {
                Choice::Held(token)
            } else if lasts(&token, LEAST_VALID) {
                Choice::HeldAndRenew(token)
            } else {
                Choice::FetchOrHeld(beyond)
            }
        }
        (None, None) => Choice::FetchOrHeld(beyond),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{AccessToken, Usage};

    const NOW: u64 = 1_000_000;
    const HOUR: u64 = 3_600;

    /// A token with this many seconds left, of a life of `life` seconds if that is known.
    fn token(left: u64, life: Option<u64>) -> Arc<Token> {
        let expires_at = NOW + left;
        let made_at = life.map(|life| expires_at - life);
        Arc::new(Token {
            access_token: AccessToken::copy_of("x").unwrap(),
            token_type: "Bearer".into(),
            resource: "urn:d:x".parse().unwrap(),
            made_at,
            expires_at,
            scope: None,
            usage: Usage::default(),
        })
    }

    fn chosen(held: Option<Arc<Token>>, min_valid: Option<u64>, force: bool) -> String {
        let ask = TokenAsk::of(None, Some("urn:d:x"), min_valid, force).unwrap();
        match choose(held, &ask, NOW) {
            Choice::Held(_) => "held".into(),
            Choice::HeldAndRenew(_) => "held, renew".into(),
            Choice::Fetch(beyond) => format!("fetch {}", beyond - NOW),
            Choice::FetchOrHeld(beyond) => format!("fetch {} or held", beyond - NOW),
        }
    }

    #[test]
    fn d_051_a_client_that_does_not_say_gets_what_there_is() {
        for (left, life, choice) in [
            (61, None, "held"),
            (60, None, "held, renew"),
            (11, None, "held, renew"),
            (10, None, "fetch 60 or held"),
            (61, Some(HOUR), "held"),
            (60, Some(HOUR), "held, renew"),
            // A fifth of its life is enough for a token that lives shortly.
            (21, Some(100), "held"),
            (20, Some(100), "held, renew"),
            (10, Some(100), "fetch 60 or held"),
            (5, Some(20), "held"),
            (4, Some(20), "fetch 60 or held"),
        ] {
            assert_eq!(
                chosen(Some(token(left, life)), None, false),
                choice,
                "{left} s of {life:?}"
            );
        }
        assert_eq!(chosen(None, None, false), "fetch 60 or held");
    }

    #[test]
    fn d_040_a_client_that_says_how_long_gets_no_less() {
        for (left, min_valid, choice) in [
            (301, 300, "held"),
            (300, 300, "fetch 300"),
            (1, 0, "held"),
            (5, 1, "held"),
        ] {
            assert_eq!(
                chosen(Some(token(left, Some(HOUR))), Some(min_valid), false),
                choice
            );
        }
        assert_eq!(chosen(None, Some(300), false), "fetch 300");
        let ask = TokenAsk::of(None, None, Some(u64::MAX), false).unwrap();
        assert!(matches!(choose(None, &ask, NOW), Choice::Fetch(u64::MAX)));
    }

    #[test]
    fn d_040_force_asks_for_a_token_that_outlasts_the_one_in_memory() {
        assert_eq!(chosen(None, None, true), "fetch 60");
        assert_eq!(chosen(Some(token(600, None)), None, true), "fetch 600");
        assert_eq!(chosen(Some(token(30, None)), None, true), "fetch 60");
        assert_eq!(chosen(Some(token(600, None)), Some(900), true), "fetch 900");
    }
}
