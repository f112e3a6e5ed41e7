//! launchd: an agent of the user's, which is given its socket.

use super::{Place, Plan, SHIPPED_PROGRAM, Step, UnitFile, text};
use crate::error::Error;

const AGENT: &str = include_str!("../../../launchd/io.github.ciba-cli.cibad.plist");
const LABEL: &str = "io.github.ciba-cli.cibad";

pub(super) fn plan(place: &Place) -> Result<Plan, Error> {
    let path = place.home.join(format!("Library/LaunchAgents/{LABEL}.plist"));
    let domain = format!("gui/{}", place.uid);
    let service = format!("{domain}/{LABEL}");
    let agent = AGENT
        .replace(SHIPPED_PROGRAM, &escaped(text(&place.program)?))
        .replace(">SOCKET<", &format!(">{}<", escaped(text(&place.socket)?)));
    let written = text(&path)?.to_owned();
    let load = || launchctl(["bootstrap", &domain, &written], "loaded the launch agent");
    let unload = || launchctl(["bootout", &service], "unloaded the launch agent");
    let directory = text(place.socket.parent().unwrap_or(&place.home))?;
    // launchd makes the socket, and not what it lies in.
    let make_directory = || {
        Step::new(
            "install",
            ["-d", "-m", "700", directory],
            "made the socket's directory",
        )
    };
    Ok(Plan {
        manager: "launchd",
        probe: launchctl(["print", &domain], "asked launchd"),
        hint: "log in at the screen: launchd runs agents only there",
        is_active: launchctl(["print", &service], "asked launchd"),
        files: vec![UnitFile { path, text: agent }],
        begin: vec![make_directory(), load()],
        renew: vec![unload(), make_directory(), load()],
        renewing_ends: true,
        end: vec![unload()],
        forget: vec![],
    })
}

fn launchctl<const N: usize>(arguments: [&str; N], done: &'static str) -> Step {
    Step::new("launchctl", arguments, done)
}

/// Returns a text as it stands between two tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_names_program_and_socket() {
        let place = Place {
            program: "/opt/R&D/cibad".into(),
            ..Place::example()
        };
        let plan = plan(&place).unwrap_or_else(|_| panic!("a plan"));
        let [agent] = &plan.files[..] else {
            panic!("one file");
        };
        assert_eq!(
            agent.path.to_str(),
            Some("/home/zoe/Library/LaunchAgents/io.github.ciba-cli.cibad.plist")
        );
        for text in [
            "<string>/opt/R&amp;D/cibad</string>",
            "<string>/run/user/1000/ciba/agent.sock</string>",
        ] {
            assert!(agent.text.contains(text), "{text}");
        }
        assert_eq!(plan.begin[0].to_string(), "install -d -m 700 /run/user/1000/ciba");
        assert_eq!(
            plan.end[0].to_string(),
            "launchctl bootout gui/1000/io.github.ciba-cli.cibad"
        );
        assert!(!agent.text.contains("SOCKET<"));
        // launchd would let this file grow for ever; the daemon clears its own files away.
        assert!(!agent.text.contains("StandardErrorPath"));
        assert!(agent.text.contains(&format!("<string>{LABEL}</string>")));
    }
}
