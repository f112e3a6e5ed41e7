//! The provider's acknowledgement (CIBA Core §7.3): the request's identifier, which works like a password, and how long
//! and how often to ask for its end.

use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ipc_proto::SecretText;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Characters of an identifier.
const MAX_ID: usize = 1024;

/// Seconds for which a request may be said to live.
const LONGEST_LIFE: u64 = 7 * 24 * 60 * 60;

/// Seconds between two questions where the provider does not say (CIBA Core §7.3).
const USUAL_INTERVAL: u64 = 5;

/// Seconds between two questions that a provider may want.
const LONGEST_INTERVAL: u64 = 300;

/// Bytes of the digest that the handle shows: 8 characters.
const HANDLE: usize = 6;

/// A request that the provider has taken. No Debug: the identifier gets the tokens.
pub(super) struct Acknowledgement {
    auth_req_id: SecretText,
    pub(super) expires_in: Duration,
    pub(super) interval: Duration,
}

#[derive(Deserialize)]
struct Form {
    auth_req_id: SecretText,
    expires_in: u64,
    #[serde(default = "usual_interval")]
    interval: u64,
}

fn usual_interval() -> u64 {
    USUAL_INTERVAL
}

impl Acknowledgement {
    /// Reads the answer's body; `None` if any part of it cannot be.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(body).ok()?;
        let id = form.auth_req_id.expose();
        let id_fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        let times_fit = (1..=LONGEST_LIFE).contains(&form.expires_in) && form.interval <= LONGEST_INTERVAL;
        (id_fits && times_fit).then_some(Self {
            auth_req_id: form.auth_req_id,
            expires_in: Duration::from_secs(form.expires_in),
            // Zero is not allowed there, and asking without a pause helps nobody.
            interval: Duration::from_secs(form.interval.max(1)),
        })
    }

    /// Returns the identifier.
    pub(super) fn auth_req_id(&self) -> &str {
        self.auth_req_id.expose()
    }

    /// Returns what people and logs are told instead of the identifier.
    pub(super) fn handle(&self) -> String {
        let digest = Sha256::digest(self.auth_req_id());
        Base64UrlUnpadded::encode_string(&digest[..HANDLE])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<(u64, u64)> {
        let read = Acknowledgement::read(body.as_bytes())?;
        Some((read.expires_in.as_secs(), read.interval.as_secs()))
    }

    #[test]
    fn an_acknowledgement_is_taken_within_its_limits() {
        let with_id = |id: &str| format!(r#"{{"auth_req_id":"{id}","expires_in":120}}"#);
        assert_eq!(read(&with_id("a")), Some((120, 5)));
        assert_eq!(read(&with_id(&"x".repeat(MAX_ID))), Some((120, 5)));
        for bad in ["", "a b", "ä", "a\\n", &"x".repeat(MAX_ID + 1)] {
            assert_eq!(read(&with_id(bad)), None, "{bad}");
        }
        for (times, expected) in [
            (r#""expires_in":1,"interval":7"#, Some((1, 7))),
            (r#""expires_in":604800,"interval":0"#, Some((604_800, 1))),
            (r#""expires_in":10,"interval":300"#, Some((10, 300))),
            (r#""expires_in":10,"interval":301"#, None),
            (r#""expires_in":604801"#, None),
            (r#""expires_in":0"#, None),
            (r#""expires_in":-1"#, None),
            (r#""expires_in":"120""#, None),
            (r#""expires_in":1.5"#, None),
            (r#""expires_in":10,"interval":null"#, None),
            (r#""interval":5"#, None),
        ] {
            assert_eq!(
                read(&format!(r#"{{"auth_req_id":"a",{times}}}"#)),
                expected,
                "{times}"
            );
        }
        for garbage in ["", "null", "[]", "{}"] {
            assert_eq!(read(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_handle_is_the_beginning_of_a_digest() {
        let body = r#"{"auth_req_id":"abc","expires_in":1}"#;
        let handle = Acknowledgement::read(body.as_bytes()).unwrap().handle();
        // SHA-256 of "abc" begins with ba7816bf8f01 (FIPS 180-4).
        assert_eq!(handle, "ungWv48B");
    }
}
