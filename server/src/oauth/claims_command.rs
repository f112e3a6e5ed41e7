//! Claims that a program of the operator's adds to access tokens (C-305). It is asked once for a grant, before there are any
//! tokens; refreshed tokens say the same.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::grants::Grant;
use crate::program::{Program, ProgramError};

/// How long the program may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of its answer: a token travels in a header.
const MAX_ANSWER: usize = 4 * 1024;

/// Programs at once.
const MAX_AT_ONCE: usize = 16;

/// The claims that say who, what and how long: they are the server's own.
const RESERVED: [&str; 16] = [
    "acr",
    "act",
    "agent",
    "aud",
    "auth_time",
    "authorization_details",
    "client_id",
    "cnf",
    "exp",
    "grant",
    "iat",
    "iss",
    "jti",
    "nbf",
    "scope",
    "sub",
];

/// The program.
pub(crate) struct ClaimsCommand {
    program: Program,
    at_once: Semaphore,
    within: Duration,
}

/// The program gave no claims.
#[derive(Debug, Error)]
pub(crate) enum ClaimsError {
    #[error("the claims command: {0}")]
    Program(#[from] ProgramError),
    #[error("the claims command took too long and was ended")]
    Late,
    #[error("the claims command does not answer with a JSON object")]
    NoObject,
    #[error("the claims command answers with a claim of the server's own")]
    Reserved,
}

/// What the program reads. It holds what a person decided: there is no `Debug`.
#[derive(Serialize)]
struct Asked<'a> {
    r#type: &'static str,
    client_id: &'a str,
    sub: Option<&'a str>,
    scope: String,
    resources: &'a [String],
    authorization_details: Option<&'a Value>,
    agent: Option<&'a Value>,
    auth_time: Option<u64>,
    acr: Option<&'a str>,
}

impl ClaimsCommand {
    pub(crate) fn new(argv: Vec<String>) -> Self {
        Self {
            program: Program::new(argv),
            at_once: Semaphore::new(MAX_AT_ONCE),
            within: ANSWER_WITHIN,
        }
    }

    /// Asks for the claims of a grant.
    pub(super) async fn claims(&self, grant: &Grant) -> Result<Map<String, Value>, ClaimsError> {
        let asked = serde_json::to_vec(&Asked::of(grant)).expect("texts and numbers always serialize");
        let ask = async {
            let _place = self.at_once.acquire().await.expect("it is never closed");
            self.program.ask(&asked, MAX_ANSWER).await
        };
        let answer = tokio::time::timeout(self.within, ask).await;
        let answer = answer.map_err(|_| ClaimsError::Late)??;
        let claims: Map<String, Value> =
            serde_json::from_slice(&answer).map_err(|_| ClaimsError::NoObject)?;
        if claims.keys().any(|name| RESERVED.contains(&name.as_str())) {
            return Err(ClaimsError::Reserved);
        }
        Ok(claims)
    }
}

impl<'a> Asked<'a> {
    fn of(grant: &'a Grant) -> Self {
        Self {
            r#type: "ciba.access_token",
            client_id: &grant.client_id,
            sub: grant.sub.as_deref(),
            scope: grant.scope.join(" "),
            resources: &grant.resources,
            authorization_details: grant.authorization_details.as_ref(),
            agent: grant.agent.as_ref(),
            auth_time: grant.auth_time,
            acr: grant.acr.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shell(script: &str) -> ClaimsCommand {
        ClaimsCommand::new(["/bin/sh", "-c", script].map(String::from).to_vec())
    }

    async fn asked(script: &str) -> Result<Value, String> {
        let mut grant = Grant::new("agent", Some("alice"), vec!["openid".into(), "pay".into()]);
        grant.authorization_details = Some(json!([{ "type": "pay" }]));
        let claims = shell(script).claims(&grant).await;
        claims.map(Value::Object).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn c_305_the_program_reads_the_grant_and_answers_with_claims() {
        assert_eq!(asked("printf '{\"tier\": 2}'").await, Ok(json!({ "tier": 2 })));
        let echo = asked("printf '{\"read\":'; cat; printf '}'").await.unwrap();
        assert_eq!(
            echo["read"],
            json!({
                "type": "ciba.access_token", "client_id": "agent", "sub": "alice", "scope": "openid pay", "resources": [],
                "authorization_details": [{ "type": "pay" }], "agent": null, "auth_time": null, "acr": null,
            })
        );
    }

    #[tokio::test]
    async fn c_305_whatever_is_no_object_of_new_claims_is_a_failure() {
        for (script, told) in [
            ("printf '{}'; exit 3", "exit status: 3"),
            ("printf '[]'", "JSON object"),
            ("true", "JSON object"),
            ("head -c 5000 /dev/zero", "too long"),
            ("printf '{\"sub\": \"bob\"}'", "of the server's own"),
            ("printf '{\"scope\": \"all\"}'", "of the server's own"),
        ] {
            let error = asked(script).await.unwrap_err();
            assert!(error.contains(told), "{script}: {error}");
        }
        let missing = ClaimsCommand::new(vec!["/no/such/program".into()]);
        let grant = Grant::new("agent", None, Vec::new());
        assert!(missing.claims(&grant).await.is_err());
        let mut slow = shell("sleep 1000");
        slow.within = Duration::from_millis(50);
        assert!(matches!(slow.claims(&grant).await, Err(ClaimsError::Late)));
    }
}
