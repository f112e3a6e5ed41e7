//! The claims of a JWT (RFC 7519 §4), and the questions that every reader of one asks.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};

use crate::oauth::unique::Unique;

/// Claims, each named once (RFC 7519 §4). They may be secret: there is no `Debug`.
pub(crate) struct Claims(Map<String, Value>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Unique::deserialize(deserializer)? {
            Unique(Value::Object(claims)) => Ok(Self(claims)),
            _ => Err(D::Error::custom("claims are an object")),
        }
    }
}

/// When a JWT may be used (RFC 7519 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    /// Unix seconds; from then on it is not used.
    pub(crate) expires: Option<u64>,
    pub(crate) not_before: Option<u64>,
    pub(crate) issued_at: Option<u64>,
}

/// A time that is not a number of seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotATime;

impl Claims {
    /// Returns a claim as it is.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns a claim that is a text and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Whether `aud` names one of these: a text, or a list of texts (RFC 7519 §4.1.3).
    pub(crate) fn is_for(&self, audiences: &[&str]) -> bool {
        let names = |value: &Value| value.as_str().is_some_and(|text| audiences.contains(&text));
        match self.get("aud") {
            Some(Value::Array(list)) => list.iter().all(Value::is_string) && list.iter().any(names),
            Some(one) => names(one),
            None => false,
        }
    }

    /// Returns `exp`, `nbf` and `iat`.
    pub(crate) fn times(&self) -> Result<Times, NotATime> {
        Ok(Times {
            expires: self.time("exp")?,
            not_before: self.time("nbf")?,
            issued_at: self.time("iat")?,
        })
    }

    /// Returns all of them.
    pub(crate) fn into_inner(self) -> Map<String, Value> {
        self.0
    }

    /// Returns a NumericDate (RFC 7519 §2): whole seconds, a fraction is dropped.
    fn time(&self, name: &str) -> Result<Option<u64>, NotATime> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        let fraction = || value.as_f64().filter(|seconds| *seconds >= 0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it saturates"
        )]
        let seconds = value
            .as_u64()
            .or_else(|| fraction().map(|seconds| seconds as u64));
        seconds.map(Some).ok_or(NotATime)
    }
}

impl Times {
    /// Whether neither `nbf` nor `iat` is in the future, with this tolerance in seconds (C-077, C-163).
    pub(crate) fn have_begun(&self, now: u64, leeway: u64) -> bool {
        let begun = |time: Option<u64>| time.is_none_or(|time| time <= now.saturating_add(leeway));
        begun(self.not_before) && begun(self.issued_at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> Claims {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn c_076_an_audience_is_a_text_or_a_list_that_has_it() {
        for (aud, expected) in [
            (json!("us"), true),
            (json!("them"), false),
            (json!(["them", "us"]), true),
            (json!(["them"]), false),
            (json!([]), false),
            (json!(["us", 1]), false),
            (json!(1), false),
            (json!({ "us": 1 }), false),
            (json!("us2"), false),
            (json!("US"), false),
        ] {
            assert_eq!(claims(json!({ "aud": aud })).is_for(&["us"]), expected, "{aud}");
        }
        assert!(!claims(json!({})).is_for(&["us"]));
        assert!(claims(json!({ "aud": "b" })).is_for(&["a", "b"]));
    }

    #[test]
    fn a_time_is_a_number_of_seconds() {
        for (exp, expected) in [
            (json!(5), Ok(Some(5))),
            (json!(5.9), Ok(Some(5))),
            (json!(1e300), Ok(Some(u64::MAX))),
            (json!(-1), Err(NotATime)),
            (json!(-0.5), Err(NotATime)),
            (json!("5"), Err(NotATime)),
            (json!(null), Err(NotATime)),
        ] {
            let times = claims(json!({ "exp": exp })).times();
            assert_eq!(times.map(|times| times.expires), expected, "{exp}");
        }
        assert_eq!(claims(json!({})).times().unwrap().expires, None);
    }

    #[test]
    fn c_077_a_token_of_the_future_is_tolerated_for_the_leeway() {
        for name in ["nbf", "iat"] {
            let begun = |at: u64| claims(json!({ name: at })).times().unwrap().have_begun(100, 30);
            assert!(begun(130) && begun(0), "{name}");
            assert!(!begun(131) && !begun(u64::MAX), "{name}");
        }
    }
}
