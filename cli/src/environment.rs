//! What the environment says where nothing was typed.

use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

use crate::error::Error;

/// Returns a variable's value. An empty one counts as none.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns what was typed, else what the variable says.
pub(crate) fn or_variable<T>(typed: Option<T>, name: &str) -> Result<Option<T>, Error>
where
    T: FromStr,
    T::Err: Display,
{
    if typed.is_some() {
        return Ok(typed);
    }
    let Some(value) = variable(name) else {
        return Ok(None);
    };
    let text = value
        .to_str()
        .ok_or_else(|| Error::usage(format!("{name} is not valid UTF-8")))?;
    text.parse()
        .map(Some)
        .map_err(|problem| Error::usage(format!("{name}: {problem}")))
}
