//! The parameters of a request as they came: read strictly, each once (C-006 … C-011). What they mean is up to the
//! endpoint.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use zeroize::Zeroizing;

use super::unique::Unique;
use crate::refusal::Refusal;

/// Parameters of one request; the body's limit is reached long before.
const MAX_PARAMETERS: usize = 256;

/// The only parameter that may come more than once (RFC 8707 §2).
const REPEATABLE: &str = "resource";

const BAD_TYPE: Refusal =
    Refusal::invalid_request("the content type is not application/x-www-form-urlencoded");
const TOO_LARGE: Refusal = Refusal::too_large("the body is too large");
const BROKEN: Refusal = Refusal::invalid_request("the body did not arrive");
const BAD_FORM: Refusal = Refusal::invalid_request("the form cannot be read");
const BAD_JSON: Refusal = Refusal::invalid_request("the body is not one JSON object of texts");
const REPEATED: Refusal = Refusal::invalid_request("a parameter is sent more than once");
const TOO_MANY: Refusal = Refusal::invalid_request("there are too many parameters");

/// The parameters of one request. They may be secrets: there is no `Debug`, and they are wiped.
#[derive(Default)]
pub(crate) struct Parameters(Vec<(String, Zeroizing<String>)>);

impl Parameters {
    /// Reads a form.
    pub(crate) fn of_form(headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Self, Refusal> {
        match media_type(headers) {
            Some("application/x-www-form-urlencoded") => Self::read_form(&arrived(body)?),
            _ => Err(BAD_TYPE),
        }
    }

    /// Reads a form, or one JSON object as the seed's clients send it (C-007).
    pub(crate) fn of_form_or_json(
        headers: &HeaderMap,
        body: Result<Bytes, BytesRejection>,
    ) -> Result<Self, Refusal> {
        match media_type(headers) {
            Some("application/json") => Self::read_json(&arrived(body)?),
            _ => Self::of_form(headers, body),
        }
    }

    /// Returns the parameter; an empty one counts as absent (C-010).
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns every value of a parameter that may come more than once.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| value.as_str())
    }

    /// Returns the names that are there.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Adds a parameter, unless it is empty (C-010).
    pub(crate) fn add(&mut self, name: &str, value: Zeroizing<String>) -> Result<(), Refusal> {
        if self.0.len() >= MAX_PARAMETERS {
            return Err(TOO_MANY);
        }
        if name != REPEATABLE && self.names().any(|own| own == name) {
            return Err(REPEATED);
        }
        if !value.is_empty() {
            self.0.push((name.to_owned(), value));
        }
        Ok(())
    }

    /// Adds a parameter that came as JSON: a text, or what C-007 and C-167 allow beside it.
    pub(crate) fn add_json(&mut self, name: &str, value: Value) -> Result<(), Refusal> {
        match (name, value) {
            (_, Value::String(text)) => self.add(name, text.into()),
            ("requested_expiry", Value::Number(number)) => self.add(name, number.to_string().into()),
            // Whether it is the right kind of JSON is for the reader of the parameter to say.
            ("authorization_details" | "agent_claims" | "request_context", value) => {
                self.add(name, value.to_string().into())
            }
            (REPEATABLE, Value::Array(values)) => values.into_iter().try_for_each(|value| match value {
                Value::String(text) => self.add(name, text.into()),
                _ => Err(BAD_JSON),
            }),
            _ => Err(BAD_JSON),
        }
    }

    fn read_form(body: &[u8]) -> Result<Self, Refusal> {
        let mut parameters = Self::default();
        let mut seen = Vec::new();
        for pair in body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let at = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
            let name = decoded(name)?;
            // An empty parameter is absent, but it was sent.
            if *name != *REPEATABLE && seen.contains(&name) {
                return Err(REPEATED);
            }
            parameters.add(&name, decoded(value)?)?;
            if seen.len() >= MAX_PARAMETERS {
                return Err(TOO_MANY);
            }
            seen.push(name);
        }
        Ok(parameters)
    }

    fn read_json(body: &[u8]) -> Result<Self, Refusal> {
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let read = deserializer.deserialize_map(Members).map_err(|_| BAD_JSON)?;
        deserializer.end().map_err(|_| BAD_JSON)?;
        read
    }
}

/// Returns the body; one that the client broke off is not too large (C-006).
fn arrived(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => TOO_LARGE,
        _ => BROKEN,
    })
}

/// Reads one value of a form. Broken encodings are refused: two readers could take them for different texts.
fn decoded(encoded: &[u8]) -> Result<Zeroizing<String>, Refusal> {
    let mut rest = encoded;
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => rest = &rest[at + 3..],
            _ => return Err(BAD_FORM),
        }
    }
    let spaced: Zeroizing<Vec<u8>> = encoded
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect::<Vec<_>>()
        .into();
    let text = percent_decode(&spaced).decode_utf8().map_err(|_| BAD_FORM)?;
    Ok(Zeroizing::new(Cow::into_owned(text)))
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default().trim();
    let known = ["application/x-www-form-urlencoded", "application/json"];
    known
        .into_iter()
        .find(|known| essence.eq_ignore_ascii_case(known))
}

/// Reads the members of a JSON object; a repeated one is refused, where a map would keep the last.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Result<Parameters, Refusal>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut parameters, mut seen) = (Parameters::default(), Vec::new());
        let mut result = Ok(());
        while let Some((name, Unique(value))) = map.next_entry::<String, Unique>()? {
            result = result.and_then(|()| match seen.contains(&name) {
                true => Err(REPEATED),
                false if seen.len() >= MAX_PARAMETERS => Err(TOO_MANY),
                false => parameters.add_json(&name, value),
            });
            if result.is_ok() {
                seen.push(name);
            }
        }
        Ok(result.map(|()| parameters))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(content_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
    }

    fn form(body: &'static str) -> Result<Vec<(String, String)>, Refusal> {
        let headers = headers("application/x-www-form-urlencoded; charset=utf-8");
        Parameters::of_form(&headers, Ok(Bytes::from(body))).map(listed)
    }

    fn json(body: &'static str) -> Result<Vec<(String, String)>, Refusal> {
        Parameters::of_form_or_json(&headers("Application/JSON"), Ok(Bytes::from(body))).map(listed)
    }

    fn listed(parameters: Parameters) -> Vec<(String, String)> {
        let pairs = parameters.0.into_iter();
        pairs.map(|(name, value)| (name, value.to_string())).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    #[test]
    fn c_006_a_form_is_read_strictly() {
        assert_eq!(
            form("a=b+c%2B%C3%A9&&d=%26=").unwrap(),
            pairs(&[("a", "b c+é"), ("d", "&=")])
        );
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff", "%=a", "a=\u{fffd}%80"] {
            assert_eq!(form(broken), Err(BAD_FORM), "{broken}");
        }
    }

    #[test]
    fn c_007_json_is_one_object_of_texts_but_for_three_members() {
        let read = json(
            r#"{"scope":"openid","requested_expiry":60,"authorization_details":[{"type":"a"}],"resource":["x","y"]}"#,
        );
        let expected = [
            ("scope", "openid"),
            ("requested_expiry", "60"),
            ("authorization_details", r#"[{"type":"a"}]"#),
            ("resource", "x"),
            ("resource", "y"),
        ];
        assert_eq!(read.unwrap(), pairs(&expected));
        for broken in [
            "",
            "[]",
            "{",
            r#"{"a":1}"#,
            r#"{"a":null}"#,
            r#"{"a":"b"} x"#,
            r#"{"resource":[1]}"#,
            r#"{"authorization_details":[{"type":"a","type":"b"}]}"#,
            "\"a\"",
        ] {
            assert_eq!(json(broken), Err(BAD_JSON), "{broken}");
        }
        assert_eq!(json(r#"{"a":"b","a":"b"}"#), Err(REPEATED));
    }

    #[test]
    fn c_008_another_content_type_is_refused() {
        for other in ["text/plain", "multipart/form-data", "application/jsonx"] {
            let read = Parameters::of_form_or_json(&headers(other), Ok(Bytes::new()));
            assert_eq!(read.err(), Some(BAD_TYPE), "{other}");
        }
        assert_eq!(
            Parameters::of_form(&HeaderMap::new(), Ok(Bytes::new())).err(),
            Some(BAD_TYPE)
        );
        assert_eq!(
            Parameters::of_form(&headers("application/json"), Ok(Bytes::new())).err(),
            Some(BAD_TYPE)
        );
    }

    #[test]
    fn c_009_only_resource_may_come_twice() {
        for repeated in ["a=1&a=1", "a=&a=1", "a=1&a=", "a&a", "a=1&%61=2"] {
            assert_eq!(form(repeated), Err(REPEATED), "{repeated}");
        }
        assert_eq!(
            form("resource=a&resource=b").unwrap(),
            pairs(&[("resource", "a"), ("resource", "b")])
        );
    }

    #[test]
    fn c_010_an_empty_parameter_is_absent() {
        assert_eq!(form("a=&b&c=1").unwrap(), pairs(&[("c", "1")]));
        assert_eq!(json(r#"{"a":""}"#).unwrap(), pairs(&[]));
    }

    #[test]
    fn parameters_are_counted() {
        let body = |count: usize| {
            (0..count)
                .map(|n| format!("p{n}=1"))
                .collect::<Vec<_>>()
                .join("&")
        };
        let read = |count| Parameters::read_form(body(count).as_bytes()).err();
        assert_eq!(
            (read(MAX_PARAMETERS), read(MAX_PARAMETERS + 1)),
            (None, Some(TOO_MANY))
        );
        let resources = "resource=a&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(Parameters::read_form(resources.as_bytes()).err(), Some(TOO_MANY));
    }
}
