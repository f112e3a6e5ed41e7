//! The token table of one session (step 9 of a token's way): the opened tokens, by resource, until a client asks.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use device_proto::ResourceUrn;
use ipc_proto::TokenStatus;
use thiserror::Error;

use crate::memory::{Exhausted, Locked};

/// Tokens of one session: one a resource.
const MAX_TOKENS: usize = 2048;

/// Bytes of locked memory that one session's tokens may take: a quarter of what the service's unit lets the daemon lock.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A token, ready to be handed out.
pub(crate) struct Token {
    pub(crate) access_token: AccessToken,
    /// RFC 6749 §7.1; `Bearer`.
    pub(crate) token_type: String,
    pub(crate) resource: ResourceUrn,
    /// When it was made, Unix seconds. Not known of one that was there before the connection.
    pub(crate) made_at: Option<u64>,
    /// When it ends, Unix seconds.
    pub(crate) expires_at: u64,
    pub(crate) scope: Option<String>,
    pub(crate) usage: Usage,
}

/// An access token's text, in locked memory, and its number.
pub(crate) struct AccessToken {
    text: Locked,
    serial: u64,
}

/// The last token's number. The first one is made of the time, so that two daemons number differently. They stay
/// below 2^53 for two centuries, since some JSON readers know no larger whole number.
static LAST_SERIAL: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since = UNIX_EPOCH.elapsed().unwrap_or_default();
    AtomicU64::new(since.as_secs() << 20)
});

/// Whether a token was handed out, and whether its session has taken notice ([`Table::newly_used`]).
#[derive(Default)]
pub(crate) struct Usage(AtomicU8);

/// The session holds as many tokens as a session may, or as many bytes of them.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the tokens are too many or too long")]
pub(crate) struct Full;

impl Token {
    /// Returns the seconds it must be valid for a client that does not say: `most`, or a fifth of its life, so that a
    /// short-lived one is served from memory too.
    pub(crate) fn usual_min_valid(&self, most: u64) -> u64 {
        let life = |made_at| self.expires_at.saturating_sub(made_at);
        self.made_at.map_or(most, |made_at| most.min(life(made_at) / 5))
    }

    /// Returns the secret itself.
    pub(crate) fn access_token(&self) -> &str {
        self.access_token.expose()
    }

    /// Returns its number. No other token that this daemon opened has the same; a later one has a larger one.
    pub(crate) fn serial(&self) -> u64 {
        self.access_token.serial
    }

    /// Returns the bytes of locked memory that it takes.
    fn size(&self) -> usize {
        self.access_token.text.slot_size()
    }

    /// Whether both are the same.
    fn is(&self, other: &Self) -> bool {
        self.access_token.expose() == other.access_token.expose() && self.expires_at == other.expires_at
    }

    /// Whether it is still valid `min_valid` seconds after `now`.
    fn lasts(&self, min_valid: u64, now: u64) -> bool {
        self.expires_at > now.saturating_add(min_valid)
    }
}

/// Returns the number of one more token that is handed out.
pub(crate) fn next_serial() -> u64 {
    LAST_SERIAL.fetch_add(1, Ordering::Relaxed) + 1
}

impl AccessToken {
    /// Copies the text into locked memory, and numbers it.
    ///
    /// # Errors
    ///
    /// [`Exhausted`].
    pub(crate) fn copy_of(text: &str) -> Result<Self, Exhausted> {
        Ok(Self {
            text: Locked::copy_of(text.as_bytes())?,
            serial: next_serial(),
        })
    }

    fn expose(&self) -> &str {
        str::from_utf8(self.text.expose()).expect("it was made of text, and never written since")
    }
}

impl Usage {
    const UNUSED: u8 = 0;
    const USED: u8 = 1;
    const NOTICED: u8 = 2;

    /// Notes that the token was handed out; returns whether that is news.
    pub(crate) fn mark(&self) -> bool {
        self.turn(Self::UNUSED, Self::USED)
    }

    /// Takes notice of a first use; returns whether there is one.
    fn notice(&self) -> bool {
        self.turn(Self::USED, Self::NOTICED)
    }

    fn turn(&self, from: u8, to: u8) -> bool {
        let turned = self
            .0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        turned.is_ok()
    }
}

/// The tokens of one session, by resource. The lock is held for a look-up, never across an await.
#[derive(Default)]
pub(crate) struct Table(Mutex<BTreeMap<ResourceUrn, Arc<Token>>>);

impl Table {
    /// Keeps a token in the place of its resource's last one, and drops the tokens that have ended at `now` (Unix
    /// seconds). Returns nothing when it is there already, as after each new connection.
    ///
    /// # Errors
    ///
    /// [`Full`]: a server that makes up resources must not fill the memory that all sessions share (D-035).
    pub(crate) fn put(&self, token: Token, now: u64) -> Result<Option<Arc<Token>>, Full> {
        let mut tokens = self.tokens();
        tokens.retain(|_, kept| kept.lasts(0, now));
        if tokens.get(&token.resource).is_some_and(|kept| kept.is(&token)) {
            return Ok(None);
        }
        let others = tokens.values().filter(|kept| kept.resource != token.resource);
        let (count, bytes) = others.fold((0, 0), |(count, bytes), kept| (count + 1, bytes + kept.size()));
        if count >= MAX_TOKENS || bytes + token.size() > MAX_BYTES {
            return Err(Full);
        }
        let token = Arc::new(token);
        tokens.insert(token.resource.clone(), Arc::clone(&token));
        Ok(Some(token))
    }

    /// Returns the resource's token if it is valid for more than `min_valid` seconds from `now` (Unix seconds).
    pub(crate) fn get(&self, resource: &ResourceUrn, min_valid: u64, now: u64) -> Option<Arc<Token>> {
        let tokens = self.tokens();
        tokens
            .get(resource)
            .filter(|token| token.lasts(min_valid, now))
            .cloned()
    }

    /// Returns the tokens by resource, with those that have ended since the last one came.
    pub(crate) fn list(&self) -> Vec<TokenStatus> {
        let status = |token: &Arc<Token>| TokenStatus {
            resource: token.resource.to_string(),
            expires_at: token.expires_at,
        };
        self.tokens().values().map(status).collect()
    }

    /// Returns the tokens that were handed out for the first time since the last call.
    pub(crate) fn newly_used(&self) -> Vec<Arc<Token>> {
        let tokens = self.tokens();
        let new = tokens.values().filter(|token| token.usage.notice());
        new.cloned().collect()
    }

    /// Forgets when the tokens were made.
    #[cfg(test)]
    pub(crate) fn age(&self) {
        for token in self.tokens().values_mut() {
            Arc::get_mut(token).unwrap().made_at = None;
        }
    }

    /// Drops every token; each is wiped when its last reader is done.
    pub(crate) fn clear(&self) {
        self.tokens().clear();
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<ResourceUrn, Arc<Token>>> {
        // A map of whole tokens is whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(resource: &str, expires_at: u64, text: &str) -> Token {
        Token {
            access_token: AccessToken::copy_of(text).unwrap(),
            token_type: "Bearer".into(),
            resource: urn(resource),
            made_at: Some(0),
            expires_at,
            scope: None,
            usage: Usage::default(),
        }
    }

    fn urn(text: &str) -> ResourceUrn {
        text.parse().unwrap()
    }

    #[test]
    fn each_token_has_a_number_of_its_own_and_keeps_it() {
        let table = Table::default();
        let one = table.put(token("urn:a:x", 10, "1"), 0).unwrap().unwrap();
        assert!(table.put(token("urn:a:x", 10, "1"), 0).unwrap().is_none());
        let held = table.get(&urn("urn:a:x"), 0, 0).unwrap();
        assert_eq!(held.serial(), one.serial(), "it came again");
        let two = table.put(token("urn:a:x", 10, "2"), 0).unwrap().unwrap();
        assert!(two.serial() > one.serial());
        assert!(two.serial() < 1 << 53);
    }

    #[test]
    fn d_043_a_first_use_is_news_once() {
        let table = Table::default();
        let one = table.put(token("urn:a:x", 10, "1"), 0).unwrap().unwrap();
        table.put(token("urn:b:x", 10, "2"), 0).unwrap();
        assert!(table.newly_used().is_empty());
        assert!(one.usage.mark());
        assert!(!one.usage.mark());
        let used: Vec<_> = table
            .newly_used()
            .iter()
            .map(|token| token.resource.clone())
            .collect();
        assert_eq!(used, [urn("urn:a:x")]);
        assert!(!one.usage.mark());
        assert!(table.newly_used().is_empty());
    }

    #[test]
    fn who_does_not_say_gets_a_token_for_a_minute_or_a_fifth_of_its_life() {
        for (life, usual) in [(3_600, 60), (300, 60), (60, 12), (4, 0)] {
            assert_eq!(token("urn:a:x", life, "x").usual_min_valid(60), usual);
        }
        let mut old = token("urn:a:x", 10, "x");
        old.made_at = None;
        assert_eq!(old.usual_min_valid(60), 60, "nobody knows how long it lived");
    }

    #[test]
    fn a_token_is_served_only_while_it_lasts_long_enough() {
        let table = Table::default();
        table.put(token("urn:a:x", 1000, "secret"), 0).unwrap();
        assert_eq!(
            table.get(&urn("urn:a:x"), 0, 999).unwrap().access_token(),
            "secret"
        );
        assert!(table.get(&urn("urn:a:x"), 0, 1000).is_none(), "ended");
        assert!(table.get(&urn("urn:a:x"), 60, 939).is_some());
        assert!(table.get(&urn("urn:a:x"), 60, 940).is_none(), "ends too soon");
        assert!(table.get(&urn("urn:a:x"), u64::MAX, 5).is_none(), "no overflow");
        assert!(table.get(&urn("urn:b:x"), 0, 0).is_none(), "another resource");
    }

    #[test]
    fn d_043_a_token_that_comes_again_stays_the_used_one() {
        let table = Table::default();
        let kept = table.put(token("urn:a:x", 10, "1"), 0).unwrap().unwrap();
        kept.usage.mark();
        assert!(table.put(token("urn:a:x", 10, "1"), 0).unwrap().is_none());
        assert_eq!(table.newly_used().len(), 1);
        assert!(table.put(token("urn:a:x", 10, "2"), 0).unwrap().is_some());
    }

    #[test]
    fn a_newer_token_takes_the_place_of_the_old_one() {
        let table = Table::default();
        let old = table.put(token("urn:a:x", 10, "old"), 0).unwrap().unwrap();
        table.put(token("urn:a:x", 20, "new"), 0).unwrap();
        assert_eq!(table.get(&urn("urn:a:x"), 0, 0).unwrap().access_token(), "new");
        assert_eq!(old.access_token(), "old", "who holds it may finish");
        let listed: Vec<u64> = table.list().iter().map(|status| status.expires_at).collect();
        assert_eq!(listed, [20]);
        table.clear();
        assert!(table.list().is_empty());
    }

    #[test]
    fn d_035_a_hostile_server_fills_one_session_and_no_more() {
        let table = Table::default();
        let put = |n: usize, expires_at, now| {
            table
                .put(token(&format!("urn:{n}:x"), expires_at, "x"), now)
                .map(drop)
        };
        for n in 0..MAX_TOKENS {
            put(n, 10, 0).unwrap();
        }
        assert_eq!(put(MAX_TOKENS, 10, 9), Err(Full));
        assert_eq!(put(0, 20, 9), Ok(()), "a resource that is there");
        assert_eq!(put(MAX_TOKENS, 20, 10), Ok(()), "the others have ended");
        assert_eq!(table.list().len(), 2, "and are let go");
    }

    #[test]
    fn d_035_a_hostile_servers_long_tokens_leave_locked_memory_to_the_others() {
        const LONG: usize = 32 * 1024;
        let table = Table::default();
        // One byte more than half of a slot takes the whole slot.
        let text = "x".repeat(LONG / 2 + 1);
        let put = |n: usize, text: &str| table.put(token(&format!("urn:{n}:x"), 10, text), 0).map(drop);
        for n in 0..MAX_BYTES / LONG {
            put(n, &text).unwrap();
        }
        assert_eq!(put(MAX_BYTES / LONG, "x"), Err(Full));
        assert_eq!(put(0, &"y".repeat(LONG)), Ok(()), "in the place of its last one");
        assert_eq!(put(0, "y"), Ok(()));
        assert_eq!(put(MAX_BYTES / LONG, "x"), Ok(()), "there is room again");
    }
}
