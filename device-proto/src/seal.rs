//! Sealing (step 4 of the token's way): a token becomes text that is safe to store, log and send.
//!
//! JWE compact serialization (RFC 7516), `alg: dir`, `enc: A256GCM`, so that any JOSE library opens it (D-030).

use std::fmt;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use base64ct::{Base64UrlUnpadded, Encoding};
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Challenge, RequestId};

/// Bytes of a nonce. Always fresh from the operating system's generator.
pub const NONCE_LEN: usize = 12;

const TAG_LEN: usize = 16;

/// Bytes of a sealed text.
pub const MAX_SEALED: usize = 64 * 1024;

/// What a key is for. Each use has a key of its own, so that one kind of sealed text is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// An access token for the device (D-031).
    Token,
    /// The refresh token, kept by the server, useless without the challenge (D-032).
    Refresh,
    /// A request that waits for the person's decision (D-060).
    Approval,
}

impl KeyUse {
    fn info(self) -> &'static [u8] {
        match self {
            Self::Token => b"ciba device-doc v1 token",
            Self::Refresh => b"ciba device-doc v1 refresh",
            Self::Approval => b"ciba device-doc v1 approval",
        }
    }
}

/// A text with the form of a compact JWE, at most [`MAX_SEALED`] bytes. One that was sealed is safe to store, log and
/// send; whether this one was, opening it shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Sealed(String);

/// A text that does not have the form of a seal, or is too long for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it does not have the form of a seal")]
pub struct NotASeal;

impl Sealed {
    /// Returns the five dotted parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns how many bytes opening it yields.
    pub fn plaintext_len(&self) -> usize {
        self.parts().ciphertext.len() * 3 / 4
    }

    fn parts(&self) -> Parts<'_> {
        let mut parts = self.0.split('.');
        let [header, _no_key, nonce, ciphertext, tag] =
            std::array::from_fn(|_| parts.next().unwrap_or_default());
        Parts {
            header,
            nonce,
            ciphertext,
            tag,
        }
    }
}

impl TryFrom<String> for Sealed {
    type Error = NotASeal;

    fn try_from(text: String) -> Result<Self, NotASeal> {
        // With `alg: dir` the second part, the encrypted key, is empty (RFC 7518 §4.5).
        let has_form = text.split('.').count() == 5 && text.split('.').nth(1) == Some("");
        if has_form && text.len() <= MAX_SEALED {
            Ok(Self(text))
        } else {
            Err(NotASeal)
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sealed text that does not open. Deliberately one error: which check failed helps only an attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the sealed text does not open with this key, for this session and this resource")]
pub struct DoesNotOpen;

/// A key for one session and one use; wiped on drop.
pub struct Key<'a> {
    key: Zeroizing<[u8; 32]>,
    session: &'a RequestId,
}

impl<'a> Key<'a> {
    /// Derives the key: HKDF-SHA256 of the challenge's bytes, salted with the request id (D-030).
    pub fn of_challenge(challenge: Challenge<'_>, session: &'a RequestId, key_use: KeyUse) -> Self {
        Self::derive(
            challenge.expose_bytes(),
            session.as_str().as_bytes(),
            key_use.info(),
            session,
        )
    }

    /// Derives the key the server keeps a device's challenge under while it waits for a login (D-012).
    pub fn of_server(secret: &[u8; 32], salt: &[u8; 16], session: &'a RequestId) -> Self {
        Self::derive(secret, salt, b"ciba device-doc v1 challenge", session)
    }

    fn derive(secret: &[u8; 32], salt: &[u8], info: &[u8], session: &'a RequestId) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(salt), secret)
            .expand(info, &mut *key)
            .expect("32 bytes are fewer than 255 blocks");
        Self { key, session }
    }

    /// Seals a text for one resource. `nonce` must never be used twice.
    pub fn seal(&self, resource: &str, nonce: [u8; NONCE_LEN], plaintext: &[u8]) -> Sealed {
        let header = Base64UrlUnpadded::encode_string(&self.header(resource));
        let mut text = Zeroizing::new(plaintext.to_vec());
        let tag = self
            .cipher()
            .encrypt_inout_detached(
                &Nonce::from(nonce),
                header.as_bytes(),
                InOutBuf::from(&mut text[..]),
            )
            .expect("a token is shorter than GCM's 64 GiB");
        let [nonce, text, tag] = [&nonce[..], &text, &tag].map(Base64UrlUnpadded::encode_string);
        Sealed(format!("{header}..{nonce}.{text}.{tag}"))
    }

    /// Opens a sealed text into `buffer` and returns the plaintext within it. `buffer` has at least
    /// [`Sealed::plaintext_len`] bytes; after an error it holds zeros.
    ///
    /// # Errors
    ///
    /// [`DoesNotOpen`], also for a text that was sealed for another session or resource.
    pub fn open<'b>(
        &self,
        resource: &str,
        sealed: &Sealed,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8], DoesNotOpen> {
        let parts = sealed.parts();
        let header = Base64UrlUnpadded::decode_vec(parts.header).map_err(|_| DoesNotOpen)?;
        if !self.expects(resource, &header) {
            return Err(DoesNotOpen);
        }
        let (nonce, tag) = (fixed::<NONCE_LEN>(parts.nonce)?, fixed::<TAG_LEN>(parts.tag)?);
        let Ok(length) = Base64UrlUnpadded::decode(parts.ciphertext, buffer).map(<[u8]>::len) else {
            buffer.fill(0);
            return Err(DoesNotOpen);
        };
        let text = &mut buffer[..length];
        let opened = self.cipher().decrypt_inout_detached(
            &Nonce::from(nonce),
            parts.header.as_bytes(),
            InOutBuf::from(&mut *text),
            &Tag::from(tag),
        );
        if opened.is_err() {
            text.fill(0);
            return Err(DoesNotOpen);
        }
        Ok(text)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.key).into())
    }

    fn header(&self, resource: &str) -> Vec<u8> {
        let header = Header {
            alg: "dir".into(),
            enc: "A256GCM".into(),
            rid: self.session.as_str().into(),
            res: resource.into(),
        };
        serde_json::to_vec(&header).expect("four strings always serialize")
    }

    /// The header is GCM's associated data, so these values are authentic; they still have to be the right ones.
    fn expects(&self, resource: &str, header: &[u8]) -> bool {
        serde_json::from_slice::<Header>(header).is_ok_and(|h| {
            h.alg == "dir" && h.enc == "A256GCM" && h.rid == self.session.as_str() && h.res == resource
        })
    }
}

/// The protected header. An unknown member (`crit`, `zip`) would ask for what this reader does not do.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    enc: String,
    /// The session's request id.
    rid: String,
    /// The resource.
    res: String,
}

struct Parts<'a> {
    header: &'a str,
    nonce: &'a str,
    ciphertext: &'a str,
    tag: &'a str,
}

fn fixed<const N: usize>(text: &str) -> Result<[u8; N], DoesNotOpen> {
    let mut bytes = [0; N];
    let read = Base64UrlUnpadded::decode(text, &mut bytes).map_err(|_| DoesNotOpen)?;
    if read.len() == N {
        Ok(bytes)
    } else {
        Err(DoesNotOpen)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn session(name: &str) -> RequestId {
        name.parse().unwrap()
    }

    fn open(key: &Key<'_>, resource: &str, sealed: &Sealed) -> Result<Vec<u8>, DoesNotOpen> {
        let mut buffer = vec![0xaa; sealed.plaintext_len()];
        key.open(resource, sealed, &mut buffer).map(<[u8]>::to_vec)
    }

    #[test]
    fn d_030_a_sealed_token_opens_only_for_its_session_and_resource() {
        let (here, there) = (session("req-7Q2m"), session("req-other"));
        let key = Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Token);
        let sealed = key.seal("urn:d:x", [1; NONCE_LEN], b"plain");
        assert_eq!(open(&key, "urn:d:x", &sealed).unwrap(), b"plain");
        assert_eq!(
            open(&key, "urn:d:y", &sealed),
            Err(DoesNotOpen),
            "another resource"
        );
        let moved = Key::of_challenge(Challenge::new(&SECRET), &there, KeyUse::Token);
        assert_eq!(
            open(&moved, "urn:d:x", &sealed),
            Err(DoesNotOpen),
            "another session"
        );
        let refresh = Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Refresh);
        assert_eq!(
            open(&refresh, "urn:d:x", &sealed),
            Err(DoesNotOpen),
            "another use"
        );
        let stranger = Key::of_challenge(Challenge::new(&[8; 32]), &here, KeyUse::Token);
        assert_eq!(
            open(&stranger, "urn:d:x", &sealed),
            Err(DoesNotOpen),
            "another challenge"
        );
    }

    #[test]
    fn d_030_the_form_is_a_compact_jwe() {
        let here = session("req-7Q2m");
        let sealed =
            Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Token).seal("urn:d:x", [1; 12], b"");
        let parts: Vec<_> = sealed.as_str().split('.').collect();
        let header = Base64UrlUnpadded::decode_vec(parts[0]).unwrap();
        assert_eq!(
            header,
            br#"{"alg":"dir","enc":"A256GCM","rid":"req-7Q2m","res":"urn:d:x"}"#
        );
        assert_eq!(
            (parts.len(), parts[1], parts[2], parts[3].len()),
            (5, "", "AQEBAQEBAQEBAQEB", 0)
        );
    }

    #[test]
    fn d_012_the_servers_key_depends_on_the_salt() {
        let here = session("req-7Q2m");
        let sealed = Key::of_server(&SECRET, &[1; 16], &here).seal("challenge", [1; 12], b"plain");
        assert!(open(&Key::of_server(&SECRET, &[1; 16], &here), "challenge", &sealed).is_ok());
        assert!(open(&Key::of_server(&SECRET, &[2; 16], &here), "challenge", &sealed).is_err());
    }

    #[test]
    fn an_unasked_header_member_is_refused() {
        let here = session("s");
        let key = Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Token);
        assert!(key.expects("r", br#"{"alg":"dir","enc":"A256GCM","rid":"s","res":"r"}"#));
        assert!(!key.expects(
            "r",
            br#"{"alg":"dir","enc":"A256GCM","rid":"s","res":"r","crit":["x"]}"#
        ));
        assert!(!key.expects("r", br#"{"alg":"none","enc":"A256GCM","rid":"s","res":"r"}"#));
    }

    #[test]
    fn a_ciphertext_that_is_broken_near_its_end_leaves_nothing_behind() {
        let here = session("req-7Q2m");
        let key = Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Token);
        let whole = key.seal("urn:d:x", [1; 12], b"a secret text");
        let mut parts: Vec<_> = whole.as_str().split('.').collect();
        // 18 characters: the last has bits to spare, and they are set.
        parts[3] = "AAA99999999qqqqq9B";
        let mut buffer = [0xaa; 64];
        let broken = Sealed::try_from(parts.join(".")).unwrap();
        assert_eq!(key.open("urn:d:x", &broken, &mut buffer), Err(DoesNotOpen));
        assert_eq!(buffer, [0; 64]);
    }

    #[test]
    fn d_030_only_five_parts_without_a_key_have_the_form_of_a_seal() {
        for good in ["....", "a..b.c.d"] {
            assert_eq!(Sealed::try_from(good.to_owned()).unwrap().as_str(), good);
        }
        for bad in ["", "a.b", "a..b.c", "a..b.c.d.e", "a.key.b.c.d"] {
            assert_eq!(Sealed::try_from(bad.to_owned()), Err(NotASeal), "{bad:?}");
        }
        assert!(serde_json::from_str::<Sealed>(r#""a..b.c.d""#).is_ok());
        assert!(serde_json::from_str::<Sealed>(r#""a.b""#).is_err());
    }

    #[test]
    fn d_035_a_text_over_the_limit_is_no_seal() {
        let text = |bytes: usize| format!("a..b.{}.d", "c".repeat(bytes - "a..b..d".len()));
        assert!(Sealed::try_from(text(MAX_SEALED)).is_ok());
        assert_eq!(Sealed::try_from(text(MAX_SEALED + 1)), Err(NotASeal));
    }

    proptest! {
        #[test]
        fn a_changed_character_is_noticed_and_nothing_is_left(at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_.-]") {
            let here = session("req-7Q2m");
            let key = Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Token);
            let mut text = key.seal("urn:d:x", [1; 12], b"a secret text").0;
            let at = at.index(text.len());
            if text[at..=at] == to {
                return Ok(());
            }
            text.replace_range(at..=at, &to);
            let mut buffer = [0; 64];
            if let Ok(changed) = Sealed::try_from(text) {
                prop_assert_eq!(key.open("urn:d:x", &changed, &mut buffer), Err(DoesNotOpen));
            }
            prop_assert!(!buffer.windows(8).any(|w| w == b"a secret"));
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in ".{0,200}|[^.]{0,40}[.][.][^.]{0,40}[.][^.]{0,40}[.][^.]{0,40}") {
            let here = session("s");
            let key = Key::of_challenge(Challenge::new(&SECRET), &here, KeyUse::Token);
            if let Ok(sealed) = Sealed::try_from(text) {
                prop_assert!(open(&key, "r", &sealed).is_err());
            }
        }
    }
}
