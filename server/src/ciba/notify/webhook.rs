//! Telling a person through a server of the operator's: the notice as JSON in a POST, signed as Standard Webhooks says
//! (standardwebhooks.com, version 1).

use base64ct::{Base64, Base64UrlUnpadded, Encoding as _};
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CONTENT_TYPE;
use sha2::Sha256;
use url::Url;
use zeroize::Zeroizing;

use super::error::NotifyError;
use super::notice::Notice;
use crate::clock::now;
use crate::config;
use crate::outgoing::{Authorities, CallError, Http};
use crate::random::random;

/// The server that is told.
pub(super) struct Webhook {
    http: Http,
    url: Url,
    key: Zeroizing<Vec<u8>>,
}

impl Webhook {
    pub(super) fn new(settings: &config::Webhook, authorities: &Authorities) -> Result<Self, CallError> {
        Ok(Self {
            http: Http::trusting(authorities, &settings.url)?,
            url: settings.url.clone(),
            key: settings.secret.clone(),
        })
    }

    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), NotifyError> {
        let body = Bytes::from_owner(notice.json());
        let id = format!("msg_{}", Base64UrlUnpadded::encode_string(&random::<16>()));
        let timestamp = now().seconds();
        let request = self
            .http
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-signature", signature(&self.key, &id, timestamp, &body))
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .body(body);
        let answer = self.http.fetch(request.build().map_err(CallError::from)?).await?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(NotifyError::Status(status.as_u16())),
        }
    }
}

/// Signs a message: its id, the time and the body.
fn signature(key: &[u8], id: &str, timestamp: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", Base64::encode_string(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn c_210_a_signature_is_that_of_standard_webhooks() {
        let key = Base64::decode_vec("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = br#"{"test": 2432232314}"#;
        assert_eq!(
            signature(&key, id, 1_614_265_330, body),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
