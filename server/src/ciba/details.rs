//! Rich authorization requests (RFC 9396): checked before anything is kept of them (C-130 … C-132).

use std::collections::BTreeMap;

use jsonschema::Validator;
use serde_json::Value;
use thiserror::Error;

use crate::config::DetailsType;
use crate::oauth::client::Client;
use crate::oauth::parameters::Parameters;
use crate::oauth::unique;
use crate::refusal::Refusal;

/// Bytes of `authorization_details`.
const MAX_BYTES: usize = 16 * 1024;

/// Objects in it.
const MAX_OBJECTS: usize = 16;

/// How deep arrays and objects may lie in each other, the outermost array counted.
const MAX_DEPTH: usize = 16;

const MALFORMED: Refusal = Refusal::invalid_authorization_details(
    "authorization_details is not a JSON array of 1 to 16 objects with a type, of at most 16384 bytes",
);
const BAD_TYPE: Refusal =
    Refusal::invalid_authorization_details("a type is unknown, or not allowed for the client");

const BREAKS_SCHEMA: Refusal =
    Refusal::invalid_authorization_details("an object does not have the members that its type asks for");

/// The types that the operator lists.
pub(super) struct Types(Option<BTreeMap<String, Option<Validator>>>);

/// A schema that is none.
#[derive(Debug, Error)]
#[error("ciba.details.{name}.schema: {problem}")]
pub(crate) struct SchemaError {
    name: String,
    problem: String,
}

impl Types {
    /// Prepares the types; without a list, every type is accepted.
    ///
    /// # Errors
    ///
    /// A type's schema is none, or needs another document: nothing is fetched.
    pub(super) fn new(listed: Option<&BTreeMap<String, DetailsType>>) -> Result<Self, SchemaError> {
        let prepared = |(name, kind): (&String, &DetailsType)| {
            let schema = kind.schema.as_ref().map(jsonschema::validator_for).transpose();
            let schema = schema.map_err(|error| SchemaError {
                name: name.clone(),
                problem: error.to_string(),
            })?;
            Ok((name.clone(), schema))
        };
        let types = listed.map(|listed| listed.iter().map(prepared).collect());
        types.transpose().map(Self)
    }

    fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|types| types.contains_key(name))
    }

    /// Whether the object is as its type's schema says (C-132).
    fn admits(&self, object: &Value) -> bool {
        let name = object.get("type").and_then(Value::as_str).unwrap_or_default();
        let schema = self.0.as_ref().and_then(|types| types.get(name)?.as_ref());
        schema.is_none_or(|schema| schema.is_valid(object))
    }
}

/// Reads `authorization_details`.
pub(super) fn read(
    parameters: &Parameters,
    client: &Client,
    known: &Types,
) -> Result<Option<Value>, Refusal> {
    let Some(text) = parameters.get("authorization_details") else {
        return Ok(None);
    };
    let details = parse(text).ok_or(MALFORMED)?;
    let allowed = |name: &str| {
        let own = client.metadata.authorization_details_types.as_deref();
        known.has(name) && own.is_none_or(|own| own.iter().any(|own| own == name))
    };
    if !types(&details).all(|name| name.is_some_and(allowed)) {
        return Err(BAD_TYPE);
    }
    if !details
        .as_array()
        .into_iter()
        .flatten()
        .all(|object| known.admits(object))
    {
        return Err(BREAKS_SCHEMA);
    }
    Ok(Some(details))
}

/// Returns the types of the objects, in their order; `None` for one that has none.
pub(super) fn types(details: &Value) -> impl Iterator<Item = Option<&str>> {
    let objects = details.as_array().into_iter().flatten();
    objects.map(|object| object.get("type").and_then(Value::as_str))
}

fn parse(text: &str) -> Option<Value> {
    let details = unique::parse(Some(text).filter(|text| text.len() <= MAX_BYTES)?)?;
    let objects = details.as_array()?;
    let has_type = |object: &Value| {
        object
            .get("type")
            .and_then(Value::as_str)
            .is_some_and(|name| !name.is_empty())
    };
    let is_well_formed = (1..=MAX_OBJECTS).contains(&objects.len()) && objects.iter().all(has_type);
    (is_well_formed && depth(&details) <= MAX_DEPTH).then_some(details)
}

/// The parser stops at a depth of 128, so this ends.
fn depth(value: &Value) -> usize {
    let deepest = |values: &mut dyn Iterator<Item = &Value>| values.map(depth).max().unwrap_or(0);
    match value {
        Value::Array(values) => 1 + deepest(&mut values.iter()),
        Value::Object(members) => 1 + deepest(&mut members.values()),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        format!(
            r#"[{{"type":"a","x":{}{}}}]"#,
            "[".repeat(depth - 2),
            "]".repeat(depth - 2)
        )
    }

    #[test]
    fn c_130_details_are_an_array_of_objects_with_a_type() {
        for good in [r#"[{"type":"a"}]"#, r#"[{"type":"a","n":1},{"type":"b"}]"#] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "[]",
            "{}",
            "[1]",
            r#"[{}]"#,
            r#"[{"type":""}]"#,
            r#"[{"type":1}]"#,
            r#"{"type":"a"}"#,
            "[",
            "null",
            r#"[{"type":"a","type":"a"}]"#,
            r#"[{"type":"a","x":{"y":1,"y":2}}]"#,
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn c_132_a_schema_is_one_and_needs_no_other_document() {
        let types = |schema: Value| {
            let kind = DetailsType { schema: Some(schema) };
            Types::new(Some(&BTreeMap::from([("pay".to_owned(), kind)]))).map(drop)
        };
        assert!(types(json!({ "required": ["amount"] })).is_ok());
        for wrong in [
            json!({ "type": "money" }),
            json!({ "required": "amount" }),
            json!({ "$ref": "https://schemas.example/pay.json" }),
            json!({ "$ref": "file:///etc/passwd" }),
        ] {
            let error = types(wrong).unwrap_err().to_string();
            assert!(error.starts_with("ciba.details.pay.schema: "), "{error}");
        }
    }

    #[test]
    fn c_130_details_are_limited_in_number_size_and_depth() {
        let many = |count: usize| format!("[{}]", vec![r#"{"type":"a"}"#; count].join(","));
        assert!(parse(&many(MAX_OBJECTS)).is_some() && parse(&many(MAX_OBJECTS + 1)).is_none());
        let long = |bytes: usize| {
            let empty = r#"[{"type":"a","x":""}]"#.len();
            format!(r#"[{{"type":"a","x":"{}"}}]"#, "x".repeat(bytes - empty))
        };
        assert!(parse(&long(MAX_BYTES)).is_some() && parse(&long(MAX_BYTES + 1)).is_none());
        assert!(parse(&nested(MAX_DEPTH)).is_some() && parse(&nested(MAX_DEPTH + 1)).is_none());
        assert!(parse(&nested(4_000)).is_none());
    }
}
