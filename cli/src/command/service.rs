//! `ciba service`: puts `cibad` under the user's service manager, and takes it out again. Says each thing it did.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use ipc_proto::{ErrorCode, Failure, Kept, KeychainKind, Op, ProfileStatus, SessionState, Status};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::connection::{self, Connection};
use crate::environment;
use crate::error::Error;
use crate::service::{self, Place, Plan, Step, UnitFile};
use crate::{launch, terminal};

/// How long a daemon may take to leave.
const PATIENCE: Duration = Duration::from_secs(15);

/// Units are for everybody to read: there is no secret in them.
const PUBLIC_FILE: u32 = 0o644;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Let the service manager listen for clients and run cibad, from now on and at every login
    Install {
        /// Show what would be written and run, and do nothing
        #[arg(long)]
        print: bool,

        /// End logins that no keychain keeps, too
        #[arg(long)]
        force: bool,

        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Undo what install did; logins in a keychain stay
    Uninstall {
        /// End logins that no keychain keeps, too
        #[arg(long)]
        force: bool,

        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show whether the service is there
    Status {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Does what was asked of the service.
pub(crate) fn run(args: &Args) -> Result<(), Error> {
    let plan = service::plan(&place()?)?;
    match args.action {
        Action::Install {
            print: true, json, ..
        } => show(&plan, json),
        Action::Install { force, json, .. } => report(&plan, &install(&plan, force)?, json),
        Action::Uninstall { force, json } => report(&plan, &uninstall(&plan, force)?, json),
        Action::Status { json } => status(&plan, json),
    }
}

fn place() -> Result<Place, Error> {
    let folder = |name: &str| {
        environment::variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home =
        folder("HOME").ok_or_else(|| Error::usage("HOME is not set: there is no place for a service"))?;
    if environment::variable("CIBA_SOCKET").is_some() {
        return Err(Error::usage(
            "CIBA_SOCKET is set, and a service has its socket in one place",
        ));
    }
    let program = launch::installed()?.path;
    Ok(Place {
        program: std::path::absolute(&program).unwrap_or(program),
        socket: connection::socket()?,
        config: folder("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")),
        home,
        uid: rustix::process::geteuid().as_raw(),
    })
}

/// What was done, in the order in which it was.
type Done = Vec<String>;

fn install(plan: &Plan, force: bool) -> Result<Done, Error> {
    probe(plan)?;
    let mut done = Done::new();
    let is_active = plan.is_active.succeeds();
    if !is_active || plan.renewing_ends {
        lose_nothing("install", force)?;
    }
    if !is_active {
        done.extend(dismiss_daemon()?);
    }
    for file in &plan.files {
        done.extend(write(file)?);
    }
    let steps = if is_active { &plan.renew } else { &plan.begin };
    do_each(steps, &mut done)?;
    Ok(done)
}

fn uninstall(plan: &Plan, force: bool) -> Result<Done, Error> {
    let mut done = Done::new();
    if !plan.files.iter().any(|file| file.path.exists()) {
        return Ok(done);
    }
    probe(plan)?;
    lose_nothing("uninstall", force)?;
    do_each(&plan.end, &mut done)?;
    for file in &plan.files {
        done.extend(remove(&file.path)?);
    }
    do_each(&plan.forget, &mut done)?;
    Ok(done)
}

fn do_each(steps: &[Step], done: &mut Done) -> Result<(), Error> {
    for step in steps {
        step.run()?;
        done.push(step.done.into());
    }
    Ok(())
}

fn probe(plan: &Plan) -> Result<(), Error> {
    if plan.probe.succeeds() {
        return Ok(());
    }
    let message = format!(
        "{} does not answer: there is no service manager of yours here",
        plan.manager
    );
    Err(Failure::new(ErrorCode::Internal, message).hint(plan.hint).into())
}

/// Refuses to end a daemon that has logins which no keychain keeps, unless that is wanted.
fn lose_nothing(action: &str, force: bool) -> Result<(), Error> {
    // One that does not say what it has must not stand in the way of being replaced.
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

/// Whether there is something to lose: also a login that waits for its person, or for its keychain.
fn ends_with_daemon(login: &ProfileStatus) -> bool {
    let is_kept = |kept: &Kept| kept.problem.is_none() && kept.keychain != KeychainKind::Memory;
    let is_over = matches!(login.state, SessionState::Failed | SessionState::Ended);
    !is_over && !login.kept.as_ref().is_some_and(is_kept)
}

/// Asks a daemon that was started without a service manager to leave the place to one that is.
fn dismiss_daemon() -> Result<Option<String>, Error> {
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

/// Writes a file whole or not at all. One that says the same already is left alone.
fn write(file: &UnitFile) -> Result<Option<String>, Error> {
    let path = &file.path;
    let failed = |error: io::Error| Error::internal(format!("{} cannot be written: {error}", path.display()));
    if is_current(file) {
        return Ok(None);
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed)?;
    }
    // Service managers read only files with the endings they know.
    let unfinished = path.with_added_extension("new");
    fs::write(&unfinished, &file.text)
        .and_then(|()| fs::set_permissions(&unfinished, fs::Permissions::from_mode(PUBLIC_FILE)))
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(failed)?;
    Ok(Some(format!("wrote {}", path.display())))
}

fn is_current(file: &UnitFile) -> bool {
    fs::read_to_string(&file.path).is_ok_and(|text| text == file.text)
}

fn remove(path: &Path) -> Result<Option<String>, Error> {
    match fs::remove_file(path) {
        Ok(()) => Ok(Some(format!("removed {}", path.display()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::internal(format!(
            "{} cannot be removed: {error}",
            path.display()
        ))),
    }
}

fn report(plan: &Plan, done: &Done, json: bool) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Report<'a> {
        manager: &'a str,
        done: &'a Done,
    }
    if json {
        let manager = plan.manager;
        return terminal::print_json(&Report { manager, done });
    }
    if done.is_empty() {
        terminal::tell("Nothing to do.");
    }
    for thing in done {
        terminal::tell(terminal::Plain(thing));
    }
    Ok(())
}

fn show(plan: &Plan, json: bool) -> Result<(), Error> {
    #[derive(Serialize)]
    struct File<'a> {
        path: &'a Path,
        text: &'a str,
    }
    #[derive(Serialize)]
    struct Shown<'a> {
        manager: &'a str,
        files: Vec<File<'a>>,
        commands: Vec<String>,
    }
    let commands: Vec<String> = plan.begin.iter().map(ToString::to_string).collect();
    if json {
        let files = plan.files.iter().map(|file| File {
            path: &file.path,
            text: &file.text,
        });
        return terminal::print_json(&Shown {
            manager: plan.manager,
            files: files.collect(),
            commands,
        });
    }
    let mut text = String::new();
    for file in &plan.files {
        text += &format!("==> {} <==\n{}\n", file.path.display(), file.text);
    }
    terminal::print(format!("{text}==> then <==\n{}\n", commands.join("\n")).as_bytes())
}

fn status(plan: &Plan, json: bool) -> Result<(), Error> {
    #[derive(Serialize)]
    struct Status<'a> {
        manager: &'a str,
        installed: bool,
        /// Whether the files are those that this `ciba` would write.
        current: bool,
        active: bool,
    }
    let status = Status {
        manager: plan.manager,
        installed: plan.files.iter().any(|file| file.path.exists()),
        current: plan.files.iter().all(is_current),
        active: plan.is_active.succeeds(),
    };
    if json {
        return terminal::print_json(&status);
    }
    let manager = plan.manager;
    let state = match (status.installed, status.active) {
        (true, true) => format!("{manager} listens for clients and runs cibad"),
        (true, false) => format!("installed, but {manager} does not listen"),
        (false, true) => format!("{manager} listens, by files that are not ciba's"),
        (false, false) => "not installed".into(),
    };
    terminal::print(format!("{state}\n").as_bytes())?;
    if !status.current && status.installed {
        terminal::tell("The files are not those of this ciba; to renew them: ciba service install");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_written_once_and_readable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("systemd/user/cibad.socket");
        let file = |text: &str| UnitFile {
            path: path.clone(),
            text: text.into(),
        };
        let said = |text| write(&file(text)).unwrap_or_else(|_| panic!("written"));
        assert_eq!(said("one"), Some(format!("wrote {}", path.display())));
        assert_eq!(said("one"), None);
        assert!(said("two").is_some());
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, PUBLIC_FILE);
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

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

    #[test]
    fn what_is_not_there_need_not_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cibad.socket");
        fs::write(&path, "").unwrap();
        assert!(remove(&path).is_ok_and(|said| said.is_some()));
        assert!(remove(&path).is_ok_and(|said| said.is_none()));
    }
}
