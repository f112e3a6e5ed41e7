//! The client proves itself: `client_secret_basic` or `client_secret_post` (RFC 6749 §2.3.1), never both.

use base64ct::{Base64, Encoding};
use http::{HeaderMap, header};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::config::Config;
use super::secret;
use crate::refusal::Refusal;

const TWO_WAYS: Refusal = Refusal::invalid_request("the client authenticates in two ways");
const UNKNOWN: Refusal = Refusal::invalid_client();

/// Checks the client's credentials from the `Authorization` header or from the form.
pub(super) fn authenticate(
    config: &Config,
    headers: &HeaderMap,
    form_id: Option<&str>,
    form_secret: Option<&str>,
) -> Result<(), Refusal> {
    match (headers.get(header::AUTHORIZATION), form_secret) {
        (Some(_), Some(_)) => Err(TWO_WAYS),
        (Some(value), None) => {
            let (id, secret) = basic(value.as_bytes()).ok_or(UNKNOWN)?;
            let same_client = form_id.is_none_or(|form_id| form_id == id);
            check(config, &id, &secret, same_client)
        }
        (None, Some(secret)) => check(config, form_id.unwrap_or_default(), secret, true),
        (None, None) => Err(UNKNOWN),
    }
}

fn check(config: &Config, id: &str, secret: &str, same_client: bool) -> Result<(), Refusal> {
    let right = secret::equal(&config.client_secret, secret) && config.client_id == id && same_client;
    right.then_some(()).ok_or(UNKNOWN)
}

/// Reads id and secret from a `Basic` header, whose two halves are form-encoded.
fn basic(value: &[u8]) -> Option<(String, Zeroizing<String>)> {
    let (scheme, encoded) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let decoded = Zeroizing::new(Base64::decode_vec(encoded.trim()).ok()?);
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (form_decoded(id), Zeroizing::new(form_decoded(secret))))
}

/// Decodes one form value; the library decodes whole `name=value` pairs.
fn form_decoded(value: &str) -> String {
    let pair = Zeroizing::new(format!("v={value}"));
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        let header = format!("bAsIc {}", Base64::encode_string(b"my+id:s%3Acret%3D="));
        let (id, secret) = basic(header.as_bytes()).expect("well formed");
        assert_eq!((id.as_str(), secret.as_str()), ("my id", "s:cret=="));
    }

    #[test]
    fn other_schemes_and_broken_base64_are_refused() {
        for header in ["Bearer aWQ6c2VjcmV0", "Basic ???", "Basic", "Basic aWQ="] {
            assert!(basic(header.as_bytes()).is_none(), "{header}");
        }
    }
}
