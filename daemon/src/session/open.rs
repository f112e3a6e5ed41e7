//! Opens a seal (step 9 of a token's way): from the doc's text to a token in locked memory.

use device_proto::seal::{DoesNotOpen, Key, KeyUse, NotASeal, Sealed};
use device_proto::token::{self, NotAToken};
use device_proto::{Challenge, RequestId, ResourceUrn};
use thiserror::Error;

use crate::memory::{Exhausted, Locked};
use crate::printable::printable;
use crate::table::{AccessToken, Full, Token, Usage};

/// Bytes of an opened seal: more than any server takes as a header.
const MAX_TEXT: usize = 32 * 1024;

/// A seal that yields no token. The texts quote nothing of it.
#[derive(Debug, Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    NotASeal(#[from] NotASeal),
    #[error("it is too big")]
    TooBig,
    #[error(transparent)]
    NoMemory(#[from] Exhausted),
    #[error(transparent)]
    Closed(#[from] DoesNotOpen),
    #[error(transparent)]
    NotAToken(#[from] NotAToken),
    #[error("the token is for another resource")]
    OtherResource,
    #[error(transparent)]
    Full(#[from] Full),
}

/// Opens a seal. The plaintext lies in locked memory alone, and only until this returns. What the server says of the token
/// may end in a terminal.
pub(super) fn open(
    challenge: Challenge<'_>,
    session: &RequestId,
    resource: &ResourceUrn,
    sealed: String,
    made_at: Option<u64>,
) -> Result<Token, Unusable> {
    let sealed = Sealed::try_from(sealed)?;
    let room = sealed.plaintext_len();
    if room > MAX_TEXT {
        return Err(Unusable::TooBig);
    }
    let key = Key::of_challenge(challenge, session, KeyUse::Token);
    let mut length = 0;
    let text = Locked::fill(room, |slot| {
        length = key.open(resource.as_str(), &sealed, slot)?.len();
        Ok::<_, Unusable>(())
    })?;
    let text = text.expose().get(..length).unwrap_or_default();
    let token = token::Token::decode(text)?;
    if token.resource != resource.as_str() {
        return Err(Unusable::OtherResource);
    }
    Ok(Token {
        access_token: AccessToken::copy_of(&token.access_token)?,
        token_type: printable(&token.token_type, MAX_TEXT),
        resource: resource.clone(),
        made_at,
        expires_at: token.expires_at,
        scope: token.scope.map(|scope| printable(&scope, MAX_TEXT)),
        usage: Usage::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [7; 32];

    fn seal(resource: &str, text: &[u8]) -> String {
        let session = "s".parse().unwrap();
        let key = Key::of_challenge(Challenge::new(&SECRET), &session, KeyUse::Token);
        key.seal(resource, [1; 12], text).to_string()
    }

    fn opened(resource: &str, sealed: String) -> Result<Token, Unusable> {
        let (session, resource) = ("s".parse().unwrap(), resource.parse().unwrap());
        open(Challenge::new(&SECRET), &session, &resource, sealed, Some(5))
    }

    const TOKEN: &[u8] =
        br#"{"access_token":"a.b","token_type":"Bearer","expires_at":9,"resource":"urn:d:x"}"#;

    #[test]
    fn d_031_a_seal_becomes_a_token() {
        let token = opened("urn:d:x", seal("urn:d:x", TOKEN)).unwrap();
        assert_eq!((token.access_token(), token.expires_at), ("a.b", 9));
    }

    #[test]
    fn d_031_what_the_server_says_of_a_token_cannot_steer_a_terminal() {
        let text = TOKEN.strip_suffix(b"}").unwrap();
        let scope = r#","scope":"open\u009b2Jid \u202eprofile\u001b[31m"}"#;
        let text = [text, scope.as_bytes()].concat();
        let text = String::from_utf8(text)
            .unwrap()
            .replace("Bearer", "Bea\u{9b}rer\u{2066}");
        let token = opened("urn:d:x", seal("urn:d:x", text.as_bytes())).unwrap();
        assert_eq!(token.token_type, "Bearer");
        assert_eq!(token.scope.as_deref(), Some("open2Jid profile[31m"));
    }

    #[test]
    fn d_030_a_seal_for_another_resource_is_refused_inside_and_outside() {
        assert!(matches!(
            opened("urn:d:y", seal("urn:d:x", TOKEN)),
            Err(Unusable::Closed(_))
        ));
        assert!(matches!(
            opened("urn:d:y", seal("urn:d:y", TOKEN)),
            Err(Unusable::OtherResource)
        ));
    }

    #[test]
    fn d_035_a_seal_that_is_too_big_is_not_opened() {
        let text = |room: usize| {
            let text = String::from_utf8(TOKEN.to_vec()).unwrap();
            text.replace("a.b", &"x".repeat(room - TOKEN.len() + "a.b".len()))
        };
        let seal = |room| seal("urn:d:x", text(room).as_bytes());
        assert!(opened("urn:d:x", seal(MAX_TEXT)).is_ok());
        assert!(matches!(
            opened("urn:d:x", seal(MAX_TEXT + 1)),
            Err(Unusable::TooBig)
        ));
    }

    #[test]
    fn what_is_no_text_is_no_token() {
        let text = TOKEN.iter().map(|&byte| if byte == b'.' { 0xff } else { byte });
        assert!(matches!(
            opened("urn:d:x", seal("urn:d:x", &text.collect::<Vec<_>>())),
            Err(Unusable::NotAToken(_))
        ));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        assert!(matches!(
            opened("urn:d:x", seal("urn:d:x", b"{}")),
            Err(Unusable::NotAToken(_))
        ));
        assert!(matches!(
            opened("urn:d:x", "a.b".into()),
            Err(Unusable::NotASeal(_))
        ));
    }
}
