//! HTTP with an OpenID provider: every exchange has a deadline, every answer a limit, and no redirect is followed.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder, Response};
use url::Url;
use zeroize::Zeroizing;

use super::error::RequestError;
use crate::issuer::Issuer;
use crate::server::client::{HttpError, client_for};
use crate::server::is_private;

/// Bytes of an answer that are read: it has to fit into a line of the local socket.
const MAX_ANSWER: usize = 48 * 1024;

/// Time for a question to the token endpoint. A provider may hold it for a minute (CIBA Core §10.1, long polling).
pub(super) const POLL_DEADLINE: Duration = Duration::from_secs(75);

/// The longest time for which a provider is left alone because it wants to be.
const LONGEST_REST: Duration = Duration::from_secs(60 * 60);

/// What speaks with one provider. It is made for one request: one that is kept would hold connections.
pub(super) struct Http {
    client: Client,
    scheme: String,
}

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// How long the provider wants to be left alone.
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Http {
    pub(super) fn with(issuer: &Issuer) -> Result<Self, HttpError> {
        let scheme = issuer.url().scheme();
        Ok(Self {
            client: client_for(scheme == "https")?,
            scheme: scheme.into(),
        })
    }

    /// Returns an address that the provider has named, if credentials may go there: it is as private as the issuer.
    pub(super) fn endpoint(&self, text: &str) -> Result<Url, RequestError> {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| is_private(url) && url.scheme() == self.scheme);
        url.ok_or(RequestError::Endpoint)
    }

    pub(super) async fn get(&self, url: Url) -> Result<Answer, HttpError> {
        answer(self.client.get(url)).await
    }

    /// Begins a POST.
    pub(super) fn post(&self, url: Url) -> RequestBuilder {
        self.client.post(url)
    }
}

/// Sends a request and reads its answer.
pub(super) async fn answer(request: RequestBuilder) -> Result<Answer, HttpError> {
    let mut response = request.send().await?;
    Ok(Answer {
        status: response.status(),
        retry_after: retry_after(&response),
        body: read(&mut response).await?,
    })
}

/// Reads the body. One that is too long is as good as none.
async fn read(response: &mut Response) -> Result<Zeroizing<Vec<u8>>, HttpError> {
    // Room from the start: a buffer that grows leaves copies behind.
    let mut body = Zeroizing::new(Vec::with_capacity(MAX_ANSWER));
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HttpError::Broken);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    rest(value.to_str().ok()?, SystemTime::now())
}

/// Reads the header: seconds, or a date (RFC 9110 §10.2.3).
fn rest(value: &str, now: SystemTime) -> Option<Duration> {
    let rest = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // A date that is past asks for no rest.
        Err(_) => {
            let until = httpdate::parse_http_date(value).ok()?;
            until.duration_since(now).unwrap_or_default()
        }
    };
    Some(rest.min(LONGEST_REST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_says_in_seconds_or_with_a_date_how_long_to_leave_it_alone() {
        // RFC 9110 §5.6.7 shows this moment in three forms.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        for (value, seconds) in [
            ("0", Some(0)),
            ("120", Some(120)),
            ("86400", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(90)),
            ("Sun Nov  6 08:49:37 1994", Some(90)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("99999999999999999999", None),
            ("soon", None),
        ] {
            assert_eq!(rest(value, now).map(|rest| rest.as_secs()), seconds, "{value}");
        }
    }

    #[test]
    fn credentials_go_only_where_it_is_as_private_as_the_issuer() {
        let at = |issuer: &str| Http::with(&Issuer::parse(issuer).unwrap()).ok().unwrap();
        let here = at("http://127.0.0.1:1");
        assert!(here.endpoint("http://localhost:2/token").is_ok());
        for elsewhere in [
            "http://op.example/token",
            "https://op.example/token",
            "/token",
            "",
            "file:///x",
        ] {
            assert!(here.endpoint(elsewhere).is_err(), "{elsewhere}");
        }
    }
}
