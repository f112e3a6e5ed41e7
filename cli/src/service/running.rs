//! The daemon that runs while its service is installed or removed: what it would lose, and how it is asked to leave.

use std::time::Duration;

use ipc_proto::{Kept, KeychainKind, Op, ProfileStatus, SessionState, Status};
use serde::de::IgnoredAny;

use crate::connection::Connection;
use crate::error::Error;

/// How long a daemon may take to leave.
const PATIENCE: Duration = Duration::from_secs(15);

/// Refuses to end a daemon that has logins which no keychain keeps, unless that is wanted.
pub(super) fn lose_nothing(action: &str, force: bool) -> Result<(), Error> {
    // A daemon that does not answer must not prevent its own replacement.
    let status = if force { None } else { daemon_status() };
    let logins = status.map(|status| status.profiles).unwrap_or_default();
    let lost: Vec<&str> = logins
        .iter()
        .filter(|login| ends_with_daemon(login))
        .map(|login| login.profile.as_str())
        .collect();
    if lost.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the running cibad would end, and logins with it that no keychain keeps: {}",
        lost.join(", ")
    );
    let hint = format!("keep them: ciba doctor; or lose them: ciba service {action} --force");
    Err(Error::internal(message).hint(hint))
}

fn daemon_status() -> Option<Status> {
    let op = Op::Status { profile: None };
    Connection::connect().ok()??.ask(op, PATIENCE).ok()
}

/// Whether the login is lost with the daemon: also one that waits for its person, or for its keychain.
fn ends_with_daemon(login: &ProfileStatus) -> bool {
    let is_kept = |kept: &Kept| kept.problem.is_none() && kept.keychain != KeychainKind::Memory;
    let is_over = matches!(login.state, SessionState::Failed | SessionState::Ended);
    !is_over && !login.kept.as_ref().is_some_and(is_kept)
}

/// Asks a daemon that runs without a service manager to leave: its socket then goes to the service manager.
pub(super) fn dismiss() -> Result<Option<String>, Error> {
    let Some(mut connection) = Connection::connect()? else {
        return Ok(None);
    };
    connection.send(Op::Shutdown {})?;
    connection.answer::<IgnoredAny>(PATIENCE)?;
    connection.hung_up(PATIENCE)?;
    Ok(Some(
        "asked the running cibad to leave; it resumes from the keychain".into(),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_login_is_lost_unless_a_keychain_has_it() {
        let login = |state: &str, kept: serde_json::Value| -> ProfileStatus {
            serde_json::from_value(json!({"profile": "default", "url": "https://c", "state": state,
                "link": "connected", "tokens": [], "kept": kept}))
            .unwrap()
        };
        let kept = json!({"keychain": "kernel"});
        let waits =
            json!({"keychain": "kernel", "problem": {"code": "keychain_locked", "message": "locked"}});
        for (state, kept, is_lost) in [
            ("active", kept.clone(), false),
            ("active", json!({"keychain": "memory"}), true),
            ("active", waits, true),
            ("active", json!(null), true),
            ("pending", json!(null), true),
            ("failed", json!(null), false),
            ("ended", kept, false),
        ] {
            let login = login(state, kept);
            assert_eq!(ends_with_daemon(&login), is_lost, "{login:?}");
        }
    }
}
