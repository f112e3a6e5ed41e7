//! Where the daemon keeps its log: one rule for the side that writes it and the side that shows it.

use std::ffi::OsString;
use std::path::PathBuf;

/// Returns the directory of the daemon's log, or `None` where nobody has a home.
///
/// `variable` reads the environment: `$XDG_STATE_HOME/ciba`, else `~/.local/state/ciba`. A relative path counts
/// as none (XDG Base Directory Specification). macOS: `~/Library/Application Support/ciba`.
pub fn state_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = || absolute("HOME");
    let parent = if cfg!(target_os = "macos") {
        home()?.join("Library/Application Support")
    } else {
        absolute("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local/state")))?
    };
    Some(parent.join("ciba"))
}

#[cfg(test)]
#[cfg(not(target_os = "macos"))]
mod tests {
    use super::*;

    fn directory(variables: &[(&str, &str)]) -> Option<String> {
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(n, _)| *n == name)?;
            Some(OsString::from(value))
        };
        state_directory(variable).map(|path| path.display().to_string())
    }

    #[test]
    fn the_log_is_where_the_system_keeps_such_things() {
        let cases = [
            (&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")][..], Some("/s/ciba")),
            (&[("HOME", "/h")], Some("/h/.local/state/ciba")),
            (
                &[("XDG_STATE_HOME", ""), ("HOME", "/h")],
                Some("/h/.local/state/ciba"),
            ),
            (
                &[("XDG_STATE_HOME", "s"), ("HOME", "/h")],
                Some("/h/.local/state/ciba"),
            ),
            (&[("HOME", "h")], None),
            (&[], None),
        ];
        for (variables, expected) in cases {
            assert_eq!(directory(variables).as_deref(), expected, "{variables:?}");
        }
    }
}
