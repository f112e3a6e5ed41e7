//! `CIBA_SERVER__SECTION__KEY=value` over the file: one rule for every key.

use toml::{Table, Value};

use super::Error;

/// What the variables begin with.
pub const PREFIX: &str = "CIBA_SERVER__";

/// Returns the file's table with the environment's values in place of its own.
pub(super) fn merge(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Table, Error> {
    let mut table: Table = text
        .parse()
        .map_err(|error| Error::syntax("configuration".into(), error))?;
    let mut variables: Vec<_> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, value) in variables {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        set(&mut table, &path, literal(&value)).map_err(|()| Error::Syntax {
            place: name,
            problem: "names no key".into(),
        })?;
    }
    Ok(table)
}

fn set(table: &mut Table, path: &[String], value: Value) -> Result<(), ()> {
    match path {
        [] => Err(()),
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            set(inner.as_table_mut().ok_or(())?, rest, value)
        }
    }
}

/// Numbers, booleans, lists and quoted texts as TOML writes them; anything else is a text, quotes not needed. (A
/// client id of digits alone needs them.)
fn literal(value: &str) -> Value {
    let parsed = format!("v = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"));
    match parsed {
        Some(value @ (Value::Integer(_) | Value::Boolean(_) | Value::Array(_) | Value::String(_))) => value,
        _ => Value::String(value.to_owned()),
    }
}
