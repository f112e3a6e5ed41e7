//! A JSON value as the lines of a table: what a request's `authorization_details` say, for a person.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::oauth::plain::plain;

/// How deep a line is moved in; deeper ones stay there, so that a phone has room for their values.
const MAX_INDENT: usize = 6;

/// A line: a name, and a value unless the following lines are the value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// How far it is moved in: 0 to [`MAX_INDENT`].
    pub(super) indent: usize,
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// Returns the lines of an object's members but `left_out`, sorted by name (JSON has no order of its own); of an array's elements, which are numbered.
pub(super) fn rows(value: &Value, left_out: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, value) in members(value) {
        if !left_out.contains(&&*name) {
            push(&mut rows, 0, &name, value);
        }
    }
    rows
}

/// The input is no deeper than C-130 and C-113 allow.
fn push(rows: &mut Vec<Row>, depth: usize, name: &str, value: &Value) {
    rows.push(Row {
        indent: depth.min(MAX_INDENT),
        name: plain(name),
        value: scalar(value),
    });
    for (name, value) in members(value) {
        push(rows, depth + 1, &name, value);
    }
}

fn members(value: &Value) -> Vec<(String, &Value)> {
    match value {
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            let own = sorted.into_iter().map(|(name, value)| (name.clone(), value));
            own.collect()
        }
        Value::Array(elements) => (1..).map(|n: usize| n.to_string()).zip(elements).collect(),
        _ => Vec::new(),
    }
}

/// Returns what stands in one line; `None`: lines of its own.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".into()),
        Value::Bool(true) => Some("yes".into()),
        Value::Bool(false) => Some("no".into()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) if text.trim().is_empty() => Some("(empty)".into()),
        Value::String(text) => Some(plain(text)),
        Value::Array(elements) if elements.is_empty() => Some("(none)".into()),
        Value::Object(members) if members.is_empty() => Some("(none)".into()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(indent: usize, name: &str, value: Option<&str>) -> Row {
        Row {
            indent,
            name: name.into(),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn c_233_nested_details_are_lines_that_are_moved_in() {
        let details = json!({
            "type": "payment", "amount": { "currency": "EUR", "value": 12.5 },
            "to": ["a", { "b": null }], "urgent": true, "note": "", "more": [], "last": {},
        });
        assert_eq!(
            rows(&details, &["type"]),
            [
                row(0, "amount", None),
                row(1, "currency", Some("EUR")),
                row(1, "value", Some("12.5")),
                row(0, "last", Some("(none)")),
                row(0, "more", Some("(none)")),
                row(0, "note", Some("(empty)")),
                row(0, "to", None),
                row(1, "1", Some("a")),
                row(1, "2", None),
                row(2, "b", Some("null")),
                row(0, "urgent", Some("yes")),
            ]
        );
    }

    #[test]
    fn c_233_nothing_in_the_details_steers_the_text_and_nothing_is_left_out() {
        let spoof = json!({ "am\u{202e}ount": "\u{2066}1\n00\u{2069}" });
        assert_eq!(
            rows(&spoof, &[]),
            [row(0, "am\u{fffd}ount", Some("\u{fffd}1\u{fffd}00\u{fffd}"))]
        );
        let deep = (0..15).fold(json!("x"), |inner, _| json!({ "in": inner }));
        let rows = rows(&deep, &[]);
        assert_eq!(
            (rows.len(), rows[14].indent, rows[14].value.as_deref()),
            (15, MAX_INDENT, Some("x"))
        );
    }
}
