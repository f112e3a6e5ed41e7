//! What is good for one use: the `jti` of an assertion or of a signed request is taken once (C-078, C-168). Each is kept until
//! its JWT ends, so a client uses up only so many.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use store::{Error, Key, Put, Space, Store, UnixSeconds};

use crate::throttle::Throttle;

/// What a `jti` belongs to: the same one may come once in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client assertion (RFC 7523 §3).
    Assertion,
    /// A signed authentication request (CIBA Core §7.1.1).
    Request,
}

/// Whether something was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Use {
    /// This is the first time.
    First,
    /// It is a replay.
    Again,
    /// The client uses up too many, and this one is not: how long to wait.
    TooMany(Duration),
}

/// What was used, in the store: a second server or a restart changes nothing.
pub(crate) struct Used {
    store: Arc<dyn Store>,
    /// By client id; `None`: not limited.
    pace: Option<Throttle<String>>,
}

impl Used {
    /// One client uses up at most so many a minute; 0: not limited.
    pub(crate) fn new(store: Arc<dyn Store>, per_minute: u32) -> Self {
        Self {
            store,
            pace: NonZeroU32::new(per_minute).map(Throttle::per_minute),
        }
    }

    /// Forgets the clients that have been quiet.
    pub(super) fn forget_quiet(&self) {
        self.pace.iter().for_each(Throttle::forget_quiet);
    }

    /// Uses up a client's `jti`, which is good `until` then.
    pub(crate) async fn once(
        &self,
        kind: Kind,
        client: &str,
        jti: &str,
        until: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<Use, Error> {
        let pace = self.pace.as_ref();
        if let Some(wait) = pace.and_then(|pace| pace.check(&client.to_owned()).err()) {
            return Ok(Use::TooMany(wait));
        }
        let id = id(kind, client, jti);
        let key = Key {
            space: Space::Used,
            id: &id,
        };
        let put = self.store.put_if_absent(key, Vec::new(), until, now).await?;
        Ok(match put {
            Put::Done(_) => Use::First,
            Put::Exists => Use::Again,
        })
    }
}

/// A hash, since a client chooses the `jti` and its length.
fn id(kind: Kind, client: &str, jti: &str) -> String {
    let kind = match kind {
        Kind::Assertion => "assertion",
        Kind::Request => "request",
    };
    // As JSON, so that no two different triples read the same.
    let triple = serde_json::to_vec(&(kind, client, jti)).expect("texts are plain JSON");
    Base64UrlUnpadded::encode_string(&Sha256::digest(triple))
}

#[cfg(test)]
mod tests {
    use store::OpenMode;

    use super::*;

    #[tokio::test]
    async fn c_078_c_168_a_jti_is_used_once_by_each_client_for_each_kind_until_its_end() {
        let used = Used::new(store::open("memory:", OpenMode::Create).unwrap(), 0);
        let long = "2".repeat(9999);
        let once = async |kind, client: &str, jti: &str, now| {
            let (until, now) = (UnixSeconds::new(10), UnixSeconds::new(now));
            used.once(kind, client, jti, until, now).await.unwrap()
        };
        assert_eq!(once(Kind::Assertion, "a", "1", 0).await, Use::First);
        assert_eq!(once(Kind::Assertion, "a", "1", 9).await, Use::Again);
        assert_eq!(once(Kind::Request, "a", "1", 0).await, Use::First);
        assert_eq!(once(Kind::Assertion, "b", "1", 0).await, Use::First);
        assert_eq!(once(Kind::Assertion, "a", &long, 0).await, Use::First);
        assert_eq!(once(Kind::Assertion, "a1", "", 0).await, Use::First);
        assert_eq!(once(Kind::Assertion, "a", "1", 10).await, Use::First);
    }

    #[tokio::test]
    async fn c_078_c_168_one_client_uses_up_so_many_a_minute_and_the_next_is_not_kept() {
        let store = store::open("memory:", OpenMode::Create).unwrap();
        let used = Used::new(Arc::clone(&store), 2);
        let (until, now) = (UnixSeconds::new(10), UnixSeconds::new(0));
        let once = async |kind, client, jti| used.once(kind, client, jti, until, now).await.unwrap();
        assert_eq!(once(Kind::Assertion, "a", "1").await, Use::First);
        assert_eq!(once(Kind::Request, "a", "2").await, Use::First);
        for kind in [Kind::Assertion, Kind::Request] {
            assert!(matches!(once(kind, "a", "3").await, Use::TooMany(_)), "{kind:?}");
        }
        assert_eq!(store.count(Space::Used, now).await.unwrap(), 2);
        assert_eq!(once(Kind::Assertion, "b", "3").await, Use::First);
    }
}
