//! A request that waits for a person's decision (CIBA), as a device is shown it (D-060 … D-066): what it says, and how it
//! is sealed for the doc's `approvals` map. Everything in it but the times, the page and the rule comes from the client that
//! asks.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::seal::{DoesNotOpen, Key, KeyUse, NONCE_LEN, NotASeal, Sealed};
use crate::{Challenge, RequestId};

/// Bytes of `authorization_details` (C-130).
pub const MAX_DETAILS: usize = 16 * 1024;

/// Bytes of `agent` (C-113).
pub const MAX_AGENT: usize = 4 * 1024;

/// Bytes of `url` and of `client_uri`.
pub const MAX_URL: usize = 2 * 1024;

/// Characters of `client_name` (C-051).
pub const MAX_CLIENT_NAME: usize = 200;

/// Characters of `binding_message` (C-105).
pub const MAX_BINDING_MESSAGE: usize = 256;

/// Bytes of all scope values together.
pub const MAX_SCOPE: usize = 4 * 1024;

/// Bytes of all resources together.
pub const MAX_RESOURCES: usize = 4 * 1024;

/// Bytes of the JSON that is sealed. With the header and in base64 it stays within [`MAX_SEALED`](crate::seal::MAX_SEALED),
/// and as it is within a line of the local socket.
pub const MAX_APPROVAL: usize = 47 * 1024;

/// Requests that a device is shown at once. Further ones wait in the browser alone.
pub const MAX_APPROVALS: usize = 64;

/// A request's name: the SHA-256 of its `auth_req_id`, in base64url. It decides nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApprovalId(Box<str>);

impl ApprovalId {
    /// Characters of a name: 32 bytes in base64url, without padding.
    pub const LEN: usize = 43;

    /// Returns the name that this hash is.
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        Self(Base64UrlUnpadded::encode_string(hash).into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Not a request's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a request's name is 43 characters of base64url")]
pub struct NotAnApprovalId;

impl FromStr for ApprovalId {
    type Err = NotAnApprovalId;

    fn from_str(text: &str) -> Result<Self, NotAnApprovalId> {
        let mut hash = [0; 32];
        match Base64UrlUnpadded::decode(text, &mut hash) {
            Ok(hash) if hash.len() == 32 => Ok(Self(text.into())),
            _ => Err(NotAnApprovalId),
        }
    }
}

impl TryFrom<String> for ApprovalId {
    type Error = NotAnApprovalId;

    fn try_from(text: String) -> Result<Self, NotAnApprovalId> {
        text.parse()
    }
}

impl From<ApprovalId> for String {
    fn from(id: ApprovalId) -> Self {
        id.0.into()
    }
}

impl Borrow<str> for ApprovalId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One request. It has no `Debug`: its page's URL holds the `auth_req_id`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its name.
    pub request: ApprovalId,
    /// The client's registered name.
    pub client_name: String,
    /// The client's registered page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Whether the operator entered the client. Otherwise it registered itself, and its page is its own statement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub client_vouched: bool,
    /// What the client asks for.
    pub scope: Vec<String>,
    /// Where the client may use it (RFC 8707); none: at the server itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What the client says to the person (CIBA Core §7.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// RFC 9396, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<String>,
    /// What the client says of the agent it acts for (C-113), as JSON text. The server has not checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Unix seconds.
    pub created_at: u64,
    /// Unix seconds.
    pub expires_at: u64,
    /// The page where the person decides in a browser.
    pub url: String,
    /// Where it may be approved: the server's rule. It may be denied at both.
    pub answer: AnswerAt,
}

/// Where a request may be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerAt {
    /// On the device, whose session is the person's.
    Terminal,
    /// On the page alone, after a login. Also what a device makes of a rule that it does not know.
    #[serde(other)]
    Browser,
}

/// Why there is no request for a device. The texts quote nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// A text of it is longer than its limit, or all of them together are.
    #[error("the request is too large")]
    TooLarge,
    /// It does not have the form of a seal.
    #[error(transparent)]
    NotASeal(#[from] NotASeal),
    /// It was sealed for another device, or is another request's.
    #[error(transparent)]
    Closed(#[from] DoesNotOpen),
    /// What was sealed is no request.
    #[error("what was sealed is not a request")]
    NotARequest,
}

impl Approval {
    /// Seals the request for a device. `nonce` must never be used twice with a session's challenge.
    ///
    /// # Errors
    ///
    /// [`Unusable::TooLarge`]
    pub fn seal(
        &self,
        challenge: Challenge<'_>,
        session: &RequestId,
        nonce: [u8; NONCE_LEN],
    ) -> Result<Sealed, Unusable> {
        self.fits()?;
        let text = serde_json::to_vec(self).expect("texts and numbers always serialize");
        let text = Zeroizing::new(text);
        if text.len() > MAX_APPROVAL {
            return Err(Unusable::TooLarge);
        }
        let key = Key::of_challenge(challenge, session, KeyUse::Approval);
        Ok(key.seal(self.request.as_str(), nonce, &text))
    }

    /// Opens what lies in the doc under this name.
    ///
    /// # Errors
    ///
    /// [`Unusable`]
    pub fn open(
        challenge: Challenge<'_>,
        session: &RequestId,
        request: &ApprovalId,
        sealed: String,
    ) -> Result<Self, Unusable> {
        let sealed = Sealed::try_from(sealed)?;
        let mut buffer = Zeroizing::new(vec![0; sealed.plaintext_len()]);
        let key = Key::of_challenge(challenge, session, KeyUse::Approval);
        let text = key.open(request.as_str(), &sealed, &mut buffer)?;
        let approval: Self = serde_json::from_slice(text).map_err(|_| Unusable::NotARequest)?;
        if approval.request != *request {
            return Err(Unusable::NotARequest);
        }
        approval.fits()?;
        Ok(approval)
    }

    fn fits(&self) -> Result<(), Unusable> {
        let bytes = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let characters = |text: &str| text.chars().count();
        let together = |texts: &[String]| texts.iter().map(|text| text.len() + 1).sum::<usize>();
        let message = self.binding_message.as_deref().unwrap_or_default();
        let fits = bytes(&self.authorization_details) <= MAX_DETAILS
            && bytes(&self.agent) <= MAX_AGENT
            && bytes(&self.client_uri) <= MAX_URL
            && self.url.len() <= MAX_URL
            && characters(&self.client_name) <= MAX_CLIENT_NAME
            && characters(message) <= MAX_BINDING_MESSAGE
            && together(&self.scope) <= MAX_SCOPE
            && together(&self.resources) <= MAX_RESOURCES;
        if fits { Ok(()) } else { Err(Unusable::TooLarge) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::MAX_SEALED;

    const SECRET: [u8; 32] = [9; 32];

    fn approval(n: u8) -> Approval {
        Approval {
            request: ApprovalId::of_hash(&[n; 32]),
            client_name: "Shop".into(),
            client_uri: None,
            client_vouched: false,
            scope: vec!["openid".into()],
            resources: Vec::new(),
            binding_message: None,
            authorization_details: None,
            agent: None,
            created_at: 1_800_000_000,
            expires_at: 1_800_000_300,
            url: "https://c.example/ciba/approve?auth_req_id=x".into(),
            answer: AnswerAt::Terminal,
        }
    }

    /// As large as each text may be, and all of it characters that JSON writes as they are.
    fn largest() -> Approval {
        Approval {
            client_name: "ü".repeat(MAX_CLIENT_NAME),
            client_uri: Some("u".repeat(MAX_URL)),
            scope: vec!["s".repeat(MAX_SCOPE - 1)],
            resources: vec!["r".repeat(MAX_RESOURCES - 1)],
            binding_message: Some("\u{1f600}".repeat(MAX_BINDING_MESSAGE)),
            authorization_details: Some("d".repeat(MAX_DETAILS)),
            agent: Some("a".repeat(MAX_AGENT)),
            url: "u".repeat(MAX_URL),
            ..approval(1)
        }
    }

    fn session() -> RequestId {
        "req-7Q2m".parse().unwrap()
    }

    fn seal(approval: &Approval) -> Result<Sealed, Unusable> {
        approval.seal(Challenge::new(&SECRET), &session(), [1; NONCE_LEN])
    }

    fn seal_as(key_use: KeyUse, name: &str, text: &[u8]) -> Sealed {
        let session = session();
        let key = Key::of_challenge(Challenge::new(&SECRET), &session, key_use);
        key.seal(name, [1; NONCE_LEN], text)
    }

    fn open(request: &ApprovalId, sealed: &str) -> Result<Approval, Unusable> {
        Approval::open(Challenge::new(&SECRET), &session(), request, sealed.to_owned())
    }

    #[test]
    fn d_060_a_request_opens_only_under_its_name_on_its_device_and_as_a_request() {
        let approval = approval(1);
        let sealed = seal(&approval).unwrap();
        assert!(open(&approval.request, sealed.as_str()) == Ok(approval.clone()));
        let closed = Some(Unusable::Closed(DoesNotOpen));
        let other = ApprovalId::of_hash(&[2; 32]);
        assert_eq!(open(&other, sealed.as_str()).err(), closed, "another name");
        let stranger = Approval::open(
            Challenge::new(&[8; 32]),
            &session(),
            &approval.request,
            sealed.to_string(),
        );
        assert_eq!(stranger.err(), closed, "another device");
        let as_token = seal_as(KeyUse::Token, approval.request.as_str(), b"{}");
        assert_eq!(
            open(&approval.request, as_token.as_str()).err(),
            closed,
            "another use"
        );
    }

    #[test]
    fn d_060_a_name_inside_that_is_not_the_one_outside_is_refused() {
        let inside = serde_json::to_vec(&approval(1)).unwrap();
        let outside = ApprovalId::of_hash(&[2; 32]);
        let sealed = seal_as(KeyUse::Approval, outside.as_str(), &inside);
        assert_eq!(open(&outside, sealed.as_str()).err(), Some(Unusable::NotARequest));
    }

    #[test]
    fn d_061_the_words_of_a_request() {
        let text = serde_json::to_string(&approval(0)).unwrap();
        assert_eq!(
            text,
            r#"{"request":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","client_name":"Shop","scope":["openid"],"created_at":1800000000,"expires_at":1800000300,"url":"https://c.example/ciba/approve?auth_req_id=x","answer":"terminal"}"#
        );
        let vouched = Approval {
            client_vouched: true,
            resources: vec!["https://api.example/".into()],
            ..approval(0)
        };
        let with_more = text.replace(
            r#""scope":["openid"],"#,
            r#""client_vouched":true,"scope":["openid"],"resources":["https://api.example/"],"#,
        );
        assert_eq!(serde_json::to_string(&vouched).unwrap(), with_more);
        let strange = text.replace("\"terminal\"", "\"by a rule from 2030\"");
        let read: Approval = serde_json::from_str(&strange).unwrap();
        assert_eq!(read.answer, AnswerAt::Browser);
    }

    #[test]
    fn d_062_each_text_has_its_limit() {
        type Grow = fn(&mut Approval);
        let sealed = seal(&largest()).unwrap();
        assert!(open(&largest().request, sealed.as_str()) == Ok(largest()));
        let growths: [Grow; 8] = [
            |approval| approval.client_name.push('x'),
            |approval| approval.client_uri.as_mut().unwrap().push('x'),
            |approval| approval.scope.push(String::new()),
            |approval| approval.resources.push(String::new()),
            |approval| approval.binding_message.as_mut().unwrap().push('x'),
            |approval| approval.authorization_details.as_mut().unwrap().push('x'),
            |approval| approval.agent.as_mut().unwrap().push('x'),
            |approval| approval.url.push('x'),
        ];
        for (n, grow) in growths.iter().enumerate() {
            let mut approval = largest();
            grow(&mut approval);
            assert_eq!(seal(&approval).err(), Some(Unusable::TooLarge), "{n}");
            let text = serde_json::to_vec(&approval).unwrap();
            let sealed = seal_as(KeyUse::Approval, approval.request.as_str(), &text);
            let opened = open(&approval.request, sealed.as_str());
            assert_eq!(opened.err(), Some(Unusable::TooLarge), "{n}");
        }
    }

    #[test]
    fn d_062_a_request_that_json_makes_too_large_is_not_sealed_and_the_largest_fits_a_seal() {
        let escaped = Approval {
            authorization_details: Some("\\".repeat(MAX_DETAILS)),
            agent: Some("\\".repeat(MAX_AGENT)),
            ..largest()
        };
        assert_eq!(seal(&escaped).err(), Some(Unusable::TooLarge));
        let session: RequestId = "r".repeat(RequestId::MAX_LEN).parse().unwrap();
        let key = Key::of_challenge(Challenge::new(&SECRET), &session, KeyUse::Approval);
        let sealed = key.seal(approval(1).request.as_str(), [1; 12], &vec![b'x'; MAX_APPROVAL]);
        assert!(sealed.as_str().len() <= MAX_SEALED, "{}", sealed.as_str().len());
    }

    #[test]
    fn d_061_only_a_hash_names_a_request() {
        let name = ApprovalId::of_hash(&[255; 32]);
        assert_eq!(name.as_str().len(), ApprovalId::LEN);
        assert_eq!(name.as_str().parse(), Ok(name.clone()));
        for bad in [
            "",
            "x",
            &"A".repeat(42),
            &"A".repeat(44),
            &"+".repeat(43),
            &"ü".repeat(43),
        ] {
            assert_eq!(bad.parse::<ApprovalId>(), Err(NotAnApprovalId), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn d_060_a_sealed_request_comes_back_as_it_was(
            hash in any::<[u8; 32]>(),
            client_name in ".{0,40}",
            scope in prop::collection::vec("[!-~]{1,10}", 0..5),
            message in prop::option::of(".{0,100}"),
            details in prop::option::of(".{0,300}"),
            times in any::<(u64, u64)>(),
            in_terminal in any::<bool>(),
        ) {
            let approval = Approval {
                request: ApprovalId::of_hash(&hash),
                client_name,
                scope,
                binding_message: message,
                authorization_details: details,
                created_at: times.0,
                expires_at: times.1,
                answer: if in_terminal { AnswerAt::Terminal } else { AnswerAt::Browser },
                ..approval(0)
            };
            let sealed = seal(&approval).unwrap();
            prop_assert!(open(&approval.request, sealed.as_str()) == Ok(approval));
        }

        #[test]
        fn d_060_any_text_in_the_doc_is_refused_without_a_panic(text in ".{0,200}|[^.]{0,40}[.][.][^.]{0,40}[.][^.]{0,40}[.][^.]{0,40}") {
            prop_assert!(open(&ApprovalId::of_hash(&[0; 32]), &text).is_err());
        }
    }
}
