//! The user's systemd: a socket that is there from login on, and the service that its first client starts.

use super::{Place, Plan, SHIPPED_PROGRAM, Step, UnitFile, text};
use crate::error::Error;

const SOCKET: &str = include_str!("../../../systemd/user/cibad.socket");
const SERVICE: &str = include_str!("../../../systemd/user/cibad.service");

pub(super) fn plan(place: &Place) -> Result<Plan, Error> {
    let directory = place.config.join("systemd/user");
    let program = quoted(text(&place.program)?);
    Ok(Plan {
        manager: "systemd",
        probe: systemctl(&["show", "--property=Version"], "asked systemd"),
        hint: "log in on a machine with systemd and its user instance, or go on without a service: \
               ciba starts cibad when it needs it",
        is_active: systemctl(&["is-active", "--quiet", "cibad.socket"], "asked systemd"),
        files: vec![
            UnitFile {
                path: directory.join("cibad.socket"),
                text: SOCKET.into(),
            },
            UnitFile {
                path: directory.join("cibad.service"),
                text: SERVICE.replace(SHIPPED_PROGRAM, &program),
            },
        ],
        begin: enable(),
        renew: enable(),
        renewing_ends: false,
        end: vec![
            systemctl(&["disable", "--now", "cibad.socket"], "disabled cibad.socket"),
            systemctl(&["stop", "cibad.service"], "stopped cibad.service"),
        ],
        forget: vec![reload()],
    })
}

/// Both steps may be taken again where they are done already.
fn enable() -> Vec<Step> {
    vec![
        reload(),
        systemctl(&["enable", "--now", "cibad.socket"], "enabled cibad.socket"),
    ]
}

fn reload() -> Step {
    systemctl(&["daemon-reload"], "told systemd to read its units again")
}

fn systemctl(arguments: &[&str], done: &'static str) -> Step {
    let arguments = ["--user"].iter().chain(arguments).copied();
    Step::new("systemctl", arguments, done)
}

/// Returns a program's path as it stands in `ExecStart=` (systemd.service(5), "Command lines").
fn quoted(path: &str) -> String {
    let path = path.replace('%', "%%");
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+%@".contains(c);
    if path.chars().all(is_plain) {
        return path;
    }
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_units_name_the_installed_program() {
        let plan = plan(&Place::example()).unwrap_or_else(|_| panic!("a plan"));
        let [socket, service] = &plan.files[..] else {
            panic!("two units");
        };
        assert_eq!(
            socket.path.to_str(),
            Some("/home/zoe/.config/systemd/user/cibad.socket")
        );
        assert!(
            service
                .text
                .contains("\nExecStart=/opt/ciba/cibad --foreground\n")
        );
        assert!(!service.text.contains(SHIPPED_PROGRAM));
        assert_eq!(
            plan.begin[1].to_string(),
            "systemctl --user enable --now cibad.socket"
        );
    }

    #[test]
    fn a_path_stays_one_word_and_says_nothing_to_systemd() {
        assert_eq!(quoted("/usr/local/bin/cibad"), "/usr/local/bin/cibad");
        assert_eq!(quoted("/a b/100%/cibad"), "\"/a b/100%%/cibad\"");
        assert_eq!(quoted(r#"/a"b\c/$d;e"#), r#""/a\"b\\c/$d;e""#);
    }

    #[test]
    fn a_path_that_would_be_another_line_is_refused() {
        let place = Place {
            program: "/opt/x\nExecStartPre=/bin/false/cibad".into(),
            ..Place::example()
        };
        assert!(plan(&place).is_err());
    }
}
