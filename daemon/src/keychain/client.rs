//! One client of an OpenID provider as a keychain keeps it: what `ciba request` proves itself with.

use std::borrow::Cow;

use ipc_proto::{ClientMethod, KeychainKind, SecretText};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::item::Unreadable;
use crate::issuer::Issuer;
use crate::memory::{Exhausted, Locked};

/// The form of what is written; another one is not read.
const VERSION: u32 = 1;

/// Bytes of a client's secret or private key. A key of 4096 bits is 3.3 KB of PEM.
const MAX_SECRET: usize = 8 * 1024;

/// Characters of a client's name.
const MAX_CLIENT_ID: usize = 512;

/// Bytes of an encoded client: the longest texts, escaped.
pub(super) const MAX_CLIENT: usize = 24 * 1024;

/// Bytes of the digest that stands for a client's name.
const DIGEST: usize = 12;

/// Which client is meant: a provider, and the client's name there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ClientName {
    pub(crate) issuer: Issuer,
    pub(crate) client_id: String,
}

/// A client and what it proves itself with. No Debug, no Clone.
pub(crate) struct Client {
    /// Where it is kept, or is to be.
    pub(crate) keychain: KeychainKind,
    pub(crate) name: ClientName,
    pub(crate) method: ClientMethod,
    secret: Locked,
}

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    version: u32,
    keychain: KeychainKind,
    #[serde(borrow)]
    issuer: Cow<'a, str>,
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    method: ClientMethod,
    secret: SecretText,
}

impl ClientName {
    /// Reads a client's name at this provider: printable ASCII (RFC 6749 §A.1).
    pub(crate) fn new(issuer: Issuer, client_id: &str) -> Option<Self> {
        let is_printable = client_id.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let fits = is_printable && (1..=MAX_CLIENT_ID).contains(&client_id.len());
        fits.then(|| Self {
            issuer,
            client_id: client_id.into(),
        })
    }

    /// Returns the short text that stands for the name where a keychain wants one: names may be longer than some
    /// keychains take.
    pub(super) fn digest(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(self.issuer.as_str());
        digest.update([0]);
        digest.update(&self.client_id);
        let digest = digest.finalize();
        digest[..DIGEST]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// The secret is too long, or there is no memory for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unkeepable;

impl From<Exhausted> for Unkeepable {
    fn from(_: Exhausted) -> Self {
        Self
    }
}

impl Client {
    /// Makes a client. The original of the secret is for the caller to wipe.
    pub(crate) fn new(
        keychain: KeychainKind,
        name: ClientName,
        method: ClientMethod,
        secret: &str,
    ) -> Result<Self, Unkeepable> {
        if !(1..=MAX_SECRET).contains(&secret.len()) {
            return Err(Unkeepable);
        }
        Ok(Self {
            keychain,
            name,
            method,
            secret: Locked::copy_of(secret.as_bytes())?,
        })
    }

    /// Returns the client secret, or the private key as PEM.
    pub(crate) fn secret(&self) -> &str {
        std::str::from_utf8(self.secret.expose()).expect("made from a text")
    }

    /// Returns the client as the JSON that a keychain keeps.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let form = Form {
            version: VERSION,
            keychain: self.keychain,
            issuer: self.name.issuer.as_str().into(),
            client_id: self.name.client_id.as_str().into(),
            method: self.method,
            secret: self.secret().to_owned().into(),
        };
        // Room from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_CLIENT));
        serde_json::to_writer(&mut *text, &form).expect("texts always serialize");
        text
    }

    /// Reads what [`Client::encode`] wrote.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        if text.len() > MAX_CLIENT {
            return Err(Unreadable);
        }
        let form: Form<'_> = serde_json::from_slice(text).map_err(|_| Unreadable)?;
        let issuer = Issuer::parse(&form.issuer).map_err(|_| Unreadable)?;
        let name = ClientName::new(issuer, &form.client_id).ok_or(Unreadable)?;
        if form.version != VERSION {
            return Err(Unreadable);
        }
        Self::new(form.keychain, name, form.method, form.secret.expose()).map_err(|_| Unreadable)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A client of that name at a provider that is not asked.
    pub(crate) fn client(client_id: &str) -> Client {
        let issuer = Issuer::parse("https://op.example/base").unwrap();
        let name = ClientName::new(issuer, client_id).unwrap();
        let (kind, method) = (KeychainKind::SecretService, ClientMethod::ClientSecretPost);
        Client::new(kind, name, method, "hunter2\n\"").ok().unwrap()
    }

    /// Everything a client has, to compare.
    pub(crate) fn parts(client: &Client) -> [String; 5] {
        [
            client.keychain.to_string(),
            client.name.issuer.to_string(),
            client.name.client_id.clone(),
            client.method.word().into(),
            client.secret().into(),
        ]
    }

    #[test]
    fn a_client_is_read_as_it_was_written() {
        let client = client("agent");
        let read = Client::decode(&client.encode()).ok().unwrap();
        assert_eq!(parts(&read), parts(&client));
    }

    #[test]
    fn the_longest_client_fits_a_buffer_that_never_grows() {
        let issuer = format!(
            "https://op.example/{}",
            "x".repeat(2048 - "https://op.example/".len())
        );
        let name = ClientName::new(Issuer::parse(&issuer).unwrap(), &"\"".repeat(MAX_CLIENT_ID)).unwrap();
        let (kind, method) = (KeychainKind::Kernel, ClientMethod::PrivateKeyJwt);
        let longest = "\n".repeat(MAX_SECRET);
        let client = Client::new(kind, name.clone(), method, &longest).ok().unwrap();
        let text = client.encode();
        assert!(text.len() < MAX_CLIENT && text.capacity() == MAX_CLIENT);
        assert_eq!(parts(&Client::decode(&text).ok().unwrap()), parts(&client));
        for secret in ["", &"x".repeat(MAX_SECRET + 1)] {
            assert!(Client::new(kind, name.clone(), method, secret).is_err());
        }
    }

    #[test]
    fn what_is_no_client_is_not_read() {
        let text = String::from_utf8(client("agent").encode().to_vec()).unwrap();
        for (whole, broken) in [
            (r#""version":1"#, r#""version":2"#),
            ("https://", "http://"),
            (r#""agent""#, r#""""#),
            ("client_secret_post", "none"),
            (r#""secret":""#, r#""secret":"","x":""#),
        ] {
            assert!(text.contains(whole), "{whole}");
            let text = text.replacen(whole, broken, 1);
            assert!(Client::decode(text.as_bytes()).is_err(), "{broken}");
        }
        for cut in 0..text.len() {
            assert!(Client::decode(&text.as_bytes()[..cut]).is_err(), "{cut} bytes");
        }
    }

    #[test]
    fn a_digest_stands_for_both_parts_of_a_name() {
        let name = |issuer, client_id| ClientName::new(Issuer::parse(issuer).unwrap(), client_id).unwrap();
        let digests = [
            name("https://a.example", "b").digest(),
            name("https://a.example", "c").digest(),
            name("https://a.example/b", "b").digest(),
        ];
        assert!(digests[0] != digests[1] && digests[0] != digests[2] && digests[1] != digests[2]);
        assert!(digests[0].len() == 2 * DIGEST);
        for bad in ["", "ü", "a\n", &"x".repeat(MAX_CLIENT_ID + 1)] {
            let issuer = Issuer::parse("https://a.example").unwrap();
            assert!(ClientName::new(issuer, bad).is_none(), "{bad:?}");
        }
    }
}
