//! The POST that begins a login (D-002): the verifier goes out, the page for the person comes back. What the
//! server answers is believed only as far as it was checked here.

use std::time::Duration;

use device_proto::{RequestId, ResourceUrn, Verifier};
use http::StatusCode;
use http::header::RETRY_AFTER;
use reqwest::Response;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::printable::printable;
use crate::server::client::{HttpError, client};
use crate::server::{self, Server};

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 16 * 1024;

/// Characters of this machine's name that are told; servers refuse more than 80.
const MAX_NAME: usize = 64;

/// Characters of a page's address.
const MAX_PAGE: usize = 2048;

/// Characters of a user code.
const MAX_CODE: usize = 32;

/// Seconds a page may be said to work for.
const LONGEST_LOGIN: u64 = 24 * 60 * 60;

/// A login that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    /// The session's name.
    pub(crate) request: RequestId,
    /// The page for the person.
    pub(crate) page: String,
    /// What the page shows, for comparison.
    pub(crate) user_code: String,
    /// How long the page works.
    pub(crate) expires_in: Duration,
}

/// Why no login begins.
#[derive(Debug, Error)]
pub(crate) enum AuthorizeError {
    #[error(transparent)]
    Http(#[from] HttpError),
    /// No server was reached. Its URL may be mistyped.
    #[error("{error}")]
    Unreached { origin: String, error: HttpError },
    #[error("too many logins were begun from here")]
    Busy {
        /// Seconds.
        retry_after: Option<u64>,
    },
    /// The server said why, in OAuth's form. Its words are not yet fit to be shown.
    #[error("the server refused")]
    Refused { error: String, description: String },
}

/// Begins a login at the server.
pub(crate) async fn authorize(
    server: &Server,
    verifier: &Verifier,
    resource: &ResourceUrn,
) -> Result<Begun, AuthorizeError> {
    let pushed = Pushed {
        verifier,
        resource,
        device_name: device_name(),
    };
    let post = client(server)?.post(server.authorize()).json(&pushed);
    let mut response = post.send().await.map_err(|error| unsent(server, error.into()))?;
    let body = read(&mut response).await?;
    if response.status().is_success() {
        Ok(begun(&body).ok_or(HttpError::NotAServer)?)
    } else {
        Err(refusal(&response, &body))
    }
}

fn unsent(server: &Server, error: HttpError) -> AuthorizeError {
    match error {
        HttpError::Unreachable(_) | HttpError::Slow => AuthorizeError::Unreached {
            origin: server.origin(),
            error,
        },
        _ => error.into(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pushed<'a> {
    verifier: &'a Verifier,
    resource: &'a ResourceUrn,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_name: Option<String>,
}

/// Returns what the page calls this device.
fn device_name() -> Option<String> {
    let uname = rustix::system::uname();
    let name = printable(&uname.nodename().to_string_lossy(), MAX_NAME);
    (!name.is_empty()).then_some(name)
}

/// Reads the body, but no more of it than a server needs to say.
async fn read(response: &mut Response) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HttpError::NotAServer);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    request_id: RequestId,
    url: String,
    expires_in: u64,
    user_code: String,
}

/// Returns what the answer says, if every part of it can be used and shown.
fn begun(body: &[u8]) -> Option<Begun> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let page = (answer.url.len() <= MAX_PAGE).then_some(answer.url)?;
    let shown = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    let code = shown(&answer.user_code) && answer.user_code.len() <= MAX_CODE;
    let page_is_safe = server::is_private(&Url::parse(&page).ok()?) && shown(&page);
    let fits = code && page_is_safe && (1..=LONGEST_LOGIN).contains(&answer.expires_in);
    fits.then_some(Begun {
        request: answer.request_id,
        page,
        user_code: answer.user_code,
        expires_in: Duration::from_secs(answer.expires_in),
    })
}

/// Reads why a login was not begun.
fn refusal(response: &Response, body: &[u8]) -> AuthorizeError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = retry_after(response);
        return AuthorizeError::Busy { retry_after };
    }
    if status.is_server_error() {
        return HttpError::Fault(status.as_u16()).into();
    }
    match serde_json::from_slice(body) {
        Ok(Refusal {
            error,
            error_description: description,
        }) if status.is_client_error() => AuthorizeError::Refused { error, description },
        _ => HttpError::NotAServer.into(),
    }
}

fn retry_after(response: &Response) -> Option<u64> {
    let wait = response.headers().get(RETRY_AFTER)?;
    wait.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use device_proto::Challenge;
    use ipc_proto::{ErrorCode, Failure};

    use super::*;
    use crate::fake::{Fake, http};
    use crate::tls;

    async fn answered(answer: &[u8]) -> Result<Begun, Failure> {
        let fake = Fake::new().await;
        fake.state().answer = Some(answer.to_vec());
        at(&fake.url()).await
    }

    async fn at(url: &str) -> Result<Begun, Failure> {
        tls::install();
        let server = Server::parse(url).unwrap();
        let verifier = Challenge::new(&[5; 32]).verifier();
        let begun = authorize(&server, &verifier, &ResourceUrn::default()).await;
        begun.map_err(Failure::from)
    }

    async fn refused(answer: &[u8]) -> Failure {
        answered(answer).await.unwrap_err()
    }

    fn begun(url: &str, expires_in: &str, user_code: &str) -> String {
        format!(r#"{{"requestId":"r","url":"{url}","expiresIn":{expires_in},"userCode":"{user_code}"}}"#)
    }

    #[tokio::test]
    async fn d_002_a_login_begins() {
        let fake = Fake::new().await;
        let begun = at(&fake.url()).await.unwrap();
        assert_eq!(begun.request.as_str(), crate::fake::SESSION);
        assert_eq!(begun.expires_in.as_secs(), 600);
    }

    #[tokio::test]
    async fn what_is_no_ciba_server_is_said_to_be_none() {
        let huge = begun("https://c/x", "600", "AB") + " ".repeat(MAX_ANSWER).as_str();
        let moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        for answer in [
            http("200 OK", "<html>Welcome to the hotel's network</html>"),
            http("200 OK", ""),
            http("200 OK", "{}"),
            http("404 Not Found", "nothing here"),
            http("200 OK", &huge),
            moved.to_vec(),
        ] {
            let failure = refused(&answer).await;
            assert_eq!(failure.code, ErrorCode::ServerUnreachable);
            assert_eq!(failure.message, "what answers at this URL is no ciba-server");
        }
        for broken in [&b"garbage\r\n\r\n"[..], b""] {
            assert_eq!(refused(broken).await.code, ErrorCode::ServerUnreachable);
        }
    }

    #[tokio::test]
    async fn a_page_that_must_not_be_opened_is_not_shown() {
        for page in [
            "http://evil.example/login",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://c/\\u001b[2J",
            "https://c/a b",
            "/login/1",
        ] {
            assert!(
                answered(&http("200 OK", &begun(page, "600", "AB")))
                    .await
                    .is_err(),
                "{page}"
            );
        }
        for (expires_in, code) in [
            ("0", "AB"),
            ("86401", "AB"),
            ("600", ""),
            ("600", "A\\u001b"),
            ("-1", "AB"),
        ] {
            let answer = http("200 OK", &begun("https://c/x", expires_in, code));
            assert!(answered(&answer).await.is_err(), "{expires_in} {code}");
        }
        assert!(
            answered(&http("200 OK", &begun("https://c/x", "600", "AB")))
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn d_004_each_refusal_has_its_code() {
        let busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        let failure = refused(busy).await;
        assert_eq!(
            (failure.code, failure.hint.as_deref()),
            (ErrorCode::Busy, Some("try again in 7 s"))
        );
        let target = r#"{"error":"invalid_target","error_description":"No such resource."}"#;
        let failure = refused(&http("400 Bad Request", target)).await;
        assert_eq!(
            (failure.code, failure.message.as_str()),
            (ErrorCode::InvalidTarget, "No such resource.")
        );
        let request = refused(&http("400 Bad Request", r#"{"error":"invalid_request"}"#)).await;
        assert_eq!(request.code, ErrorCode::BadRequest);
        let fault = refused(&http("503 Service Unavailable", target)).await;
        assert_eq!(fault.code, ErrorCode::ServerUnreachable);
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_unreachable() {
        let mut fake = Fake::new().await;
        fake.go_down().await;
        let failure = at(&fake.url()).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::ServerUnreachable);
        let message = format!(
            "{}: the server cannot be reached: it refuses the connection",
            fake.url()
        );
        assert_eq!(failure.message, message);
        assert_eq!(
            failure.hint.as_deref(),
            Some("check the URL; is the server running?")
        );
    }

    #[tokio::test]
    async fn why_a_server_is_unreachable_is_said_and_where_and_no_more_of_the_url() {
        // A label this long is no name, so no network is asked.
        let name = "x".repeat(64);
        let failure = at(&format!("https://{name}.example:9/base")).await.unwrap_err();
        let message =
            format!("https://{name}.example:9: the server cannot be reached: its name is not known");
        assert_eq!(failure.message, message);
        let fake = Fake::new().await;
        let https = fake.url().replace("http://", "https://");
        let failure = at(&https).await.unwrap_err();
        let message = format!("{https}: the server cannot be reached: it does not speak TLS");
        assert_eq!(failure.message, message);
    }

    #[tokio::test]
    async fn a_certificate_that_is_not_valid_is_named() {
        let server = crate::fake::Tls::new().await;
        let failure = at(&server.url()).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::ServerUnreachable);
        assert_eq!(
            failure.message,
            "the server's certificate is not valid: this system does not trust its issuer"
        );
    }
}
