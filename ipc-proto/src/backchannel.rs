//! `request` and the operations beside it: being a client of an OpenID provider that asks a person for approval
//! (OpenID Connect CIBA Core 1.0), and the credentials that such a client proves itself with.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::answer::encode_with_room;
use crate::{Failure, Id, KeychainKind, Secret};

/// What `request` asks for. The names are those of CIBA Core §7.1 where it has one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backchannel {
    /// The provider, exactly as it names itself in its discovery document.
    pub issuer: String,
    /// The client that asks.
    pub client_id: String,
    /// What proves that it is this client; without it the daemon takes what its keychains keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<ClientCredential>,
    /// Whom to ask.
    #[serde(flatten)]
    pub hint: Hint,
    /// Values with spaces between, `openid` among them.
    pub scope: String,
    /// What the person sees both here and where they approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding_message: Option<String>,
    /// Seconds after which the request should lapse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_expiry: Option<u64>,
    /// Values with spaces between, the preferred one first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr_values: Option<String>,
    /// Which services the token is for (RFC 8707).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource: Vec<String>,
    /// What exactly is to be allowed, as the text of a JSON array (RFC 9396).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<String>,
    /// A code that only the person knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_code: Option<SecretText>,
    /// Where the provider's ping arrives, an address of this machine. Without it the daemon only polls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_listen: Option<SocketAddr>,
}

/// Whom to ask: exactly one hint (CIBA Core §7.1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hint {
    /// A name that the provider knows.
    LoginHint(String),
    /// A token that names the person.
    LoginHintToken(SecretText),
    /// An ID token that the provider has issued before.
    IdTokenHint(SecretText),
}

/// What a client proves itself with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientCredential {
    /// How it is shown to the provider.
    pub method: ClientMethod,
    /// The client secret, or the private key as PEM.
    pub secret: SecretText,
}

/// How a client proves itself (OpenID Connect Core §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientMethod {
    /// The secret in the header `Authorization: Basic`.
    #[default]
    ClientSecretBasic,
    /// The secret in the body.
    ClientSecretPost,
    /// A JWT that the client's private key signs.
    PrivateKeyJwt,
}

impl ClientMethod {
    /// Every method, the default first.
    pub const ALL: [Self; 3] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
    ];

    /// Returns the word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}

impl FromStr for ClientMethod {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|method| method.word() == word);
        found.ok_or("no method has this name")
    }
}

/// A secret text on its way to the daemon: wiped on drop, and its `Debug` says nothing of it.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(Zeroizing<String>);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl SecretText {
    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText")
    }
}

impl Backchannel {
    /// Returns the bytes of its longer texts.
    pub(crate) fn len(&self) -> usize {
        let hint = match &self.hint {
            Hint::LoginHint(name) => name.len(),
            Hint::LoginHintToken(token) | Hint::IdTokenHint(token) => token.expose().len(),
        };
        let texts = [
            &self.binding_message,
            &self.acr_values,
            &self.authorization_details,
        ];
        let texts = texts.iter().filter_map(|text| text.as_deref()).map(str::len);
        let resources = self.resource.iter().map(String::len);
        let secrets = [
            self.credential.as_ref().map(|credential| &credential.secret),
            self.user_code.as_ref(),
        ];
        let secrets = secrets.iter().flatten().map(|secret| secret.expose().len());
        self.issuer.len()
            + self.client_id.len()
            + self.scope.len()
            + hint
            + texts.chain(resources).chain(secrets).sum::<usize>()
    }
}

/// The answer to `request`: what the provider's token endpoint gave (CIBA Core §10.1.1). It has no `Serialize`:
/// [`encode_granted`] is the only way onto a wire.
#[derive(Deserialize)]
pub struct Granted {
    /// What goes behind `Authorization: Bearer`.
    pub access_token: Secret,
    /// RFC 6749 §7.1; `Bearer`.
    pub token_type: String,
    /// When the access token ends, Unix seconds, if the provider says so.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// Its scope, if the provider named one.
    #[serde(default)]
    pub scope: Option<String>,
    /// Who approved. The daemon has checked it.
    #[serde(default)]
    pub id_token: Option<Secret>,
    /// What gets the next access token without the person.
    #[serde(default)]
    pub refresh_token: Option<Secret>,
    /// What was allowed (RFC 9396 §7).
    #[serde(default)]
    pub authorization_details: Option<serde_json::Value>,
}

/// The same on its way out, in the form of [`Granted`].
#[derive(Clone, Copy, Serialize)]
pub struct GrantedFields<'a> {
    /// As in [`Granted`].
    pub access_token: &'a str,
    /// As in [`Granted`].
    pub token_type: &'a str,
    /// As in [`Granted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// As in [`Granted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a str>,
    /// As in [`Granted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<&'a str>,
    /// As in [`Granted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<&'a str>,
    /// As in [`Granted`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<&'a serde_json::Value>,
}

impl GrantedFields<'_> {
    /// Returns the bytes of its secrets, which come first or have room behind them.
    fn len(&self) -> usize {
        let more = [self.scope, self.id_token, self.refresh_token];
        self.access_token.len() + more.iter().flatten().map(|text| text.len()).sum::<usize>()
    }
}

/// Returns the answer to `request` as a line, in a buffer that does not grow while it holds a token.
pub fn encode_granted(id: &Id, granted: GrantedFields<'_>) -> Zeroizing<Vec<u8>> {
    let details = granted.authorization_details;
    let details = details.map_or(0, |details| details.to_string().len());
    encode_with_room(id, granted, 2 * granted.len() + details)
}

/// A client whose credential a keychain keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientKept {
    /// The provider that knows it.
    pub issuer: String,
    /// Its name there.
    pub client_id: String,
    /// How it proves itself.
    pub method: ClientMethod,
    /// Where its credential is.
    pub keychain: KeychainKind,
}

/// The answer to `clients`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// By issuer and name.
    pub clients: Vec<ClientKept>,
    /// Why there may be more: a keychain cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keychain: Option<Failure>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, Op, Request};

    const GRANTED: GrantedFields<'_> = GrantedFields {
        access_token: "abc",
        token_type: "Bearer",
        expires_at: Some(5),
        scope: Some("openid"),
        id_token: None,
        refresh_token: None,
        authorization_details: None,
    };

    #[test]
    fn i_005_the_line_is_as_the_page_shows_it() {
        let line = encode_granted(&Id::from(1), GRANTED);
        assert_eq!(
            std::str::from_utf8(&line).unwrap(),
            "{\"id\":1,\"ok\":{\"access_token\":\"abc\",\"token_type\":\"Bearer\",\"expires_at\":5,\"scope\":\"openid\"}}\n"
        );
        let request = r#"{"id":1,"op":"request","issuer":"https://op.example","client_id":"agent","login_hint":"ada","scope":"openid"}"#;
        let request = Request::decode(request.as_bytes()).unwrap();
        let Op::Request(asked) = request.op else {
            panic!("no request")
        };
        assert_eq!(asked.hint, Hint::LoginHint("ada".into()));
        assert!(asked.credential.is_none() && asked.resource.is_empty() && asked.ping_listen.is_none());
    }

    #[test]
    fn i_008_what_was_granted_crosses_the_wire_in_a_buffer_that_never_grows() {
        let secret = "eyJ\"\\".repeat(900);
        let details: serde_json::Value = serde_json::from_str(r#"[{"type":"payment","a":"\""}]"#).unwrap();
        let granted = GrantedFields {
            access_token: &secret,
            id_token: Some(&secret),
            refresh_token: Some(&secret),
            authorization_details: Some(&details),
            ..GRANTED
        };
        let line = encode_granted(&Id::from(1), granted);
        let room = line.capacity();
        assert!(line.len() <= room && room < 6 * secret.len() + 1024);
        let Ok(Message::Answer(granted)) = Message::<Granted>::decode(&line) else {
            panic!("nothing granted")
        };
        assert_eq!(granted.access_token.expose(), secret);
        assert_eq!(
            granted.id_token.map(|token| token.expose().len()),
            Some(secret.len())
        );
        assert_eq!(granted.authorization_details, Some(details));
    }

    #[test]
    fn a_secret_shows_in_no_debug_output() {
        let secret = SecretText::from("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "SecretText");
    }

    #[test]
    fn a_method_is_known_by_its_registered_word() {
        for method in ClientMethod::ALL {
            assert_eq!(method.word().parse(), Ok(method));
            assert_eq!(
                serde_json::to_string(&method).unwrap(),
                format!("\"{}\"", method.word())
            );
        }
        assert!("none".parse::<ClientMethod>().is_err());
    }
}
