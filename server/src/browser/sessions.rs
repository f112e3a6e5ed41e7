//! The browser sessions of this server, in the store under the hash of their cookie.

use std::sync::Arc;

use axum_extra::extract::cookie::{Cookie, CookieJar};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use store::{Key, Put, Space, Store};
use url::Url;

use super::cookie::{hardened, name};
use super::session::{BrowserSession, Person};
use crate::clock::now;
use crate::random::random;

/// How long a person stays signed in, seconds: a working day. Use does not make it longer.
const VALID: u64 = 12 * 60 * 60;

/// The cookie; [`name`] says how it is really called.
const COOKIE: &str = "ciba-session";

/// The sessions.
pub(crate) struct Sessions {
    store: Arc<dyn Store>,
    /// How browsers reach us.
    public_url: Url,
}

/// In the store. Nothing in it is a secret.
#[derive(Serialize, Deserialize)]
struct Record {
    person: Person,
    /// Unix seconds.
    began: u64,
}

impl Sessions {
    pub(crate) fn new(store: Arc<dyn Store>, public_url: Url) -> Self {
        Self { store, public_url }
    }

    /// Returns the session of the browser that sent these cookies.
    pub(crate) async fn of(&self, jar: &CookieJar) -> Result<Option<BrowserSession>, store::Error> {
        let Some(secret) = self.secret(jar) else {
            return Ok(None);
        };
        let found = self.store.get(key(&hash("session", secret)), now()).await?;
        // A record of another version of this server is no session: the person signs in again.
        let record = found.and_then(|found| serde_json::from_slice::<Record>(&found.value).ok());
        Ok(record.map(|Record { person, began }| BrowserSession {
            person,
            began,
            form_token: hash("form", secret),
        }))
    }

    /// Begins a session with a new cookie, and ends the one that the browser had: a cookie that was planted before the
    /// person signed in is worth nothing afterwards.
    pub(crate) async fn begin(&self, jar: CookieJar, person: Person) -> Result<CookieJar, store::Error> {
        let jar = self.end(jar).await?;
        let secret = Base64UrlUnpadded::encode_string(&random::<32>());
        let began = now();
        let record = Record {
            person,
            began: began.seconds(),
        };
        let value = serde_json::to_vec(&record).expect("texts and numbers always serialize");
        let id = hash("session", &secret);
        // 256 random bits do not collide.
        let (Put::Done(_) | Put::Exists) = self
            .store
            .put_if_absent(key(&id), value, began.plus(VALID), began)
            .await?;
        Ok(jar.add(hardened(COOKIE, secret, &self.public_url)))
    }

    /// Ends the browser's session, if it has one.
    pub(crate) async fn end(&self, jar: CookieJar) -> Result<CookieJar, store::Error> {
        let Some(secret) = self.secret(&jar) else {
            return Ok(jar);
        };
        self.store.delete(key(&hash("session", secret))).await?;
        Ok(jar.remove(self.removal()))
    }

    /// Browsers let a cookie go only by a cookie that is hardened in the same way.
    fn removal(&self) -> Cookie<'static> {
        hardened(COOKIE, String::new(), &self.public_url)
    }

    fn secret<'a>(&self, jar: &'a CookieJar) -> Option<&'a str> {
        jar.get(&name(COOKIE, &self.public_url)).map(Cookie::value)
    }
}

/// Hashes for different uses say nothing of each other.
fn hash(purpose: &str, secret: &str) -> String {
    let digest = Sha256::new()
        .chain_update(purpose)
        .chain_update([0])
        .chain_update(secret)
        .finalize();
    Base64UrlUnpadded::encode_string(&digest)
}

fn key(id: &str) -> Key<'_> {
    Key {
        space: Space::Browser,
        id,
    }
}

#[cfg(test)]
mod tests {
    use store::{OpenMode, UnixSeconds, open};

    use super::*;

    fn sessions() -> Sessions {
        let store = open("memory:", OpenMode::Create).unwrap();
        Sessions::new(store, Url::parse("https://ciba.example/").unwrap())
    }

    fn person(sub: &str) -> Person {
        Person {
            sub: sub.into(),
            name: sub.to_uppercase(),
            auth_time: 7,
            is_auth_time_said: true,
            acr: Some("mfa".into()),
            amr: vec!["otp".into()],
        }
    }

    fn secret(jar: &CookieJar) -> String {
        jar.get("__Host-ciba-session").unwrap().value().to_owned()
    }

    fn sent(secret: &str) -> CookieJar {
        CookieJar::new().add(Cookie::new("__Host-ciba-session", secret.to_owned()))
    }

    #[tokio::test]
    async fn c_231_a_session_is_found_by_its_cookie_alone() {
        let sessions = sessions();
        let jar = sessions.begin(CookieJar::new(), person("a")).await.unwrap();
        let found = sessions.of(&jar).await.unwrap().unwrap();
        assert_eq!(found.person, person("a"));
        for other in [CookieJar::new(), sent(""), sent("x")] {
            assert!(sessions.of(&other).await.unwrap().is_none());
        }
        let id = hash("session", &secret(&jar));
        let stored = sessions.store.get(key(&id), now()).await.unwrap().unwrap();
        let stored = String::from_utf8(stored.value).unwrap();
        assert!(!stored.contains(&secret(&jar)) && !stored.contains(&found.form_token));
        assert!(sessions.of(&sent(&id)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn c_231_a_form_is_known_by_the_token_of_its_own_session() {
        let sessions = sessions();
        let one = sessions.begin(CookieJar::new(), person("a")).await.unwrap();
        let two = sessions.begin(CookieJar::new(), person("a")).await.unwrap();
        let [one, two] = [
            sessions.of(&one).await.unwrap().unwrap(),
            sessions.of(&two).await.unwrap().unwrap(),
        ];
        assert!(one.is_from_our_page(&one.form_token));
        assert!(!one.is_from_our_page(&two.form_token) && !one.is_from_our_page(""));
    }

    #[tokio::test]
    async fn c_231_signing_in_takes_a_new_cookie_and_ends_the_old_session() {
        let sessions = sessions();
        let planted = sessions.begin(sent("planted"), person("a")).await.unwrap();
        assert_ne!(secret(&planted), "planted");
        let next = sessions
            .begin(sent(&secret(&planted)), person("b"))
            .await
            .unwrap();
        assert!(sessions.of(&planted).await.unwrap().is_none());
        assert_eq!(sessions.of(&next).await.unwrap().unwrap().person.sub, "b");
    }

    #[tokio::test]
    async fn c_231_a_session_ends_when_the_person_signs_out_and_after_twelve_hours() {
        let sessions = sessions();
        let jar = sessions.begin(CookieJar::new(), person("a")).await.unwrap();
        let id = hash("session", &secret(&jar));
        let stored = sessions.store.get(key(&id), now()).await.unwrap().unwrap();
        let began = sessions.of(&jar).await.unwrap().unwrap().began;
        assert_eq!(stored.expires, UnixSeconds::new(began + 43_200));
        let ended = sessions.end(sent(&secret(&jar))).await.unwrap();
        assert!(sessions.of(&jar).await.unwrap().is_none());
        assert!(ended.get("__Host-ciba-session").is_none());
    }
}
