//! What is good for one use: the `jti` of an assertion or of a signed request is taken once (C-078, C-168).

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};
use store::{Error, Key, Put, Space, Store, UnixSeconds};

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
}

/// What was used, in the store: a second server or a restart changes nothing.
#[derive(Clone)]
pub(crate) struct Used(Arc<dyn Store>);

impl Used {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
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
        let id = id(kind, client, jti);
        let key = Key {
            space: Space::Used,
            id: &id,
        };
        let put = self.0.put_if_absent(key, Vec::new(), until, now).await?;
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
        let used = Used::new(store::open("memory:", OpenMode::Create).unwrap());
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
}
