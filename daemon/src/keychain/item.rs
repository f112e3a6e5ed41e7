//! One login as a keychain keeps it: what is needed to go on without a person, and nothing else.

use device_proto::{RequestId, ResourceUrn};
use ipc_proto::{KeychainKind, ProfileName};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::server::Server;

/// The form of what is written; another one is not read.
const VERSION: u32 = 1;

/// Bytes of an encoded login: the longest names, twice over.
pub(crate) const MAX_ITEM: usize = 8 * 1024;

/// A login: who it is for, where, and the secret that proves it.
pub(crate) struct Item {
    /// Where it is kept, or is to be.
    pub(crate) keychain: KeychainKind,
    pub(crate) profile: ProfileName,
    pub(crate) server: Server,
    pub(crate) session: RequestId,
    /// The resource of the first token.
    pub(crate) resource: ResourceUrn,
    pub(crate) secret: Secret,
}

/// What was read is no login of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable;

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    version: u32,
    keychain: KeychainKind,
    profile: ProfileName,
    url: &'a str,
    session: RequestId,
    resource: ResourceUrn,
    challenge: &'a str,
}

impl Item {
    /// Returns the login as the JSON that a keychain keeps.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let challenge = self.secret.challenge().expose();
        let form = Form {
            version: VERSION,
            keychain: self.keychain,
            profile: self.profile.clone(),
            url: &self.server.to_string(),
            session: self.session.clone(),
            resource: self.resource.clone(),
            challenge: &challenge,
        };
        // Room from the start: a buffer that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_ITEM));
        serde_json::to_writer(&mut *text, &form).expect("texts always serialize");
        text
    }

    /// Reads what [`Item::encode`] wrote.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, Unreadable> {
        if text.len() > MAX_ITEM {
            return Err(Unreadable);
        }
        let form: Form<'_> = serde_json::from_slice(text).map_err(|_| Unreadable)?;
        if form.version != VERSION {
            return Err(Unreadable);
        }
        Ok(Self {
            keychain: form.keychain,
            profile: form.profile,
            server: Server::parse(form.url).map_err(|_| Unreadable)?,
            session: form.session,
            resource: form.resource,
            secret: Secret::decode(form.challenge).map_err(|_| Unreadable)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A login at a server that nobody asks, with a secret of its own.
    pub(crate) fn login(profile: &str) -> Item {
        Item {
            keychain: KeychainKind::SecretService,
            profile: profile.parse().unwrap(),
            server: Server::parse("https://ciba.example/base").unwrap(),
            session: RequestId::from_random([7; 16]),
            resource: ResourceUrn::default(),
            secret: Secret::draw().unwrap(),
        }
    }

    /// Everything a login has, to compare.
    pub(crate) fn parts(item: &Item) -> [String; 6] {
        [
            item.keychain.to_string(),
            item.profile.to_string(),
            item.server.to_string(),
            item.session.to_string(),
            String::from(item.resource.clone()),
            item.secret.challenge().expose().to_string(),
        ]
    }

    fn decoded(text: &str) -> Result<[String; 6], Unreadable> {
        Item::decode(text.as_bytes()).map(|item| parts(&item))
    }

    #[test]
    fn d_052_a_login_is_read_as_it_was_written() {
        let item = login("work");
        let read = Item::decode(&item.encode()).ok().unwrap();
        assert_eq!(parts(&read), parts(&item));
    }

    /// A login whose every text is as long as it may be.
    pub(crate) fn longest() -> Item {
        let mut item = login(&"p".repeat(64));
        let path = "x".repeat(2048 - "https://c.example/".len());
        item.server = Server::parse(&format!("https://c.example/{path}")).unwrap();
        let name = "x".repeat(ResourceUrn::MAX_LEN - "urn:d:".len());
        item.resource = format!("urn:d:{name}").parse().unwrap();
        item
    }

    #[test]
    fn the_longest_login_fits_a_buffer_that_never_grows() {
        let item = longest();
        let text = item.encode();
        assert!(text.len() < MAX_ITEM && text.capacity() == MAX_ITEM);
        assert_eq!(parts(&Item::decode(&text).ok().unwrap()), parts(&item));
    }

    #[test]
    fn another_version_a_field_less_or_a_value_that_cannot_be_is_not_read() {
        let text = String::from_utf8(login("work").encode().to_vec()).unwrap();
        assert!(decoded(&text).is_ok());
        for (whole, broken) in [
            (r#""version":1"#, r#""version":2"#),
            (r#""version":1,"#, ""),
            (r#""version":1"#, r#""version":"1""#),
            (r#""secret-service""#, r#""clear-text""#),
            (r#""work""#, r#""../work""#),
            ("https://", "http://"),
            ("urn:d:", "url:d:"),
            (r#""challenge":""#, r#""challenge":"A"#),
            (r#""challenge":""#, r#""challenge":"",""#),
        ] {
            assert!(text.contains(whole), "{whole}");
            let text = text.replacen(whole, broken, 1);
            assert_eq!(decoded(&text), Err(Unreadable), "{broken}");
        }
        let padded = format!("{text}{}", " ".repeat(MAX_ITEM - text.len()));
        assert!(decoded(&padded).is_ok());
        assert_eq!(decoded(&format!("{padded} ")), Err(Unreadable), "too long");
    }

    #[test]
    fn bytes_of_somebody_else_are_never_more_than_unreadable() {
        let whole = login("work").encode();
        for cut in 0..whole.len() {
            assert!(Item::decode(&whole[..cut]).is_err(), "{cut} bytes");
        }
        let mut random = fastrand::Rng::with_seed(52);
        for _ in 0..20_000 {
            let mut text = whole.to_vec();
            for _ in 0..random.usize(1..4) {
                let place = random.usize(..text.len());
                text[place] = random.u8(..);
            }
            // Whatever it makes of it: no panic, and what it reads it can write.
            if let Ok(item) = Item::decode(&text) {
                assert!(item.encode().len() <= MAX_ITEM);
            }
        }
        for garbage in ["", "null", "[]", "{}", "\u{0}", "password123"] {
            assert_eq!(decoded(garbage), Err(Unreadable), "{garbage}");
        }
    }
}
