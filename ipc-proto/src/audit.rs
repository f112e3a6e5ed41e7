//! One line of the audit file: who got which token. The daemon writes it, `ciba audit` reads it; it has no room for the
//! token itself.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ProfileName, state_directory};

/// A token that was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, UTC (RFC 3339): `2026-01-31T12:00:00Z`.
    pub time: String,
    /// The tool that asked: `token`, `start`, `request`, or the word in `credential`.
    pub tool: String,
    /// The client's process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The client's program, escaped as a Rust string literal where it is not plain ASCII; absent where the system does
    /// not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<String>,
    /// The service: its host, and its port where that is not the scheme's; of a `request` the provider's. Absent where no
    /// rule was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The token's resource; of a `request` what the client named, else the provider itself.
    pub resource: String,
    /// The login that it came from; absent for a `request`, which needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// The client of a `request`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The token's number, which is the daemon's own.
    pub serial: u64,
}

/// Returns the audit file, beside the daemon's log; `None` where the environment names no home. The one before it has
/// `.1` behind its name.
pub fn audit_file(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    Some(state_directory(variable)?.join("audit.jsonl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_object_without_what_is_not_known() {
        let entry = AuditEntry {
            time: "2026-01-31T12:00:00Z".into(),
            tool: "git".into(),
            pid: Some(42),
            executable: Some("/usr/bin/ciba".into()),
            host: Some("git.example.com:8443".into()),
            resource: "urn:d:git".into(),
            profile: Some(ProfileName::default()),
            client_id: None,
            serial: 7,
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            text,
            r#"{"time":"2026-01-31T12:00:00Z","tool":"git","pid":42,"executable":"/usr/bin/ciba","host":"git.example.com:8443","resource":"urn:d:git","profile":"default","serial":7}"#
        );
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), entry);
        let bare = AuditEntry {
            pid: None,
            executable: None,
            host: None,
            ..entry
        };
        let text = serde_json::to_string(&bare).unwrap();
        assert!(!text.contains("null"), "{text}");
        assert_eq!(serde_json::from_str::<AuditEntry>(&text).unwrap(), bare);
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_audit_lies_beside_the_log() {
        let home = |name: &str| (name == "HOME").then(|| "/h".into());
        assert_eq!(audit_file(home), Some("/h/.local/state/ciba/audit.jsonl".into()));
    }
}
