//! Where the daemon's log and its configuration lie in the user's home: one rule for both programs.

use std::ffi::OsString;
use std::path::PathBuf;

/// Returns the directory of the daemon's log; `None` where the environment names no home.
///
/// `variable` reads the environment: `$XDG_STATE_HOME/ciba`, else `~/.local/state/ciba`. A relative path counts
/// as none (XDG Base Directory Specification). macOS: `~/Library/Application Support/ciba`.
pub fn state_directory(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| absolute(variable(name));
    let home = || set("HOME");
    let parent = if cfg!(target_os = "macos") {
        home()?.join("Library/Application Support")
    } else {
        set("XDG_STATE_HOME").or_else(|| Some(home()?.join(".local/state")))?
    };
    Some(parent.join("ciba"))
}

/// Returns the daemon's configuration file; `None` where the environment names no home.
///
/// `$XDG_CONFIG_HOME/ciba/config.toml`, else `~/.config/ciba/config.toml`, on macOS as well: people edit this file,
/// and other command line tools have theirs there. A relative path counts as none.
pub fn configuration_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| absolute(variable(name));
    let parent = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(parent.join("ciba/config.toml"))
}

fn absolute(value: Option<OsString>) -> Option<PathBuf> {
    value.map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn environment(variables: Variables<'_>) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            let (_, value) = variables.iter().find(|(n, _)| *n == name)?;
            Some(OsString::from(value))
        }
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_log_is_where_the_system_keeps_such_things() {
        let cases: [(Variables<'_>, _); 6] = [
            (&[("XDG_STATE_HOME", "/s"), ("HOME", "/h")], Some("/s/ciba")),
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
            let directory = state_directory(environment(variables));
            assert_eq!(directory, expected.map(PathBuf::from), "{variables:?}");
        }
    }

    #[test]
    fn the_configuration_is_where_people_look_for_it() {
        let cases: [(Variables<'_>, _); 4] = [
            (
                &[("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")],
                Some("/c/ciba/config.toml"),
            ),
            (
                &[("XDG_CONFIG_HOME", "c"), ("HOME", "/h")],
                Some("/h/.config/ciba/config.toml"),
            ),
            (&[("HOME", "/h")], Some("/h/.config/ciba/config.toml")),
            (&[], None),
        ];
        for (variables, expected) in cases {
            let file = configuration_file(environment(variables));
            assert_eq!(file, expected.map(PathBuf::from), "{variables:?}");
        }
    }
}
