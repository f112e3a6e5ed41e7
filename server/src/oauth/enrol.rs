//! A new client: its id, its secret, and what it is told about both (C-041, C-074).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::client::{Client, RegisteredBy, SecretHash};
use super::metadata::checked;
use super::offer::Offer;
use crate::clock::now;
use crate::random::random;
use crate::refusal::Refusal;

/// Random bytes of an id: no two are the same.
const ID_BYTES: usize = 16;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// A client that is not kept yet, with its secret, which nobody can read again.
pub(crate) struct Enrolled {
    pub(crate) client: Client,
    pub(crate) secret: Option<Zeroizing<String>>,
}

/// Returns an id that no client has.
pub(crate) fn new_id() -> String {
    Base64UrlUnpadded::encode_string(&random::<ID_BYTES>())
}

/// Checks what a client registers, and gives it a secret if it authenticates with one.
pub(crate) fn enrol(id: String, registered: Map<String, Value>, offer: &Offer) -> Result<Enrolled, Refusal> {
    let metadata = checked(registered, &id, offer)?;
    let has_secret = metadata.token_endpoint_auth_method.has_secret();
    let secret = has_secret.then(|| {
        let bytes = Zeroizing::new(random::<SECRET_BYTES>());
        Zeroizing::new(Base64UrlUnpadded::encode_string(&*bytes))
    });
    let client = Client {
        id,
        incarnation: new_id(),
        secret: secret.as_ref().map(|secret| SecretHash::of(secret)),
        created_at: now().seconds(),
        registered_by: RegisteredBy::Registration,
        disabled: false,
        metadata,
    };
    Ok(Enrolled { client, secret })
}

impl Enrolled {
    /// Returns the client information response (RFC 7591 §3.2.1).
    pub(crate) fn response(&self) -> Value {
        let mut response = json!(self.client.metadata);
        let members = response.as_object_mut().expect("metadata is an object");
        members.insert("client_id".into(), json!(self.client.id));
        members.insert("client_id_issued_at".into(), json!(self.client.created_at));
        if let Some(secret) = &self.secret {
            members.insert("client_secret".into(), json!(**secret));
            // It never expires.
            members.insert("client_secret_expires_at".into(), json!(0));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_074_a_secret_has_256_bits_of_its_own_and_only_its_hash_stays() {
        let offer = Offer::plain();
        let registered = json!({ "grant_types": ["client_credentials"] });
        let [one, other] = [(); 2].map(|()| {
            let registered = registered.as_object().unwrap().clone();
            enrol(new_id(), registered, &offer).ok().unwrap()
        });
        let [secret, others] = [&one, &other].map(|enrolled| enrolled.secret.as_deref().unwrap());
        assert_eq!(Base64UrlUnpadded::decode_vec(secret).unwrap().len() * 8, 256);
        assert_ne!(secret, others);
        let kept = one.client.secret.as_ref().unwrap();
        assert!(kept.matches(secret) && !kept.matches(others));
        assert!(!json!(one.client).to_string().contains(&**secret));
    }
}
