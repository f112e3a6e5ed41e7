//! The daemon's half of `ciba doctor`: looks at keychains, memory, log, logins, servers and the clock, and says
//! for each what to do. Everything at once, each with a deadline; nothing is changed.

mod server;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use ipc_proto::{Check, Diagnosis, Failure, KeychainKind, Link, ProfileStatus, SessionState, Status};
use rustix::process::{Resource, getrlimit};
use tokio::time::timeout;

use crate::keychain::{Keychain, KeychainError, Keychains};

/// Time for a keychain to answer. Its own deadline is shorter; this one is for what has none.
const KEYCHAIN_DEADLINE: Duration = Duration::from_secs(10);

/// Looks at everything that the daemon needs for these logins. `log` is where its log goes, if it can be written;
/// `lost` counts the entries that the audit lacks.
pub(crate) async fn diagnose(
    status: &Status,
    keychains: &Keychains,
    log: Option<&str>,
    lost: u64,
) -> Diagnosis {
    let (mut checks, servers) = tokio::join!(keychain_checks(keychains), server::checks(&status.profiles));
    checks.push(memory(status.memory_locked));
    checks.push(log_place(log));
    checks.extend((lost > 0).then(|| audit(lost)));
    checks.extend(status.configuration.as_deref().map(configuration));
    checks.extend(status.profiles.iter().map(login));
    checks.extend(servers);
    Diagnosis { checks }
}

/// One check for each place that outlasts the daemon, and one more where there is none.
async fn keychain_checks(keychains: &Keychains) -> Vec<Check> {
    let lasting = keychains
        .iter()
        .filter(|keychain| keychain.kind() != KeychainKind::Memory)
        .cloned();
    let found = join_all(lasting.map(probe)).await;
    let any = found
        .iter()
        .any(|(_, answer)| matches!(answer, Ok(()) | Err(KeychainError::Locked(_))));
    let mut checks: Vec<_> = found
        .into_iter()
        .map(|(kind, answer)| keychain(kind, answer, any))
        .collect();
    if !any {
        let nothing = Check::warning("keychain", "nothing keeps logins: they end with the daemon");
        checks
            .push(nothing.hint("run a Secret Service in this session: GNOME Keyring, KWallet or KeePassXC"));
    }
    checks
}

async fn probe(keychain: Arc<dyn Keychain>) -> (KeychainKind, Result<(), KeychainError>) {
    let kind = keychain.kind();
    let answer = timeout(KEYCHAIN_DEADLINE, keychain.probe()).await;
    (kind, answer.unwrap_or(Err(KeychainError::Slow(kind))))
}

/// One that is absent is no trouble where another one is there.
fn keychain(kind: KeychainKind, answer: Result<(), KeychainError>, any: bool) -> Check {
    let problem = match answer {
        Ok(()) => return Check::ok("keychain", format!("{kind} works")),
        Err(problem) => problem,
    };
    let hint = match problem {
        KeychainError::Absent(_) if any => return Check::ok("keychain", problem.to_string()),
        KeychainError::Absent(_) => None,
        KeychainError::Locked(_) => Some("unlock it; cibad then goes on by itself"),
        KeychainError::Full(_) => Some("make room in it: /proc/key-users has its limits"),
        KeychainError::Slow(_) | KeychainError::Failed(_) => Some("ciba logs"),
    };
    Check {
        hint: hint.map(Into::into),
        ..Check::warning("keychain", problem.to_string())
    }
}

fn memory(locked: bool) -> Check {
    if locked {
        return Check::ok("memory", "secrets are never swapped to disk");
    }
    let limit = getrlimit(Resource::Memlock).current;
    let limit = limit.map_or_else(String::new, |bytes| {
        format!(": cibad may lock {} KiB", bytes / 1024)
    });
    Check::warning("memory", format!("secrets may be swapped to disk{limit}")).hint(
        "raise the limit for locked memory (ulimit -l, or LimitMEMLOCK= of the unit), then: ciba restart",
    )
}

fn log_place(place: Option<&str>) -> Check {
    match place {
        Some(place) => Check::ok("log", place),
        None => Check::warning(
            "log",
            "nothing is written down: the log's directory cannot be written",
        )
        .hint("make ~/.local/state writable, or set XDG_STATE_HOME, then: ciba restart"),
    }
}

fn audit(lost: u64) -> Check {
    let message = format!("entries of the audit that could not be written: {lost}");
    Check::warning("audit", message)
        .hint("make room on the disk of ~/.local/state, or of XDG_STATE_HOME; ciba logs says why")
}

fn configuration(problem: &str) -> Check {
    Check::warning("configuration", problem).hint("mend the file, then: ciba restart")
}

fn login(status: &ProfileStatus) -> Check {
    login_verdict(status).of(status.profile.clone())
}

fn login_verdict(status: &ProfileStatus) -> Check {
    if matches!(status.state, SessionState::Failed | SessionState::Ended) {
        let why = said(status.error.as_ref(), "it yields no tokens any more");
        return Check::failure("login", why).hint(status.log_in_again());
    }
    if let Some(problem) = status.kept.as_ref().and_then(|kept| kept.problem.as_ref()) {
        let hint = problem.hint.as_deref().unwrap_or("cibad keeps trying");
        return Check::warning("login", format!("not kept yet: {}", problem.message)).hint(hint);
    }
    match (status.state, status.link) {
        (SessionState::Pending, _) => Check::ok("login", "waits for a person"),
        (_, Link::Connected) => Check::ok("login", "connected"),
        (_, Link::Connecting) => Check::ok("login", "connecting"),
        (_, Link::Offline) => {
            let why = said(status.error.as_ref(), "the connection is down");
            Check::warning("login", why).hint("cibad connects by itself as soon as it can")
        }
    }
}

fn said(failure: Option<&Failure>, otherwise: &str) -> String {
    failure.map_or_else(|| otherwise.into(), |failure| failure.message.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ipc_proto::{ErrorCode, Kept, Verdict};

    use super::*;
    use crate::keychain::fake::{Fake, Trouble};

    /// What a keychain with this trouble, and nothing beside it, makes of the check.
    async fn with(trouble: Option<Trouble>) -> Vec<(Verdict, String)> {
        let fake = Fake::default();
        fake.trouble(trouble);
        let checks = keychain_checks(&Keychains::new([Arc::new(fake) as _])).await;
        checks
            .into_iter()
            .map(|check| (check.verdict, check.message))
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn d_052_each_keychain_has_its_word() {
        use KeychainKind::SecretService;

        let none = (
            Verdict::Warning,
            "nothing keeps logins: they end with the daemon".to_owned(),
        );
        assert_eq!(with(None).await, [(Verdict::Ok, "secret-service works".into())]);
        for (trouble, message) in [
            (
                Trouble::Error(KeychainError::Absent(SecretService)),
                "this session has no secret-service keychain",
            ),
            (
                Trouble::Hangs,
                "the secret-service keychain does not answer in time",
            ),
        ] {
            let expected = [(Verdict::Warning, message.to_owned()), none.clone()];
            assert_eq!(with(Some(trouble)).await, expected);
        }
        let locked = with(Some(Trouble::Error(KeychainError::Locked(SecretService)))).await;
        assert_eq!(
            locked,
            [(Verdict::Warning, "the secret-service keychain is locked".into())]
        );
    }

    #[test]
    fn d_052_a_keychain_that_is_absent_is_no_trouble_beside_one_that_works() {
        let absent = Err(KeychainError::Absent(KeychainKind::SecretService));
        assert_eq!(
            keychain(KeychainKind::SecretService, absent, true).verdict,
            Verdict::Ok
        );
        assert_eq!(
            keychain(KeychainKind::SecretService, absent, false).verdict,
            Verdict::Warning
        );
    }

    fn profile(state: SessionState, link: Link) -> ProfileStatus {
        ProfileStatus {
            profile: "work".parse().unwrap(),
            url: "https://c.example".into(),
            state,
            link,
            subject: None,
            error: None,
            kept: None,
            expires_at: None,
            tokens: vec![],
        }
    }

    #[test]
    fn a_login_that_is_over_has_its_cure() {
        let over = ProfileStatus {
            error: Some(Failure::new(ErrorCode::LoginRequired, "it has ended")),
            ..profile(SessionState::Failed, Link::Offline)
        };
        let check = login(&over);
        assert_eq!(
            (check.verdict, check.message.as_str()),
            (Verdict::Failure, "it has ended")
        );
        assert_eq!(
            check.hint.as_deref(),
            Some("ciba start --profile work --url https://c.example")
        );
        assert_eq!(check.profile, Some(over.profile));
    }

    #[test]
    fn a_login_that_works_may_still_be_in_danger() {
        let active = profile(SessionState::Active, Link::Connected);
        assert_eq!(login(&active).verdict, Verdict::Ok);
        let unkept = ProfileStatus {
            kept: Some(Kept {
                keychain: KeychainKind::SecretService,
                problem: Some(Failure::new(ErrorCode::KeychainLocked, "locked")),
            }),
            ..active
        };
        let check = login(&unkept);
        assert_eq!(
            (check.verdict, check.message.as_str()),
            (Verdict::Warning, "not kept yet: locked")
        );
        let offline = login(&profile(SessionState::Active, Link::Offline));
        assert_eq!(
            (offline.verdict, offline.message.as_str()),
            (Verdict::Warning, "the connection is down")
        );
    }

    #[test]
    fn memory_and_log_are_told_with_a_cure() {
        assert_eq!(memory(true).verdict, Verdict::Ok);
        let open = memory(false);
        assert_eq!(open.verdict, Verdict::Warning);
        assert!(open.hint.is_some_and(|hint| hint.contains("ulimit -l")));
        assert_eq!(log_place(Some("/x")).message, "/x");
        assert_eq!(log_place(None).verdict, Verdict::Warning);
    }

    #[test]
    fn entries_that_the_audit_lacks_are_told() {
        let check = audit(3);
        assert_eq!(check.verdict, Verdict::Warning);
        assert!(check.message.ends_with(": 3"), "{}", check.message);
    }

    #[tokio::test]
    async fn a_configuration_that_is_not_used_is_told() {
        let mut status = Status {
            version: "0.1.0".into(),
            pid: 1,
            memory_locked: true,
            keychain: None,
            configuration: None,
            profiles: vec![],
        };
        let named = |diagnosis: Diagnosis| {
            let mut checks = diagnosis.checks.into_iter();
            checks.find(|check| check.name == "configuration")
        };
        let keychains = Keychains::new([]);
        assert_eq!(named(diagnose(&status, &keychains, None, 0).await), None);
        status.configuration = Some("/c: it is wrong".into());
        let check = named(diagnose(&status, &keychains, None, 0).await).unwrap();
        assert_eq!(
            (check.verdict, check.message.as_str()),
            (Verdict::Warning, "/c: it is wrong")
        );
        assert!(check.hint.is_some_and(|hint| hint.contains("ciba restart")));
    }
}
