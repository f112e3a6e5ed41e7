//! What a client asks (I-003, I-005).

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use crate::{Backchannel, ClientCredential, ErrorCode, KeychainKind, ProfileName};

/// Bytes a request without long texts needs.
const ROOM: usize = 512;

/// One request: an id to be echoed, and what is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Echoed in every line that answers this request.
    pub id: Id,
    /// What is wanted.
    #[serde(flatten)]
    pub op: Op,
}

/// A request's id: any string, or a whole number of 64 bits. Other numbers could not be echoed as they came.
/// `null` only in an answer to a line that could not be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number, echoed as a number.
    #[serde(deserialize_with = "whole")]
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// The line could not be read, so its id is not known.
    #[default]
    Unknown,
}

fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<serde_json::Number, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    if number.is_f64() {
        return Err(D::Error::custom(RequestProblem::BadId));
    }
    Ok(number)
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

/// The operations (I-005). Fields that a version does not know are ignored; an unknown `op` is a
/// [`BadRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Compare protocols (I-004). Answer: [`Hello`](crate::Hello).
    Hello {
        /// The client's [`PROTOCOL`](crate::PROTOCOL).
        protocol: u32,
    },
    /// A token that is valid now. Answer: [`Token`](crate::Token).
    Token {
        /// Which login; the default profile when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
        /// The resource's URN; [`DEFAULT_RESOURCE`](crate::DEFAULT_RESOURCE) when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<String>,
        /// Seconds the token must still be valid.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_valid: Option<u64>,
        /// Do not serve what is in memory: ask the server for a new one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
        /// What asks, for the audit: a word as in `credential`; `token` when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tool: Option<String>,
    },
    /// A token for a service, as a rule of the user's configuration has it. Answer: [`Credential`](crate::Credential);
    /// with `interactive` perhaps an [`Event::Confirm`](crate::Event::Confirm) before.
    Credential {
        /// The service: `scheme://host[:port][/path]`, as the tool gave it, at most [`MAX_URL`](crate::MAX_URL) bytes.
        url: String,
        /// The tool that asks, in a short word: [`MAX_TOOL`](crate::MAX_TOOL) lower-case letters, digits and dashes.
        tool: String,
        /// The [`serial`](crate::Credential::serial) of a token that the service refused: that one will not do.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<u64>,
        /// Whether the client can put a question to its person.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        interactive: bool,
    },
    /// The service refused a token: the next request gets a new one. Answer: `{}`.
    Refused {
        /// The service, as in `credential`.
        url: String,
        /// The tool, as in `credential`.
        tool: String,
        /// The refused token's [`serial`](crate::Credential::serial); the one in memory when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial: Option<u64>,
    },
    /// The person's answer to an [`Event::Confirm`](crate::Event::Confirm) of the same connection. Answer: `{}`.
    Confirm {
        /// The question's number.
        number: u64,
        /// Whether the token may leave.
        allow: bool,
    },
    /// The configuration in force. Answer: [`Configuration`](crate::Configuration).
    Configuration {},
    /// Log in. Streams [`Event`](crate::Event) lines, then [`Started`](crate::Started). Closing the
    /// connection cancels the login, unless another client waits for it as well.
    Start {
        /// The server's public URL.
        url: String,
        /// Which login; the default profile when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
        /// The resource of the first token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<String>,
        /// Answer with the [`Token`](crate::Token) itself, end the session, keep nothing.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        one_shot: bool,
        /// Where to keep the login; the daemon chooses when absent (D-052).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keychain: Option<KeychainKind>,
    },
    /// The requests that wait for the person's decision. Streams an [`Event::Approval`](crate::Event::Approval) for each, then
    /// answers `{}`.
    Approvals {
        /// Only of this login; of all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
        /// Do not answer: stream those that come and go until the connection is closed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        watch: bool,
    },
    /// The person's decision about a request. Answer: [`Decided`](crate::Decided).
    Decide {
        /// Its name, or a beginning of it that no other has, of
        /// [`MIN_REQUEST_PREFIX`](crate::MIN_REQUEST_PREFIX) characters at least.
        request: String,
        /// Whether the client gets what it asks for.
        approve: bool,
        /// Only a request of this login.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
    },
    /// Get a token of one more resource ahead of need. Answer: [`Added`](crate::Added).
    Add {
        /// The resource's URN.
        resource: String,
        /// Which login; the default profile when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
    },
    /// What is going on. Answer: [`Status`](crate::Status).
    Status {
        /// Only this login; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
    },
    /// End a session here and on the server. Answer: [`Stopped`](crate::Stopped).
    Stop {
        /// Which login; the default profile when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<ProfileName>,
        /// Every login.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        all: bool,
    },
    /// Be told of every change until the connection is closed. Streams [`Event`](crate::Event) lines.
    Watch {},
    /// Ask a person for approval at an OpenID provider, as its client. Streams [`Event`](crate::Event) lines, then
    /// [`Granted`](crate::Granted). Closing the connection ends the wait.
    Request(Box<Backchannel>),
    /// Keep a client's credential in a keychain, in the place of the last one. Answer:
    /// [`ClientKept`](crate::ClientKept).
    ClientAdd {
        /// The provider, exactly as it names itself.
        issuer: String,
        /// The client's name there.
        client_id: String,
        /// What it proves itself with.
        credential: ClientCredential,
        /// Where to keep it; the daemon chooses when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keychain: Option<KeychainKind>,
    },
    /// The clients whose credentials are kept. Answer: [`Clients`](crate::Clients).
    Clients {},
    /// Forget a client's credential in every keychain. Answer: `{}`.
    ClientRemove {
        /// The provider.
        issuer: String,
        /// The client's name there.
        client_id: String,
    },
    /// What works and what does not. Answer: [`Diagnosis`](crate::Diagnosis).
    Diagnose {},
    /// Become the program that is installed now, keeping every session. Answer: `{}`.
    HandOver {},
    /// Leave, keeping the sessions on the server. Answer: `{}`.
    Shutdown {},
}

impl Request {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// [`BadRequest`], with the id if that much could be read. Its text never quotes the line.
    pub fn decode(line: &[u8]) -> Result<Self, BadRequest> {
        match serde_json::from_slice(line) {
            Ok(Self { id: Id::Unknown, .. }) => Err(BadRequest {
                id: Id::Unknown,
                problem: RequestProblem::NoId,
            }),
            Ok(request) => Ok(request),
            Err(error) => Err(BadRequest::explain(line, &error)),
        }
    }

    /// Returns the request as a line, newline included. It may hold a secret: the buffer never grows (I-008).
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let texts = match &self.op {
            Op::Request(asked) => asked.len(),
            Op::ClientAdd { credential, .. } => credential.secret.expose().len(),
            _ => 0,
        };
        let mut line = Zeroizing::new(Vec::with_capacity(2 * texts + ROOM));
        serde_json::to_writer(&mut *line, self).expect("strings, numbers and booleans always serialize");
        line.push(b'\n');
        line
    }
}

/// A line that is no request (I-007).
#[derive(Clone, Debug, PartialEq)]
pub struct BadRequest {
    /// The line's id, if it had one.
    pub id: Id,
    /// What is wrong.
    pub problem: RequestProblem,
}

/// What is wrong with a line. Its text never quotes the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestProblem {
    /// It is not JSON, or not one object.
    NotJson,
    /// It is JSON, and no request.
    NotARequest,
    /// It has no id.
    NoId,
    /// Its id is of another kind than [`Id`].
    BadId,
    /// It has no operation.
    NoOp,
    /// Its operation is one that this version does not know.
    UnknownOp,
    /// Its operation lacks a field, or a field has the wrong form.
    BadField,
}

impl RequestProblem {
    /// Returns the code that the client is told.
    pub fn code(self) -> ErrorCode {
        match self {
            Self::UnknownOp => ErrorCode::UnknownOp,
            _ => ErrorCode::BadRequest,
        }
    }
}

impl fmt::Display for RequestProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "not a JSON object on one line",
            Self::NotARequest => "not a request object",
            Self::NoId => "no \"id\"",
            Self::BadId => "\"id\" is neither a string nor a whole number of 64 bits",
            Self::NoOp => "no \"op\"",
            Self::UnknownOp => "unknown \"op\"",
            Self::BadField => "a field is missing or has the wrong form",
        })
    }
}

impl BadRequest {
    fn explain(line: &[u8], error: &serde_json::Error) -> Self {
        #[derive(Deserialize)]
        struct Head {
            id: Option<serde_json::Value>,
            op: Option<String>,
        }
        let Ok(head) = serde_json::from_slice::<Head>(line) else {
            let problem = if error.is_data() {
                RequestProblem::NotARequest
            } else {
                RequestProblem::NotJson
            };
            return Self {
                id: Id::Unknown,
                problem,
            };
        };
        let id = head.id.map_or(Ok(Id::Unknown), Id::deserialize);
        let problem = match (&id, head.op.as_deref()) {
            (Err(_), _) => RequestProblem::BadId,
            (Ok(Id::Unknown), _) => RequestProblem::NoId,
            (_, None) => RequestProblem::NoOp,
            (_, Some(op)) if !is_known(op) => RequestProblem::UnknownOp,
            _ => RequestProblem::BadField,
        };
        Self {
            id: id.unwrap_or_default(),
            problem,
        }
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problem.fmt(f)
    }
}

impl std::error::Error for BadRequest {}

fn is_known(op: &str) -> bool {
    matches!(
        op,
        "hello"
            | "token"
            | "credential"
            | "refused"
            | "confirm"
            | "configuration"
            | "start"
            | "approvals"
            | "decide"
            | "add"
            | "status"
            | "stop"
            | "watch"
            | "request"
            | "client_add"
            | "clients"
            | "client_remove"
            | "diagnose"
            | "hand_over"
            | "shutdown"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str) -> (Id, String) {
        let bad = Request::decode(line.as_bytes()).unwrap_err();
        (bad.id, bad.problem.to_string())
    }

    #[test]
    fn i_005_every_op_survives_the_wire() {
        let profile = Some("work".parse().unwrap());
        let ops = [
            Op::Hello { protocol: 1 },
            Op::Token {
                profile: profile.clone(),
                resource: Some("urn:d:x".into()),
                min_valid: Some(60),
                force: true,
                tool: Some("exec".into()),
            },
            Op::Credential {
                url: "https://git.example.com/a".into(),
                tool: "git".into(),
                refused: Some(7),
                interactive: true,
            },
            Op::Refused {
                url: "https://git.example.com/a".into(),
                tool: "git".into(),
                serial: Some(7),
            },
            Op::Confirm {
                number: 3,
                allow: true,
            },
            Op::Configuration {},
            Op::Start {
                url: "https://c".into(),
                profile: profile.clone(),
                resource: None,
                one_shot: true,
                keychain: Some(KeychainKind::Kernel),
            },
            Op::Approvals {
                profile: profile.clone(),
                watch: true,
            },
            Op::Decide {
                request: "k3Qz".into(),
                approve: true,
                profile: profile.clone(),
            },
            Op::Add {
                resource: "urn:d:x".into(),
                profile: profile.clone(),
            },
            Op::Status {
                profile: profile.clone(),
            },
            Op::Stop { profile, all: true },
            Op::Watch {},
            Op::Diagnose {},
            Op::HandOver {},
            Op::Shutdown {},
        ];
        for op in ops {
            let request = Request {
                id: Id::Text("a".into()),
                op,
            };
            let line = request.encode();
            assert_eq!(line.last(), Some(&b'\n'));
            assert_eq!(Request::decode(&line[..line.len() - 1]).unwrap(), request);
            let word = serde_json::to_value(&request).unwrap()["op"]
                .as_str()
                .unwrap()
                .to_owned();
            assert!(is_known(&word), "{word}");
        }
    }

    #[test]
    fn i_003_a_hand_typed_line_is_enough() {
        let request = Request::decode(br#"{"id":1,"op":"token"}"#).unwrap();
        assert_eq!(request.id, Id::from(1));
        assert_eq!(
            request.op,
            Op::Token {
                profile: None,
                resource: None,
                min_valid: None,
                force: false,
                tool: None,
            }
        );
        assert!(
            Request::decode(br#"{"id":"x","op":"watch","later":[1]}"#).is_ok(),
            "unknown fields are ignored"
        );
    }

    #[test]
    fn i_007_a_bad_line_is_explained_without_being_quoted() {
        let bad_field = "a field is missing or has the wrong form";
        for (line, id, text) in [
            ("hunter2", Id::Unknown, "not a JSON object on one line"),
            ("[1]", Id::Unknown, "not a request object"),
            (r#"{"op":"token"}"#, Id::Unknown, "no \"id\""),
            (r#"{"id":null,"op":"token"}"#, Id::Unknown, "no \"id\""),
            (r#"{"id":7}"#, Id::from(7), "no \"op\""),
            (r#"{"id":7,"op":"hunter2"}"#, Id::from(7), "unknown \"op\""),
            (r#"{"id":7,"op":"hello"}"#, Id::from(7), bad_field),
            (
                r#"{"id":7,"op":"token","profile":"../x"}"#,
                Id::from(7),
                bad_field,
            ),
            (
                r#"{"id":7,"op":"token","op":"stop"}"#,
                Id::Unknown,
                "not a request object",
            ),
        ] {
            assert_eq!(problem(line), (id, text.to_owned()), "{line}");
        }
    }

    #[test]
    fn i_006_an_op_from_the_future_has_a_code_of_its_own() {
        let code = |line: &str| Request::decode(line.as_bytes()).unwrap_err().problem.code();
        assert_eq!(code(r#"{"id":7,"op":"from 2030"}"#), ErrorCode::UnknownOp);
        assert_eq!(code(r#"{"id":7,"op":"hello"}"#), ErrorCode::BadRequest);
        assert_eq!(code("hunter2"), ErrorCode::BadRequest);
    }

    #[test]
    fn i_003_an_id_that_cannot_be_echoed_as_it_came_is_refused() {
        for id in [
            "1.5",
            "1e3",
            "18446744073709551616",
            "-9223372036854775809",
            "[]",
            "true",
        ] {
            let line = format!(r#"{{"id":{id},"op":"watch"}}"#);
            assert_eq!(
                problem(&line),
                (Id::Unknown, RequestProblem::BadId.to_string()),
                "{id}"
            );
        }
        for id in ["18446744073709551615", "-9223372036854775808", "0"] {
            let line = format!(r#"{{"id":{id},"op":"watch"}}"#);
            let request = Request::decode(line.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&request.id).unwrap(), id);
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let line = format!(r#"{{"id":1,"op":"watch","x":{}}}"#, "[".repeat(30_000));
        assert!(Request::decode(line.as_bytes()).is_err());
    }
}
