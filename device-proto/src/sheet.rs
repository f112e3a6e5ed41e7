//! How much of a request a person's terminal shows (D-066). The server lets a terminal approve what it shows whole, and
//! nothing else: both ends go by these limits. Pure.

use serde_json::{Map, Value};

/// Characters of one text. A binding message (C-105) always fits.
pub const MAX_TEXT: usize = 256;

/// Lines of a list or a table.
pub const MAX_LINES: usize = 60;

/// Levels of a table.
pub const MAX_DEPTH: usize = 8;

/// Whether a text is shown whole.
pub fn fits_text(text: &str) -> bool {
    text.chars().count() <= MAX_TEXT
}

/// Whether a list is shown whole, which has a line for each text.
pub fn fits_list(texts: &[String]) -> bool {
    texts.len() <= MAX_LINES && texts.iter().all(|text| fits_text(text))
}

/// Whether `authorization_details` (RFC 9396) are shown whole: a table of each object's members under its type.
pub fn fits_details(details: &Value) -> bool {
    let lines = match details {
        Value::Array(items) => items.iter().map(detail).sum(),
        other => lines(other, 0),
    };
    lines.is_some_and(|lines| lines <= MAX_LINES)
}

/// Whether an object is shown whole, as a table of its members.
pub fn fits_statement(statement: &Value) -> bool {
    lines(statement, 0).is_some_and(|lines| lines <= MAX_LINES)
}

/// Returns how many lines an element of `authorization_details` has; `None`: some of it is not shown.
fn detail(item: &Value) -> Option<usize> {
    let Value::Object(members) = item else {
        return lines(item, 0);
    };
    // The type, a text (C-130), is the first line.
    let heading = usize::from(!members.contains_key("type"));
    Some(heading + of_members(members, 1)?)
}

/// Returns how many lines a value has; `None`: some of it is not shown.
fn lines(value: &Value, depth: usize) -> Option<usize> {
    match value {
        _ if depth >= MAX_DEPTH => None,
        Value::Object(members) if !members.is_empty() => of_members(members, depth),
        Value::Array(items) if !items.is_empty() => items.iter().map(|item| entry(item, depth)).sum(),
        _ => entry(value, depth),
    }
}

fn of_members(members: &Map<String, Value>, depth: usize) -> Option<usize> {
    let of_member = |(name, value): (&String, &Value)| fits_text(name).then(|| entry(value, depth))?;
    members.iter().map(of_member).sum()
}

/// A line of its own, and further ones for what lies inside.
fn entry(value: &Value, depth: usize) -> Option<usize> {
    match value {
        Value::Object(members) if !members.is_empty() => Some(1 + lines(value, depth + 1)?),
        Value::Array(items) if !items.is_empty() => Some(1 + lines(value, depth + 1)?),
        Value::String(text) => fits_text(text).then_some(1),
        _ => fits_text(&value.to_string()).then_some(1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn d_066_a_text_fits_up_to_its_limit_in_characters() {
        assert!(fits_text(&"ü".repeat(MAX_TEXT)) && !fits_text(&"x".repeat(MAX_TEXT + 1)));
        assert!(
            fits_text(&"\u{1f600}".repeat(crate::approval::MAX_BINDING_MESSAGE)),
            "C-105"
        );
        let texts = |count| vec!["x".to_owned(); count];
        assert!(fits_list(&texts(MAX_LINES)) && !fits_list(&texts(MAX_LINES + 1)));
        assert!(!fits_list(&["x".repeat(MAX_TEXT + 1)]));
    }

    #[test]
    fn d_066_a_table_fits_up_to_its_lines_its_levels_and_the_length_of_each_text() {
        let list = |count: usize| json!([{ "type": "x", "list": vec![1; count] }]);
        assert!(fits_details(&list(MAX_LINES - 2)) && !fits_details(&list(MAX_LINES - 1)));
        let objects = |count: usize| json!(vec![json!({ "type": "x" }); count]);
        assert!(fits_details(&objects(MAX_LINES)) && !fits_details(&objects(MAX_LINES + 1)));
        let deep = |levels| (0..levels).fold(json!(1), |inner, _| json!({ "in": inner }));
        assert!(fits_statement(&deep(MAX_DEPTH)) && !fits_statement(&deep(MAX_DEPTH + 1)));
        let long = "y".repeat(MAX_TEXT + 1);
        for cut in [
            json!([{ "type": long }]),
            json!([{ "type": "x", "a": long }]),
            json!([{ "type": "x", "a": { "b": [[long]] } }]),
            json!([{ "type": "x", long.clone(): 1 }]),
            json!([{ "type": "x", long: { "a": 1 } }]),
        ] {
            assert!(!fits_details(&cut), "{cut}");
        }
    }
}
