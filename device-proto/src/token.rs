//! What is inside a sealed token (D-031): the token response, without the refresh token.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// A token as it is sealed and opened. It borrows from the buffer that was opened, which its owner wipes.
#[derive(Serialize, Deserialize)]
pub struct Token<'a> {
    /// The access token itself.
    #[serde(borrow)]
    pub access_token: Cow<'a, str>,
    /// RFC 6749 §7.1; `Bearer`.
    #[serde(borrow)]
    pub token_type: Cow<'a, str>,
    /// When it ends, Unix seconds.
    pub expires_at: u64,
    /// Its scope, if the provider named one.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Cow<'a, str>>,
    /// RFC 8693 §2.2.1, for a token that was exchanged.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<Cow<'a, str>>,
    /// The resource it is for.
    #[serde(borrow)]
    pub resource: Cow<'a, str>,
}

/// An opened text that is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what was sealed is not a token")]
pub struct NotAToken;

impl<'a> Token<'a> {
    /// Reads what was sealed.
    ///
    /// # Errors
    ///
    /// [`NotAToken`]; nothing of the text is quoted.
    pub fn decode(plaintext: &'a [u8]) -> Result<Self, NotAToken> {
        serde_json::from_slice(plaintext).map_err(|_| NotAToken)
    }

    /// Returns the text to be sealed, in a buffer that is wiped and never grew.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let optional = |text: &Option<Cow<'_, str>>| text.as_deref().map_or(0, str::len);
        let texts = self.access_token.len()
            + self.token_type.len()
            + self.resource.len()
            + optional(&self.scope)
            + optional(&self.issued_token_type);
        let mut out = Zeroizing::new(Vec::with_capacity(2 * texts + 160));
        serde_json::to_writer(&mut *out, self).expect("texts and a number always serialize");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d_031_a_token_is_read_back_without_a_copy() {
        let token = Token {
            access_token: "ey.a.b".into(),
            token_type: "Bearer".into(),
            expires_at: 1_700_000_000,
            scope: None,
            issued_token_type: None,
            resource: "urn:d:x".into(),
        };
        let text = token.encode();
        assert_eq!(
            std::str::from_utf8(&text).unwrap(),
            r#"{"access_token":"ey.a.b","token_type":"Bearer","expires_at":1700000000,"resource":"urn:d:x"}"#
        );
        let read = Token::decode(&text).unwrap();
        assert!(matches!(read.access_token, Cow::Borrowed("ey.a.b")));
        assert_eq!(read.expires_at, 1_700_000_000);
        assert!(Token::decode(b"{}").is_err());
    }
}
