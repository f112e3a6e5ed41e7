//! `ciba service`: puts `cibad` under the user's service manager, takes it out again, and says each thing it did.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use crate::error::Error;
use crate::service::install::{self, Done};
use crate::service::{self, Place, Plan, UnitFile};
use crate::{connection, environment, launch, terminal};

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
        Action::Install { force, json, .. } => report(&plan, &install::install(&plan, force)?, json),
        Action::Uninstall { force, json } => report(&plan, &install::uninstall(&plan, force)?, json),
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
        let problem = "CIBA_SOCKET is set, and a service has its socket in one place";
        return Err(Error::usage(problem).hint("unset CIBA_SOCKET"));
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
        current: plan.files.iter().all(UnitFile::is_current),
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
