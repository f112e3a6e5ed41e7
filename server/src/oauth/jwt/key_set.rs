//! The public keys that a client or another issuer gives us (RFC 7517 §5), checked before one is tried.

use std::collections::HashSet;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::Jws;
use super::jws::fits;
use crate::oauth::alg::Alg;

/// Keys of one set.
const MAX_KEYS: usize = 32;

/// Bytes of a set, as JSON.
const MAX_SET: usize = 64 * 1024;

/// Base64url characters of an RSA modulus: 2048 bits, the least that RFC 7518 §3.3 allows.
const MIN_MODULUS: usize = 342;

/// Members that only private and symmetric keys have (RFC 7518 §6, RFC 9964 §3).
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Public keys, each with another `kid` or none.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Jwk>);

/// Why a key set is not taken (C-049). The texts are fit for an `error_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum KeySetError {
    /// Not an object with a list of keys.
    #[error("it is not a JWK Set")]
    Malformed,
    /// More than [`MAX_KEYS`] or [`MAX_SET`].
    #[error("the JWK Set is too large")]
    TooLarge,
    /// A key that nobody but its owner may have.
    #[error("the JWK Set has private or symmetric keys")]
    Secret,
    /// Two keys of one `kid`.
    #[error("the JWK Set has a kid twice")]
    RepeatedKid,
    /// An RSA key that is too short.
    #[error("the JWK Set has an RSA key of less than 2048 bits")]
    Short,
    /// No key that signatures can be verified with.
    #[error("the JWK Set has no key for signatures that are known here")]
    Useless,
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// None of this `kid`; a newer set may have it.
    Unknown,
    /// The one of this `kid` is for something else.
    Unfit,
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Map<String, Value>>,
}

impl KeySet {
    /// Reads a set from JSON text.
    pub(crate) fn read(text: &[u8]) -> Result<Self, KeySetError> {
        if text.len() > MAX_SET {
            return Err(KeySetError::TooLarge);
        }
        Self::of(serde_json::from_slice(text).map_err(|_| KeySetError::Malformed)?)
    }

    /// Reads a set that is JSON already, as a client registers it.
    pub(crate) fn of(set: Value) -> Result<Self, KeySetError> {
        let written: Written = serde_json::from_value(set).map_err(|_| KeySetError::Malformed)?;
        if written.keys.len() > MAX_KEYS {
            return Err(KeySetError::TooLarge);
        }
        let is_secret = |key: &Map<String, Value>| {
            key.get("kty").is_some_and(|kty| kty == "oct")
                || SECRET_MEMBERS.iter().any(|member| key.contains_key(*member))
        };
        if written.keys.iter().any(is_secret) {
            return Err(KeySetError::Secret);
        }
        let mut seen = HashSet::new();
        let kids = written.keys.iter().filter_map(|key| key.get("kid")?.as_str());
        if !kids.into_iter().all(|kid| seen.insert(kid.to_owned())) {
            return Err(KeySetError::RepeatedKid);
        }
        Self::known(written.keys)
    }

    /// Keeps the keys that we can use. Others are no fault (RFC 7517 §5): there are more kinds than we know.
    fn known(keys: Vec<Map<String, Value>>) -> Result<Self, KeySetError> {
        let keys: Vec<Jwk> = keys
            .into_iter()
            .filter_map(|key| serde_json::from_value(Value::Object(key)).ok())
            .filter(|key| Alg::ALL.into_iter().any(|alg| fits(key, alg)))
            .collect();
        if keys.iter().any(is_short) {
            return Err(KeySetError::Short);
        }
        match keys.is_empty() {
            true => Err(KeySetError::Useless),
            false => Ok(Self(keys)),
        }
    }

    /// Returns the set as JSON, with the members that we know.
    pub(crate) fn into_json(self) -> Value {
        json!({ "keys": self.0 })
    }

    /// Whether one of the keys is the wanted one.
    pub(super) fn has(&self, is_it: impl Fn(&Jwk) -> bool) -> bool {
        self.0.iter().any(is_it)
    }

    /// Returns the key that a token of this algorithm names; or, when it names none, the only one that it may mean
    /// (OIDC Core §10.1).
    pub(super) fn key_for(&self, token: &Jws<'_>, alg: Alg) -> Result<&Jwk, NoKey> {
        let Some(kid) = token.kid() else {
            let mut fitting = self.0.iter().filter(|key| fits(key, alg));
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(NoKey::Unknown),
                (Some(_), Some(_)) => Err(NoKey::Unfit),
            };
        };
        let named = self
            .0
            .iter()
            .find(|key| key.common.key_id.as_deref() == Some(kid));
        let named = named.ok_or(NoKey::Unknown)?;
        fits(named, alg).then_some(named).ok_or(NoKey::Unfit)
    }
}

fn is_short(key: &Jwk) -> bool {
    matches!(&key.algorithm, AlgorithmParameters::RSA(rsa) if rsa.n.trim_start_matches('A').len() < MIN_MODULUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::jwt::signer::Signer;

    fn refused(keys: &Value) -> KeySetError {
        KeySet::of(json!({ "keys": keys })).expect_err("refused")
    }

    #[test]
    fn c_049_a_set_with_a_secret_or_repeated_key_is_refused() {
        let key = Signer::new(Alg::ES256, "1").public();
        let with = |member: &str| {
            let mut key = key.clone();
            key[member] = json!("AAAA");
            key
        };
        for member in SECRET_MEMBERS {
            assert_eq!(
                refused(&json!([key, with(member)])),
                KeySetError::Secret,
                "{member}"
            );
        }
        let symmetric = json!({ "kty": "oct", "kid": "2" });
        assert_eq!(refused(&json!([key, symmetric])), KeySetError::Secret);
        assert_eq!(refused(&json!([key, key])), KeySetError::RepeatedKid);
        let foreign = json!({ "kty": "AKP", "alg": "ML-DSA-44", "kid": "1", "pub": "AAAA" });
        assert_eq!(refused(&json!([key, foreign])), KeySetError::RepeatedKid);
    }

    #[test]
    fn c_049_a_set_has_a_limit_and_one_key_that_is_known_at_least() {
        let keys = |count: usize| -> Vec<_> {
            (0..count)
                .map(|kid| {
                    let mut key = Signer::new(Alg::EdDsa, "").public();
                    key["kid"] = json!(kid.to_string());
                    key
                })
                .collect()
        };
        assert!(KeySet::of(json!({ "keys": keys(MAX_KEYS) })).is_ok());
        assert_eq!(refused(&json!(keys(MAX_KEYS + 1))), KeySetError::TooLarge);
        let mut text = json!({ "keys": keys(1) }).to_string();
        text.push_str(&" ".repeat(MAX_SET - text.len()));
        assert!(KeySet::read(text.as_bytes()).is_ok());
        text.push(' ');
        assert_eq!(KeySet::read(text.as_bytes()).err(), Some(KeySetError::TooLarge));
        assert_eq!(refused(&json!([])), KeySetError::Useless);
        let unknown = json!({ "kty": "OKP", "crv": "X25519", "x": "AAAA" });
        assert_eq!(refused(&json!([unknown])), KeySetError::Useless);
        for malformed in [
            json!([]),
            json!({}),
            json!({ "keys": [1] }),
            json!({ "keys": {} }),
        ] {
            assert_eq!(KeySet::of(malformed).err(), Some(KeySetError::Malformed));
        }
    }

    #[test]
    fn c_049_an_rsa_key_has_2048_bits_at_least() {
        let key = Signer::new(Alg::RS256, "1").public();
        assert!(KeySet::of(json!({ "keys": [key] })).is_ok());
        let mut short = key.clone();
        let modulus = key["n"].as_str().unwrap();
        short["n"] = json!(modulus[..MIN_MODULUS - 1]);
        assert_eq!(refused(&json!([short])), KeySetError::Short);
        let padded = format!("{}{}", "A".repeat(200), &modulus[..200]);
        short["n"] = json!(padded);
        assert_eq!(refused(&json!([short])), KeySetError::Short);
    }

    #[test]
    fn c_079_a_token_without_a_kid_means_the_only_key_that_fits() {
        let [one, two] = ["1", "2"].map(|kid| Signer::new(Alg::ES256, kid));
        let other = Signer::new(Alg::EdDsa, "3");
        let set = |keys: &[&Signer]| {
            let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
            KeySet::of(json!({ "keys": keys })).unwrap()
        };
        let nameless = one.without_kid().sign(&json!({}));
        let token = Jws::read(&nameless, 4096).unwrap();
        assert!(set(&[&one, &other]).key_for(&token, Alg::ES256).is_ok());
        assert_eq!(set(&[&one, &two]).key_for(&token, Alg::ES256), Err(NoKey::Unfit));
        assert_eq!(set(&[&other]).key_for(&token, Alg::ES256), Err(NoKey::Unknown));
        let named = one.sign(&json!({}));
        let token = Jws::read(&named, 4096).unwrap();
        assert_eq!(set(&[&two]).key_for(&token, Alg::ES256), Err(NoKey::Unknown));
        assert_eq!(
            set(&[&one, &other]).key_for(&token, Alg::PS256),
            Err(NoKey::Unfit)
        );
    }
}
