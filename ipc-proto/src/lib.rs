//! Wire 1, `ciba` ⇄ `cibad`: one JSON object a line over a Unix socket.
//!
//! Pure: no I/O, no clock, no runtime. Start with [`Request`] (what a client asks), [`Message`] (what the
//! daemon says back) and [`Lines`] (how both find the end of a line). `docs/ipc.md` is the same for people.
//!
//! Beside the messages stands only what both programs must decide alike: where the socket, the log and the
//! configuration lie, when a directory is trusted, which file is the installed program, how a login is typed
//! ([`ProfileName::login`], for hints) and which text a terminal may be given. What only one of them
//! needs is in that program.

#![forbid(unsafe_code)]

mod answer;
mod approval;
mod audit;
mod backchannel;
mod code;
mod configuration;
mod credential;
mod diagnosis;
mod keychain;
mod line;
mod plain;
mod profile;
mod program;
mod request;
mod socket;
mod state;

pub use answer::{
    Added, DecodeError, Event, Failure, Hello, Link, Message, ProfileStatus, Secret, SessionState, Started,
    Status, Stopped, Token, TokenFields, TokenStatus, encode_answer, encode_event, encode_failure,
    encode_token,
};
pub use approval::{AnswerAt, Approval, Decided, HANDLE, MIN_REQUEST_PREFIX, handle};
pub use audit::{AuditEntry, audit_file};
pub use backchannel::{
    Backchannel, ClientCredential, ClientKept, ClientMethod, Clients, Granted, GrantedFields, Hint,
    SecretText, encode_granted,
};
pub use code::ErrorCode;
pub use configuration::{Configuration, HostRule};
pub use credential::{Credential, MAX_TOOL, MAX_URL, Scheme, Service, encode_credential};
pub use diagnosis::{Check, Diagnosis, Verdict};
pub use keychain::{Kept, KeychainKind, KeychainKindError};
pub use line::{Lines, MAX_LINE, TooLong};
pub use plain::is_plain;
pub use profile::{ProfileName, ProfileNameError};
pub use program::started_as;
pub use request::{BadRequest, Id, Op, Request, RequestProblem};
pub use socket::{DirectoryFacts, DirectoryProblem, NotAbsolute, check_directory, socket_path};
pub use state::{configuration_file, state_directory};

/// The protocol both sides speak (I-004). Raised only when an old peer would misunderstand a new one.
pub const PROTOCOL: u32 = 1;

/// The resource a client means when it names none: the login's own access token.
pub const DEFAULT_RESOURCE: &str = "urn:d:unified-gateway";
