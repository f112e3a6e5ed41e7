//! Against the real keyring. It belongs to a user of the machine, not to a test or a container: each test is a
//! user of its own, in a process of its own, and leaves nothing behind. That takes root.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::*;
use crate::keychain::item::tests::{login, parts};

/// Users of this range belong to nobody; each test run takes some by its process id.
const FIRST_UID: u32 = 1_900_000_000;

/// Keys that a user who is not root may have (keyrings(7), `/proc/sys/kernel/keys/maxkeys`).
const QUOTA: &str = "/proc/sys/kernel/keys/maxkeys";

/// A user whose keyring is empty at first and at last.
struct User {
    uid: u32,
    home: TempDir,
}

impl User {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed);
        let home = TempDir::new().unwrap();
        let user = Self {
            uid: FIRST_UID + number,
            home,
        };
        // Where other users may not look is no place for what they run. Not copied by this process: a
        // neighbour's child could have the file open for writing still, and then nothing can run it.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(user.home.path(), everybody).unwrap();
        let mut install = Command::new("install");
        install.arg(std::env::current_exe().unwrap()).arg(user.program());
        assert!(install.status().unwrap().success());
        user
    }

    fn program(&self) -> std::path::PathBuf {
        self.home.path().join("cibad-tests")
    }

    /// Plays a role of [`roles`] as this user, and returns what it said.
    fn plays(&self, role: &str) -> String {
        self.plays_under(&[], role)
    }

    /// Plays it below a program such as `keyctl session -`.
    fn plays_under(&self, above: &[&str], role: &str) -> String {
        let role = format!("keychain::kernel::tests::roles::{role}");
        let mut words: Vec<&str> = above.to_vec();
        let program = self.program();
        words.extend([
            program.to_str().unwrap(),
            "--ignored",
            "--nocapture",
            "--exact",
            &role,
        ]);
        let output = self.runs(&words);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{role}: {said}"
        );
        said.lines()
            .filter_map(|line| line.strip_prefix("said: "))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn runs(&self, words: &[&str]) -> Output {
        let id = self.uid.to_string();
        Command::new("setpriv")
            .args(["--reuid", &id, "--regid", &id, "--clear-groups", "--"])
            .args(words)
            .current_dir(Path::new("/"))
            .output()
            .unwrap()
    }

    fn keyctl(&self, words: &[&str]) -> String {
        let output = self.runs(&[&["keyctl"], words].concat());
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.runs(&["keyctl", "clear", "@u"]);
    }
}

/// What one process does, as another user; started by the tests below.
mod roles {
    use super::*;

    fn say(what: impl std::fmt::Display) {
        // The harness has written the test's name without a line end.
        println!("\nsaid: {what}");
    }

    fn now<T>(answer: BoxFuture<'_, T>) -> T {
        answer.now_or_never().expect("the kernel answers at once")
    }

    #[test]
    #[ignore = "a role"]
    fn keeps_work() {
        match now(Kernel.keep(&login("work"))) {
            Ok(()) => say("kept"),
            Err(error) => say(error),
        }
    }

    #[test]
    #[ignore = "a role"]
    fn loads() {
        match now(Kernel.load()) {
            Ok(items) => items.iter().for_each(|item| say(&item.profile)),
            Err(error) => say(error),
        }
    }

    #[test]
    #[ignore = "a role"]
    fn forgets_work() {
        let forgotten = now(Kernel.forget(&"work".parse().unwrap()));
        say(format!("{forgotten:?}"));
    }

    #[test]
    #[ignore = "a role"]
    fn keeps_replaces_and_forgets() {
        assert_eq!(now(Kernel.probe()), Ok(()));
        let (old, new, home) = (login("work"), login("work"), login("home"));
        for item in [&old, &home, &new] {
            assert_eq!(now(Kernel.keep(item)), Ok(()));
        }
        let mut kept: Vec<_> = now(Kernel.load()).unwrap().iter().map(parts).collect();
        kept.sort();
        assert_eq!(kept, [parts(&home), parts(&new)]);
        let readable = login("other").encode();
        ring().unwrap().add_key("other:login", &readable).unwrap();
        for _ in 0..2 {
            assert_eq!(now(Kernel.forget(&new.profile)), Ok(()));
            assert_eq!(now(Kernel.load()).unwrap().len(), 1);
        }
    }
}

#[test]
fn d_052_one_key_a_profile_is_kept_replaced_and_forgotten() {
    User::new().plays("keeps_replaces_and_forgets");
}

#[test]
fn d_053_a_login_outlives_every_process_of_its_user() {
    let user = User::new();
    assert_eq!(user.plays("keeps_work"), "kept");
    assert_eq!(user.plays("loads"), "work");
    assert_eq!(user.plays("forgets_work"), "Ok(())");
    assert_eq!(user.plays("loads"), "");
}

#[test]
fn d_053_a_service_with_a_session_of_its_own_finds_it() {
    let user = User::new();
    let fresh_session = ["keyctl", "session", "-"];
    assert_eq!(user.plays_under(&fresh_session, "keeps_work"), "kept");
    assert_eq!(user.plays_under(&fresh_session, "loads"), "work");
}

#[test]
fn d_053_a_logout_that_revokes_the_session_takes_nothing_away() {
    let user = User::new();
    let logged_out = [
        "keyctl",
        "session",
        "-",
        "sh",
        "-c",
        "keyctl revoke @s; exec \"$@\"",
        "sh",
    ];
    assert_eq!(user.plays_under(&logged_out, "keeps_work"), "kept");
    assert_eq!(user.plays_under(&logged_out, "loads"), "work");
}

#[test]
fn d_052_nobody_else_can_read_it() {
    let (user, other) = (User::new(), User::new());
    assert_eq!(user.plays("keeps_work"), "kept");
    let key = user.keyctl(&["search", "@u", "user", "ciba:work"]);
    let key = key.trim();
    let described = user.keyctl(&["rdescribe", key]);
    assert!(described.contains(";3f010000;ciba:work"), "{described}");
    assert!(!other.runs(&["keyctl", "read", key]).status.success());
    let root = Command::new("keyctl").args(["read", key]).output().unwrap();
    assert!(!root.status.success(), "not even root, as itself");
    assert_eq!(other.plays("loads"), "");
}

#[test]
fn d_052_a_full_keyring_is_said_to_be_full() {
    let user = User::new();
    let quota = std::fs::read_to_string(QUOTA).unwrap();
    let fill = format!(
        "for n in $(seq {}); do keyctl add user filler:$n x @u || exit 0; done",
        quota.trim()
    );
    user.runs(&["sh", "-c", &fill]);
    assert_eq!(user.plays("keeps_work"), KeychainError::Full(KIND).to_string());
    assert_eq!(user.plays("loads"), "");
}

#[test]
fn d_052_keys_of_others_are_left_out_and_left_alone() {
    let user = User::new();
    // Longer than what the crate has room for.
    let long = "x".repeat(3_000);
    let ours_but_long = format!("ciba:{long}");
    let huge = "x".repeat(MAX_ITEM + 1);
    let others = [
        ("ciba:garbage", "pass"),
        ("ciba:huge", &huge),
        (&ours_but_long, "pass"),
        ("other:work", "pass"),
        (&long, "pass"),
    ];
    for (description, secret) in others {
        user.keyctl(&["add", "user", description, secret, "@u"]);
    }
    assert_eq!(user.plays("keeps_work"), "kept");
    assert_eq!(user.plays("loads"), "work");
    assert_eq!(user.plays("forgets_work"), "Ok(())");
    for (description, _) in others {
        user.keyctl(&["search", "@u", "user", description]);
    }
}

#[test]
fn d_052_a_key_that_has_ended_is_no_login_and_makes_room_for_one() {
    let user = User::new();
    for end in ["revoke", "invalidate"] {
        assert_eq!(user.plays("keeps_work"), "kept");
        let key = user.keyctl(&["search", "@u", "user", "ciba:work"]);
        let linked = format!("keyctl link @u @s; keyctl {end} {}", key.trim());
        assert!(user.runs(&["sh", "-c", &linked]).status.success());
        assert_eq!(user.plays("loads"), "");
        assert_eq!(user.plays("forgets_work"), "Ok(())");
    }
}
