//! What the daemon says back (I-003, I-005): the final answer, a failure, or an event on the way.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Approval, ErrorCode, Id, Kept, ProfileName};

/// One line from the daemon. `T` is what the request's operation answers with.
pub enum Message<T> {
    /// The final answer.
    Answer(T),
    /// The final answer, and it is no.
    Failure(Failure),
    /// Something happened on the way; more lines follow.
    Event(Event),
    /// The same, in a form that this version does not know: to be passed over.
    UnknownEvent,
}

impl<T: DeserializeOwned> Message<T> {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; its text never quotes the line, which may hold a token.
    pub fn decode(line: &[u8]) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        #[serde(bound = "T: DeserializeOwned")]
        struct Line<'a, T> {
            ok: Option<T>,
            error: Option<Failure>,
            #[serde(borrow)]
            event: Option<Cow<'a, str>>,
        }
        match serde_json::from_slice(line).map_err(|_| DecodeError)? {
            Line { event: Some(_), .. } => {
                Ok(serde_json::from_slice(line).map_or(Self::UnknownEvent, Self::Event))
            }
            Line {
                error: Some(failure), ..
            } => Ok(Self::Failure(failure)),
            Line { ok: Some(answer), .. } => Ok(Self::Answer(answer)),
            Line { .. } => Err(DecodeError),
        }
    }
}

/// The daemon said something this version does not understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError;

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the daemon's answer is not of the known form")
    }
}

impl std::error::Error for DecodeError {}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stable word (I-006).
    pub code: ErrorCode,
    /// What happened, for people.
    pub message: String,
    /// What to do next: a command to type, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The page that does it instead, with [`ErrorCode::NeedsBrowser`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Failure {
    /// Returns a failure without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            url: None,
        }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// Adds the page that does it instead.
    #[must_use]
    pub fn url(self, url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Something that happened, told while a `start` waits or to a `watch`. Never a token's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A login waits for a person.
    Authorize {
        /// Which login.
        profile: ProfileName,
        /// The page to open.
        url: String,
        /// The code the page shows; the person compares it (RFC 8628 §5.4).
        user_code: String,
        /// When the page stops working, Unix seconds.
        expires_at: u64,
    },
    /// The connection to the server stands.
    Connected {
        /// Which login.
        profile: ProfileName,
    },
    /// The connection to the server is gone; it comes back by itself.
    Disconnected {
        /// Which login.
        profile: ProfileName,
    },
    /// A token arrived.
    Token {
        /// Which login.
        profile: ProfileName,
        /// Its resource.
        resource: String,
        /// When it ends, Unix seconds.
        expires_at: u64,
    },
    /// A rule has the person asked before the token leaves. The connection that is told answers with
    /// [`Op::Confirm`](crate::Op::Confirm).
    Confirm {
        /// Which question: what the answer has to repeat.
        number: u64,
        /// The question, on one line of plain characters ([`is_plain`](crate::is_plain)).
        question: String,
    },
    /// The provider has taken a `request` and asks the person. Told to the client that made it alone.
    Acknowledged {
        /// What the request is called here: a short text made from its identifier, which opens nothing.
        handle: String,
        /// When it lapses, Unix seconds.
        expires_at: u64,
        /// Seconds between two questions to the provider.
        interval: u64,
    },
    /// The person has not decided yet.
    Waiting {
        /// What the request is called here.
        handle: String,
        /// Why the provider could not be asked, for people; it is asked again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// A request waits for the person's decision.
    Approval {
        /// The login whose server it is at.
        profile: ProfileName,
        /// The request.
        #[serde(flatten)]
        approval: Box<Approval>,
    },
    /// A request waits no longer: it was decided, or has expired.
    ApprovalGone {
        /// The login whose server it was at.
        profile: ProfileName,
        /// Its name.
        request: String,
    },
    /// A login will end soon, and only a person can renew it.
    Expiring {
        /// Which login.
        profile: ProfileName,
        /// When it ends, Unix seconds.
        expires_at: u64,
    },
    /// A session changed its state.
    Session {
        /// Which login.
        profile: ProfileName,
        /// What it is now.
        state: SessionState,
        /// Why, when it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure>,
    },
}

/// The answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The daemon's [`PROTOCOL`](crate::PROTOCOL).
    pub protocol: u32,
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
}

/// A secret text that came over the wire: wiped on drop, shown by nothing.
#[derive(Deserialize)]
#[serde(from = "String")]
pub struct Secret(Zeroizing<String>);

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Secret {
    /// Returns the secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The answer to `token`. It has no `Serialize`: [`encode_token`] and
/// [`encode_credential`](crate::encode_credential) are the only ways onto a wire.
#[derive(Deserialize)]
pub struct Token {
    /// What goes behind `Authorization: Bearer`.
    pub access_token: Secret,
    /// RFC 6749 §7.1; `Bearer`.
    pub token_type: String,
    /// The resource it is for.
    pub resource: String,
    /// When it ends, Unix seconds.
    pub expires_at: u64,
    /// Its scope, if the provider named one.
    #[serde(default)]
    pub scope: Option<String>,
}

/// The answer to `start`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The login's profile.
    pub profile: ProfileName,
    /// Who logged in, as the provider names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The first token's resource.
    pub resource: String,
    /// When the first token ends, Unix seconds.
    pub expires_at: u64,
}

/// The answer to `add`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// The login that got it.
    pub profile: ProfileName,
    /// The token's resource.
    pub resource: String,
    /// When the token ends, Unix seconds.
    pub expires_at: u64,
}

/// The answer to `stop`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The logins that ended.
    pub profiles: Vec<ProfileName>,
    /// Those of them that the server could not be told about; here they are gone all the same (D-052).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_not_told: Vec<ProfileName>,
    /// Those of them that a keychain would not delete. The challenge there opens nothing once the server was told, unless
    /// `keychain` says that an older login may be there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub still_kept: Vec<ProfileName>,
    /// Why there may be more logins, which were not ended: a keychain cannot be read. The daemon then stays, and keeps trying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keychain: Option<Failure>,
    /// Whether the daemon leaves: no session is left, no request to a person, and no client that it keeps in memory.
    pub daemon_leaves: bool,
}

/// The answer to `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Whether secrets lie in pages that are never swapped out.
    pub memory_locked: bool,
    /// Why logins that a keychain keeps are missing, such as a locked keychain. The daemon keeps trying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keychain: Option<Failure>,
    /// What is wrong with the configuration file, for people; the daemon goes on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The logins, by name.
    pub profiles: Vec<ProfileStatus>,
}

/// One login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileStatus {
    /// Its name.
    pub profile: ProfileName,
    /// Its server.
    pub url: String,
    /// How far it is.
    pub state: SessionState,
    /// The connection to the server.
    pub link: Link,
    /// Who logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why it failed, or why the link is down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Where it is kept; absent until its first token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// When it ends unless the person logs in again, Unix seconds; absent when the daemon does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// What is in memory, by resource.
    pub tokens: Vec<TokenStatus>,
}

impl ProfileStatus {
    /// Returns what to type to log in again.
    pub fn log_in_again(&self) -> String {
        self.profile.login(&self.url)
    }
}

/// One token in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenStatus {
    /// Its resource.
    pub resource: String,
    /// When it ends, Unix seconds.
    pub expires_at: u64,
}

/// How far a session is: the device doc's `session.status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// A person has yet to log in.
    Pending,
    /// It yields tokens.
    Active,
    /// It yields none any more.
    Failed,
    /// It is over.
    Ended,
}

/// The connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// It stands, and the server has accepted the proof of possession.
    Connected,
    /// It is being made.
    Connecting,
    /// It is down and will be tried again.
    Offline,
}

/// Returns `{"id":…,"ok":…}` as a line. For a token there is [`encode_token`].
pub fn encode_answer(id: &Id, answer: &impl Serialize) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        id: &'a Id,
        ok: &'a T,
    }
    line(&Line { id, ok: answer }, ROOM)
}

/// Returns `{"id":…,"error":…}` as a line.
pub fn encode_failure(id: &Id, failure: &Failure) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Line<'a> {
        id: &'a Id,
        error: &'a Failure,
    }
    line(&Line { id, error: failure }, ROOM)
}

/// Returns `{"id":…,"event":…}` as a line.
pub fn encode_event(id: &Id, event: &Event) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Line<'a> {
        id: &'a Id,
        #[serde(flatten)]
        event: &'a Event,
    }
    line(&Line { id, event }, ROOM)
}

/// A token that is about to be written out, in the form of [`Token`].
#[derive(Clone, Copy, Serialize)]
pub struct TokenFields<'a> {
    /// What goes behind `Authorization: Bearer`.
    pub access_token: &'a str,
    /// RFC 6749 §7.1; `Bearer`.
    pub token_type: &'a str,
    /// The resource it is for.
    pub resource: &'a str,
    /// When it ends, Unix seconds.
    pub expires_at: u64,
    /// Its scope, if the provider named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<&'a str>,
}

impl TokenFields<'_> {
    /// Returns room for texts whose every byte is escaped to two. Control characters take six; a token, all VSCHAR
    /// (RFC 6749 §A.12), has none.
    fn len(&self) -> usize {
        let texts = [self.access_token, self.token_type, self.resource];
        let bytes = texts.iter().map(|text| text.len()).sum::<usize>();
        2 * (bytes + self.scope.map_or(0, str::len))
    }
}

/// Returns the answer to `token` as a line.
pub fn encode_token(id: &Id, token: TokenFields<'_>) -> Zeroizing<Vec<u8>> {
    encode_with_token(id, token, 0, token)
}

/// Returns an answer that holds this token as a line: the one place where a token is written out. `more` is how many
/// bytes its other texts have.
pub(crate) fn encode_with_token(
    id: &Id,
    token: TokenFields<'_>,
    more: usize,
    answer: impl Serialize,
) -> Zeroizing<Vec<u8>> {
    encode_with_room(id, answer, token.len() + 2 * more)
}

/// Returns an answer with room for this many bytes of texts from the start.
pub(crate) fn encode_with_room(id: &Id, answer: impl Serialize, bytes: usize) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        id: &'a Id,
        ok: T,
    }
    line(&Line { id, ok: answer }, bytes + ROOM)
}

/// Bytes a line without a token usually needs.
pub(crate) const ROOM: usize = 512;

/// Writes into a buffer that is large enough from the start: a buffer that grows leaves copies behind (I-008).
fn line(value: &impl Serialize, room: usize) -> Zeroizing<Vec<u8>> {
    let mut line = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *line, value).expect("a Vec takes every write, and no map has odd keys");
    line.write_all(b"\n").expect("a Vec takes every write");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &[u8]) -> &str {
        std::str::from_utf8(line).unwrap()
    }

    #[test]
    fn i_003_answers_failures_and_events_have_their_own_key() {
        let id = Id::from(7);
        let hello = Hello {
            protocol: 1,
            version: "0.1.0".into(),
            pid: 42,
        };
        let answer = encode_answer(&id, &hello);
        assert_eq!(
            text(&answer),
            "{\"id\":7,\"ok\":{\"protocol\":1,\"version\":\"0.1.0\",\"pid\":42}}\n"
        );
        assert!(matches!(Message::<Hello>::decode(&answer), Ok(Message::Answer(h)) if h == hello));

        let failure =
            Failure::new(ErrorCode::NotLoggedIn, "nobody is logged in").hint("ciba start --url URL");
        let line = encode_failure(&Id::Text("a".into()), &failure);
        assert_eq!(
            text(&line),
            "{\"id\":\"a\",\"error\":{\"code\":\"not_logged_in\",\"message\":\"nobody is logged in\",\"hint\":\"ciba start --url URL\"}}\n"
        );
        assert!(matches!(Message::<Hello>::decode(&line), Ok(Message::Failure(f)) if f == failure));

        let event = Event::Connected {
            profile: ProfileName::default(),
        };
        let line = encode_event(&id, &event);
        assert_eq!(
            text(&line),
            "{\"id\":7,\"event\":\"connected\",\"profile\":\"default\"}\n"
        );
        assert!(matches!(Message::<Hello>::decode(&line), Ok(Message::Event(e)) if e == event));
    }

    #[test]
    fn i_003_an_event_from_the_future_is_no_error() {
        for line in [
            r#"{"id":1,"event":"from 2030"}"#,
            r#"{"id":1,"event":"from 2030","profile":{}}"#,
            r#"{"id":1,"event":"session","profile":"work","state":"from 2030"}"#,
        ] {
            let decoded = Message::<Hello>::decode(line.as_bytes());
            assert!(matches!(decoded, Ok(Message::UnknownEvent)), "{line}");
        }
    }

    #[test]
    fn i_005_every_event_survives_the_wire() {
        let profile = ProfileName::default();
        let expires_at = 5;
        for event in [
            Event::Authorize {
                profile: profile.clone(),
                url: "https://c".into(),
                user_code: "ABCD-EFGH".into(),
                expires_at,
            },
            Event::Connected {
                profile: profile.clone(),
            },
            Event::Disconnected {
                profile: profile.clone(),
            },
            Event::Token {
                profile: profile.clone(),
                resource: "urn:d:x".into(),
                expires_at,
            },
            Event::Expiring {
                profile: profile.clone(),
                expires_at,
            },
            Event::Acknowledged {
                handle: "Jk3_aB-9".into(),
                expires_at,
                interval: 5,
            },
            Event::Waiting {
                handle: "Jk3_aB-9".into(),
                problem: Some("the provider does not answer in time".into()),
            },
            Event::Confirm {
                number: 3,
                question: "May git have a token for git.example.com?".into(),
            },
            Event::Approval {
                profile: profile.clone(),
                approval: Box::new(approval()),
            },
            Event::ApprovalGone {
                profile: profile.clone(),
                request: "k3Qz".into(),
            },
            Event::Session {
                profile,
                state: SessionState::Failed,
                error: Some(Failure::new(ErrorCode::LoginDenied, "no")),
            },
        ] {
            let line = encode_event(&Id::from(7), &event);
            assert!(matches!(Message::<Hello>::decode(&line), Ok(Message::Event(e)) if e == event));
        }
    }

    fn approval() -> Approval {
        Approval {
            request: "k3Qz".into(),
            client_name: "Shop".into(),
            client_uri: None,
            client_vouched: false,
            scope: vec!["openid".into()],
            resources: vec![],
            binding_message: Some("Pay".into()),
            authorization_details: None,
            agent: None,
            created_at: 1,
            expires_at: 5,
            url: "https://c".into(),
            answer: crate::AnswerAt::Browser,
        }
    }

    #[test]
    fn i_010_a_request_stands_beside_its_profile() {
        let event = Event::Approval {
            profile: ProfileName::default(),
            approval: Box::new(approval()),
        };
        let line = encode_event(&Id::from(1), &event);
        assert_eq!(
            text(&line),
            concat!(
                r#"{"id":1,"event":"approval","profile":"default","request":"k3Qz","client_name":"Shop","#,
                r#""scope":["openid"],"binding_message":"Pay","created_at":1,"expires_at":5,"url":"https://c","#,
                r#""answer":"browser"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_token_crosses_the_wire_once_and_the_buffer_never_grows() {
        let secret = "eyJ\"\\".repeat(900);
        let token = TokenFields {
            access_token: &secret,
            token_type: "Bearer",
            resource: "urn:d:x",
            expires_at: 5,
            scope: Some("openid"),
        };
        let line = encode_token(&Id::from(1), token);
        assert!(line.len() <= 2 * (secret.len() + 30) + ROOM);
        let Ok(Message::Answer(token)) = Message::<Token>::decode(&line) else {
            panic!("no token")
        };
        assert_eq!(token.access_token.expose(), secret);
        assert_eq!((token.token_type.as_str(), token.expires_at), ("Bearer", 5));
        assert_eq!(token.scope.as_deref(), Some("openid"));
    }

    #[test]
    fn a_line_that_says_nothing_known_is_an_error() {
        for line in ["", "{}", "[]", "hunter2", r#"{"id":1}"#] {
            assert!(Message::<Hello>::decode(line.as_bytes()).is_err(), "{line}");
        }
    }
}
