//! Seals what the server keeps in its store, so that a stolen database says nothing: AES-256-GCM (NIST SP 800-38D).

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use zeroize::Zeroizing;

use crate::random::random;

/// Bytes of the key.
pub(super) const KEY_LEN: usize = 32;

/// Bytes of a nonce: random, so one key seals 2^32 records at the most (SP 800-38D §8.3), more than any store holds.
const NONCE_LEN: usize = 12;

/// The first byte of what is sealed: this layout, version, nonce, ciphertext with its tag.
const VERSION: u8 = 1;

/// The key that seals; wiped on drop.
pub(crate) struct Vault(Aes256Gcm);

impl Vault {
    pub(super) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Seals a record. It opens only with the same `context`, which names the kind of record and its key, so that no record
    /// is taken for another.
    pub(crate) fn seal(&self, context: &str, plain: &[u8]) -> Vec<u8> {
        let nonce = random::<NONCE_LEN>();
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self.0.encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.expect("a record is shorter than 64 GiB");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// Opens a record; `None` when it was not sealed with this key in this context.
    pub(crate) fn open(&self, context: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, ciphertext) = sealed
            .strip_prefix(&[VERSION])?
            .split_first_chunk::<NONCE_LEN>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: context.as_bytes(),
        };
        let plain = self.0.decrypt(&Nonce::from(*nonce), payload).ok()?;
        Some(Zeroizing::new(plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_context_unchanged_and_not_otherwise() {
        let vault = Vault::new(&[7; KEY_LEN]);
        let sealed = vault.seal("request:1", b"secret");
        assert_eq!(**vault.open("request:1", &sealed).unwrap(), *b"secret");
        assert!(vault.open("request:2", &sealed).is_none());
        assert!(Vault::new(&[8; KEY_LEN]).open("request:1", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open("request:1", &changed).is_none(), "{at}");
            assert!(vault.open("request:1", &sealed[..at]).is_none(), "{at}");
        }
    }

    #[test]
    fn the_same_record_never_seals_the_same_way_and_its_text_is_not_in_it() {
        let vault = Vault::new(&[7; KEY_LEN]);
        let [one, other] = [(); 2].map(|()| vault.seal("", b"secret"));
        assert_ne!(one, other);
        assert!(!one.windows(6).any(|window| window == b"secret"));
        assert!(vault.open("", &vault.seal("", b"")).unwrap().is_empty());
    }
}
