//! What a client is sent (CIBA Core §10.2, §10.3.1, §12). A body holds secrets: it is written into memory that is wiped.

use serde::Serialize;
use zeroize::Zeroizing;

/// A body of JSON.
pub(crate) type Body = Zeroizing<Vec<u8>>;

/// Bytes that are reserved for a body. A buffer that grows leaves copies behind, until the allocator wipes them.
const CAPACITY: usize = 8 * 1024;

/// Why a push client gets no tokens (CIBA Core §12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PushError {
    /// The person said no (C-366).
    AccessDenied,
    /// The person did not answer in time (C-367).
    ExpiredToken,
    /// The tokens could not be made (C-368).
    TransactionFailed,
}

#[derive(Serialize)]
struct Message<'a, T> {
    auth_req_id: &'a str,
    #[serde(flatten)]
    members: T,
}

#[derive(Serialize)]
struct Refused {
    error: PushError,
    error_description: &'static str,
}

#[derive(Serialize)]
struct Nothing {}

/// Returns what tells a ping client to ask (C-330).
pub(crate) fn ping(auth_req_id: &str) -> Body {
    message(auth_req_id, Nothing {})
}

/// Returns what gives a push client its tokens: the members of a token response (C-360).
pub(crate) fn push(auth_req_id: &str, token_response: &impl Serialize) -> Body {
    message(auth_req_id, token_response)
}

/// Returns what tells a push client that there are no tokens (C-366 … C-368).
pub(crate) fn push_error(auth_req_id: &str, error: PushError) -> Body {
    let error_description = error.description();
    message(
        auth_req_id,
        Refused {
            error,
            error_description,
        },
    )
}

fn message(auth_req_id: &str, members: impl Serialize) -> Body {
    let mut body = Zeroizing::new(Vec::with_capacity(CAPACITY));
    let message = Message { auth_req_id, members };
    serde_json::to_writer(&mut *body, &message).expect("members with text keys become JSON");
    body
}

impl PushError {
    fn description(self) -> &'static str {
        match self {
            Self::AccessDenied => "The person refused the request",
            Self::ExpiredToken => "The person did not answer in time",
            Self::TransactionFailed => "The tokens could not be made",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(body: &Body) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn c_330_a_ping_has_the_id_alone() {
        assert_eq!(&**ping("id-1"), br#"{"auth_req_id":"id-1"}"#);
    }

    #[test]
    fn c_360_a_push_has_the_members_of_the_token_response_and_the_id() {
        let response =
            json!({ "access_token": "a", "token_type": "Bearer", "expires_in": 600, "id_token": "i" });
        let mut expected = response.clone();
        expected["auth_req_id"] = "id-1".into();
        assert_eq!(read(&push("id-1", &response)), expected);
    }

    #[test]
    fn c_366_c_367_c_368_a_push_without_tokens_says_why() {
        for (error, code) in [
            (PushError::AccessDenied, "access_denied"),
            (PushError::ExpiredToken, "expired_token"),
            (PushError::TransactionFailed, "transaction_failed"),
        ] {
            let body = read(&push_error("id-1", error));
            assert_eq!(
                (&body["auth_req_id"], &body["error"]),
                (&"id-1".into(), &code.into())
            );
            assert_eq!(body.as_object().unwrap().len(), 3);
        }
    }
}
