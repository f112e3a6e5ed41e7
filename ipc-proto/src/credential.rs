//! The answer to `credential`: a token, and how the service that a rule names wants to be shown it.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::answer::encode_with_token;
use crate::{Id, Token, TokenFields};

/// Bytes of a service's URL.
pub const MAX_URL: usize = 2 * 1024;

/// Bytes of the word for a tool.
pub const MAX_TOOL: usize = 32;

/// How a token is shown to a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `Authorization: Bearer` (RFC 6750 §2.1).
    Bearer,
    /// `Authorization: Basic` (RFC 7617), with the token as the password.
    Basic,
    /// Bearer where the tool can, else Basic.
    #[default]
    Auto,
}

/// The answer to `credential`. It has no `Serialize`: [`encode_credential`] is the only way onto a wire.
#[derive(Deserialize)]
pub struct Credential {
    /// The token.
    #[serde(flatten)]
    pub token: Token,
    /// How it is to be shown.
    pub scheme: Scheme,
    /// Who it is to be shown as where the scheme is Basic: printable ASCII without a colon (RFC 7617 §2).
    pub username: String,
    /// The token's number, for `refused`. Another token has another number, as long as the daemon lives.
    pub serial: u64,
}

/// What the rule and the daemon add to a token, in the form of [`Credential`].
#[derive(Clone, Copy, Serialize)]
pub struct Service<'a> {
    /// How the token is to be shown.
    pub scheme: Scheme,
    /// Who it is to be shown as.
    pub username: &'a str,
    /// The token's number.
    pub serial: u64,
}

/// Returns the answer to `credential` as a line, in a buffer that never grows.
pub fn encode_credential(id: &Id, token: TokenFields<'_>, service: Service<'_>) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Answer<'a> {
        #[serde(flatten)]
        token: TokenFields<'a>,
        #[serde(flatten)]
        service: Service<'a>,
    }
    encode_with_token(id, token, service.username.len(), Answer { token, service })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::ROOM;
    use crate::{ErrorCode, Failure, Message, encode_failure};

    #[test]
    fn i_008_a_credential_is_a_token_and_more_in_a_buffer_that_never_grows() {
        let (secret, username) = ("eyJ\"\\".repeat(900), "\"\\".repeat(300));
        let token = TokenFields {
            access_token: &secret,
            token_type: "Bearer",
            resource: "urn:d:git",
            expires_at: 5,
            scope: None,
        };
        let service = Service {
            scheme: Scheme::Basic,
            username: &username,
            serial: u64::MAX,
        };
        let line = encode_credential(&Id::from(1), token, service);
        let room = 2 * (secret.len() + username.len() + "Bearer".len() + "urn:d:git".len()) + ROOM;
        assert_eq!(line.capacity(), room);
        let Ok(Message::Answer(credential)) = Message::<Credential>::decode(&line) else {
            panic!("no credential")
        };
        assert_eq!(credential.token.access_token.expose(), secret);
        assert_eq!(credential.token.resource, "urn:d:git");
        assert_eq!(credential.username, username);
        assert_eq!((credential.scheme, credential.serial), (Scheme::Basic, u64::MAX));
    }

    #[test]
    fn i_005_the_line_is_as_the_page_shows_it() {
        let token = TokenFields {
            access_token: "abc",
            token_type: "Bearer",
            resource: "urn:d:git",
            expires_at: 5,
            scope: Some("openid"),
        };
        let service = Service {
            scheme: Scheme::Auto,
            username: "oauth2",
            serial: 7,
        };
        let line = encode_credential(&Id::from(1), token, service);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "{\"id\":1,\"ok\":{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"resource\":\"urn:d:git\",\
             \"expires_at\":5,\"scope\":\"openid\",\"scheme\":\"auto\",\"username\":\"oauth2\",\"serial\":7}}\n"
        );
    }

    #[test]
    fn a_token_without_what_the_rule_adds_is_no_credential() {
        let line = br#"{"id":1,"ok":{"access_token":"a","token_type":"Bearer","resource":"urn:d:x","expires_at":5}}"#;
        assert!(Message::<Credential>::decode(line).is_err());
        let line = encode_failure(&Id::from(1), &Failure::new(ErrorCode::NoRule, "no rule"));
        assert!(matches!(
            Message::<Credential>::decode(&line),
            Ok(Message::Failure(_))
        ));
    }
}
