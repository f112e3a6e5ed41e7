//! HTTP to others. Each peer has the client that fits who named it: [`Http`] for a peer that the operator named,
//! [`UntrustedHttp`] for a URL that an OAuth client named.

mod address;
mod authorities;
mod endpoint;
mod error;
mod resolver;
#[cfg(test)]
pub(crate) mod stand_in;
mod trusted;
mod untrusted;

pub(crate) use self::authorities::Authorities;
pub(crate) use self::endpoint::notification_endpoint;
pub(crate) use self::error::CallError;
pub(crate) use self::trusted::Http;
pub(crate) use self::untrusted::{Rules, UntrustedHttp};

/// An answer, read to its end.
pub(crate) type Answer = http::Response<Vec<u8>>;

/// Reads an answer to its end.
async fn read(mut response: reqwest::Response, most: usize) -> Result<Answer, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > most {
            return Err(CallError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    let mut answer = Answer::new(body);
    *answer.status_mut() = response.status();
    *answer.headers_mut() = std::mem::take(response.headers_mut());
    Ok(answer)
}
