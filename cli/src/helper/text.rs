//! The two kinds of text that a helper may print. Neither can hold a line end, so no answer of the daemon can add a line,
//! a field or a header to what a tool reads.

use ipc_proto::Secret;

/// A token that a header may carry (RFC 6750 §2.1, `b64token`). Wiped on drop, shown by nothing.
pub(crate) struct HeaderText(Secret);

impl HeaderText {
    /// Checks a token; `None` when a header cannot carry it.
    pub(crate) fn new(secret: Secret) -> Option<Self> {
        is_b64token(secret.expose()).then_some(Self(secret))
    }

    /// Returns the token itself.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(allowed)
}

/// A short text that prints: no control characters, nothing that hides or reorders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field(Box<str>);

impl Field {
    /// Checks a text; `None` when it does not print, or is empty.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let prints = !text.is_empty() && text.chars().all(ipc_proto::is_plain);
        prints.then(|| Self(text.into()))
    }

    /// Returns the text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::arbitrary;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_token_that_no_header_carries_is_no_header_text() {
        let header_text = |text: &str| HeaderText::new(Secret::from(text.to_owned()));
        for good in ["a", "eyJhbGciOi.J9-_~+/", "abc=="] {
            assert!(
                header_text(good).is_some_and(|text| text.expose() == good),
                "{good}"
            );
        }
        for bad in [
            "",
            "=",
            "a=b",
            "a b",
            "a\n",
            "a\r\nX: y",
            "a\0",
            "\"a\"",
            "a\\",
            "a,b",
            "ä",
            "a%0a",
        ] {
            assert!(header_text(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_field_stays_on_its_line() {
        for good in ["oauth2", "x-access-token", "Zoë", "a b", "a=b"] {
            assert!(
                Field::new(good).is_some_and(|field| field.as_str() == good),
                "{good}"
            );
        }
        for bad in [
            "",
            "a\n",
            "a\r",
            "a\0b",
            "\x1b[2J",
            "a\u{85}",
            "a\u{2028}b",
            "\u{202e}a",
        ] {
            assert!(Field::new(bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_may_be_printed_is_one_line(text in arbitrary::text()) {
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            if let Some(field) = Field::new(&text) {
                prop_assert!(field.as_str() == text && !text.contains(breaks));
            }
            if let Some(token) = HeaderText::new(Secret::from(text.clone())) {
                prop_assert!(token.expose() == text && text.bytes().all(|byte| byte.is_ascii_graphic()));
                prop_assert!(!text.contains(['"', '\\', ':', ',', ';', '\'', '`', '$']));
            }
        }
    }
}
