//! JSON of a client's, as an indented table for people. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::cut::{MAX_VALUE, cut, is_too_long};
use super::width::{padded, usual};

/// Lines of a table.
const MAX_LINES: usize = 60;

/// Levels of a table. Deeper ones are left out.
const MAX_DEPTH: usize = 8;

/// Characters of a key beside which the values of its neighbours are aligned.
const MAX_KEY: usize = 24;

/// Columns by which a level is moved in.
const INDENT: usize = 2;

/// The lines of a table, and whether there would have been more.
#[derive(Default)]
pub(super) struct Table {
    pub(super) lines: Vec<Line>,
    pub(super) is_cut: bool,
}

/// A line of a table.
pub(super) struct Line {
    pub(super) text: String,
    /// The column in which its value begins, and goes on when it is long.
    pub(super) hang: usize,
}

/// Returns the table of authorization details (RFC 9396): each object under its type.
pub(super) fn of_authorization(text: &str) -> Table {
    let mut table = Table::default();
    match serde_json::from_str(text) {
        Ok(Value::Array(items)) => {
            for item in items {
                table.detail(item);
            }
        }
        _ => table.line(0, text),
    }
    table
}

/// Returns the table of an object.
pub(super) fn of_statement(text: &str) -> Table {
    let mut table = Table::default();
    match serde_json::from_str(text) {
        Ok(value) => table.value(0, &value),
        Err(_) => table.line(0, text),
    }
    table
}

impl Table {
    /// Returns a line for each text.
    pub(super) fn of_list(texts: &[String]) -> Self {
        let mut table = Self::default();
        texts.iter().for_each(|text| table.line(0, text));
        table
    }

    fn detail(&mut self, item: Value) {
        let Value::Object(mut members) = item else {
            return self.value(0, &item);
        };
        match members.remove("type") {
            Some(Value::String(name)) => self.line(0, &name),
            Some(other) => self.line(0, &other.to_string()),
            None => self.line(0, "without a type"),
        }
        self.members(1, &members);
    }

    fn value(&mut self, depth: usize, value: &Value) {
        match value {
            Value::Object(members) if !members.is_empty() => self.members(depth, members),
            Value::Array(items) if !items.is_empty() => items.iter().for_each(|item| self.item(depth, item)),
            _ => self.line(depth, &scalar(value).unwrap_or_default()),
        }
    }

    fn members(&mut self, depth: usize, members: &Map<String, Value>) {
        // JSON has no order of its own; how it is parsed must not matter.
        let members: BTreeMap<_, _> = members.iter().collect();
        let scalars = members.iter().filter(|(_, value)| scalar(value).is_some());
        let width = scalars.map(|(key, _)| usual(&cut(key, MAX_KEY))).max();
        for (key, value) in members {
            self.is_cut |= is_too_long(key);
            let shown = cut(key, MAX_VALUE);
            match scalar(value) {
                Some(text) => self.pair(depth, &shown, width.unwrap_or(0), &text),
                None => {
                    self.line(depth, &shown);
                    self.nested(depth, value);
                }
            }
        }
    }

    fn item(&mut self, depth: usize, item: &Value) {
        match scalar(item) {
            Some(text) => self.pair(depth, "-", 0, &text),
            None => {
                self.line(depth, "-");
                self.nested(depth, item);
            }
        }
    }

    fn nested(&mut self, depth: usize, value: &Value) {
        if depth + 1 < MAX_DEPTH {
            self.value(depth + 1, value);
        } else {
            self.line(depth + 1, "…");
            self.is_cut = true;
        }
    }

    fn pair(&mut self, depth: usize, key: &str, width: usize, value: &str) {
        self.is_cut |= is_too_long(value);
        let gap = if width == 0 { " " } else { "  " };
        let hang = width.max(1) + gap.len();
        let key = padded(key, width);
        self.push(depth, hang, &format!("{key}{gap}{}", cut(value, MAX_VALUE)));
    }

    fn line(&mut self, depth: usize, text: &str) {
        self.is_cut |= is_too_long(text);
        self.push(depth, 0, &cut(text, MAX_VALUE));
    }

    fn push(&mut self, depth: usize, hang: usize, text: &str) {
        let indent = INDENT * depth;
        match self.lines.len() {
            0..MAX_LINES => self.lines.push(Line {
                text: format!("{}{text}", " ".repeat(indent)),
                hang: indent + hang.max(2 * INDENT),
            }),
            MAX_LINES => {
                self.lines.push(Line {
                    text: "…".into(),
                    hang: 0,
                });
                self.is_cut = true;
            }
            _ => {}
        }
    }
}

/// Returns what stands on one line; `None` for what has lines of its own.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.is_empty() => Some("\"\"".into()),
        Value::String(text) => Some(text.clone()),
        Value::Array(items) if items.is_empty() => Some("none".into()),
        Value::Object(members) if members.is_empty() => Some("none".into()),
        Value::Array(_) | Value::Object(_) => None,
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use device_proto::sheet;
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> String {
        let lines = of_authorization(text).lines.into_iter();
        lines.map(|line| line.text).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn c_211_details_are_a_table_each_under_its_type() {
        let text = r#"[
            {"type": "payment", "to": {"name": "Bob", "iban": "DE02"}, "amount": 20.5, "fees": [], "final": true},
            {"type": "files", "actions": ["read", {"write": {"below": "/tmp"}}], "why": ""},
            "odd"
        ]"#;
        assert_eq!(
            lines(text),
            "\
payment
  amount  20.5
  fees    none
  final   true
  to
    iban  DE02
    name  Bob
files
  actions
    - read
    -
      write
        below  /tmp
  why  \"\"
odd"
        );
    }

    #[test]
    fn what_is_no_json_or_of_another_form_is_shown_as_it_is() {
        assert_eq!(lines("not json"), "not json");
        assert_eq!(lines(r#"{"type":"x"}"#), r#"{"type":"x"}"#);
        assert_eq!(lines(r#"[{"amount":1}]"#), "without a type\n  amount  1");
        assert_eq!(lines("[]"), "");
    }

    #[test]
    fn what_is_left_out_is_marked_and_said() {
        let many = serde_json::json!([{"type": "x", "list": vec![1; 1_000]}]).to_string();
        let table = of_authorization(&many);
        assert_eq!((table.lines.len(), table.is_cut), (MAX_LINES + 1, true));
        assert_eq!(table.lines.last().map(|line| &*line.text), Some("…"));

        let deep = format!("[{{\"type\":\"x\",\"a\":{}1{}}}]", "[".repeat(15), "]".repeat(15));
        let table = of_authorization(&deep);
        assert!(table.is_cut && table.lines.len() <= MAX_DEPTH + 2);

        for long in [
            serde_json::json!([{"type": "x", "a": "y".repeat(MAX_VALUE + 1)}]),
            serde_json::json!([{"type": "y".repeat(MAX_VALUE + 1)}]),
            serde_json::json!([{"type": "x", "y".repeat(MAX_VALUE + 1): {"a": 1}}]),
            serde_json::json!([{"type": "x", "y".repeat(MAX_VALUE + 1): 1}]),
        ] {
            assert!(of_authorization(&long.to_string()).is_cut, "{long}");
        }
        let whole = serde_json::json!([{"type": "x", "a": "y".repeat(MAX_VALUE)}]);
        assert!(!of_authorization(&whole.to_string()).is_cut);
    }

    fn json(depth: u32) -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-zü ]{0,8}", "[a ]{250,260}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u64>().prop_map(Value::from),
            text.prop_map(Value::from)
        ];
        leaf.prop_recursive(depth, 80, 12, |inner| {
            let name = prop_oneof![9 => "[a-z]{1,4}", 1 => "[a-z]{250,260}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..12).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn d_066_what_the_server_lets_a_terminal_approve_is_shown_whole(value in json(9), count in 1_usize..20) {
            let object = serde_json::json!({ "type": "x", "in": value });
            let details = Value::from(vec![object.clone(); count]);
            prop_assert!(!sheet::fits_details(&details) || !of_authorization(&details.to_string()).is_cut);
            prop_assert!(!sheet::fits_statement(&object) || !of_statement(&object.to_string()).is_cut);
        }
    }

    #[test]
    fn d_066_the_limits_are_those_of_the_server() {
        assert_eq!(
            (MAX_VALUE, MAX_LINES, MAX_DEPTH),
            (sheet::MAX_TEXT, sheet::MAX_LINES, sheet::MAX_DEPTH)
        );
    }
}
