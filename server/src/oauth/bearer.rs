//! The token of an `Authorization: Bearer` header (RFC 6750 §2.1).

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// Returns the token; `None` without the header, when it is of another scheme, and when it was sent twice.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_bearer_token_is_found_in_one_header_of_its_scheme() {
        let token = |values: &[&'static str]| {
            let headers = values
                .iter()
                .map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
            bearer(&headers.collect()).map(str::to_owned)
        };
        assert_eq!(token(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(token(&["bEARER  abc "]).as_deref(), Some("abc"));
        for none in [
            &[][..],
            &["Basic abc"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a", "Bearer a"],
        ] {
            assert_eq!(token(none), None, "{none:?}");
        }
    }
}
