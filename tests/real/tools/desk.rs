//! The person at whose machine a tool is run: `ciba` under the names that tools know, and tokens that end soon.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use anyhow::{Context, Result};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use ciba_tests::{Gate, Offer, Output, Process, Server, Service, World, binary, confirm};
use serde_json::Value;

use super::workplace::rule;
use crate::site::{Site, UNASKED};

/// How long a token lasts here, in seconds: a tool must be done with one before that, and the next is never far.
const LIFETIME: &str = "20";

/// Where `tests/setup.sh` installs pip, uv, go, twine, AWS's command line and pnpm.
pub(super) const INSTALLED: [&str; 2] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/tools/python/bin"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/tools/npm/node_modules/.bin"),
];

/// A person's machine.
pub(super) struct Desk {
    pub(super) site: Site,
    server: Server,
    bin: PathBuf,
}

impl Desk {
    /// A person who is logged in.
    pub(super) async fn logged_in() -> Result<Self> {
        let desk = Self::logged_out().await?;
        let login = ["start", "--url", &desk.server.url];
        let login = desk.site.world.begin_login(&login).await?;
        confirm(&login.page).await?;
        let _ = login.end().await?.success();
        Ok(desk)
    }

    /// A person who has yet to log in.
    pub(super) async fn logged_out() -> Result<Self> {
        let mut site = Site::new(&[&UNASKED[..], &["--at-ttl", LIFETIME]].concat()).await?;
        let server = site.server().await?;
        let bin = site.world.home().join("bin");
        fs::create_dir(&bin)?;
        for name in [
            "ciba",
            "keyring",
            "docker-credential-ciba",
            "cargo-credential-ciba",
        ] {
            symlink(binary("ciba"), bin.join(name))?;
        }
        search_first(&mut site.world, [bin.clone()])?;
        site.world.set("CIBA_DAEMON", binary("cibad"));
        Ok(Self { site, server, bin })
    }

    /// Starts a service at `http://127.0.0.1:PORT`.
    pub(super) async fn gate(
        &self,
        offer: Offer,
        answer: impl Fn(&Parts) -> Response + Send + Sync + 'static,
    ) -> Result<Gate> {
        let service = Service::Function(Box::new(move |head, _| answer(head)));
        Gate::start(&self.site.idp.issuer, offer, service).await
    }

    /// Starts a service at `https://localhost:PORT`.
    pub(super) async fn tls_gate(
        &self,
        offer: Offer,
        answer: impl Fn(&Parts) -> Response + Send + Sync + 'static,
    ) -> Result<Gate> {
        let service = Service::Function(Box::new(move |head, _| answer(head)));
        Gate::start_tls(&self.site.idp.issuer, offer, service).await
    }

    /// Makes the only rule: for this service and this tool alone.
    pub(super) async fn rule(&self, service: &str, tool: &str) -> Result<()> {
        rule(&self.site.world, service, &format!("tool = [\"{tool}\"]")).await
    }

    /// A link to `ciba`.
    pub(super) fn link(&self, name: &str) -> String {
        self.bin.join(name).display().to_string()
    }

    /// Writes a file of the person's and returns its path.
    pub(super) fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.site.world.home().join(name);
        fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
        fs::write(&path, text)?;
        Ok(path.display().to_string())
    }

    /// Runs a tool to its end.
    pub(super) async fn run(
        &self,
        tool: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Output> {
        let mut command = self.site.world.command(tool);
        command.args(arguments).envs(variables.iter().copied());
        let mut process = Process::spawn(command)
            .with_context(|| format!("{tool} is missing: tests/setup.sh installs it where it can"))?;
        process.close_stdin();
        Output::of(&mut process).await
    }
}

/// Has programs be found in these places first, then where `tests/setup.sh` and the machine have theirs.
pub(super) fn search_first<const N: usize>(world: &mut World, places: [PathBuf; N]) -> Result<()> {
    let path = std::env::var_os("PATH").context("PATH is set")?;
    let installed = INSTALLED.map(PathBuf::from);
    let places = places.into_iter().chain(installed);
    let places = places.chain(std::env::split_paths(&path));
    world.set("PATH", std::env::join_paths(places)?);
    Ok(())
}

/// Runs a tool, waits until the token that it has shown has ended, and runs it again: it shows another one.
pub(super) async fn shows_another_after_the_end(
    gate: &Gate,
    run: impl AsyncFn() -> Result<()>,
) -> Result<()> {
    run().await?;
    gate.until_ended().await?;
    run().await?;
    let shown = gate.tokens();
    assert_ne!(shown.first(), shown.last());
    Ok(())
}

/// An answer in JSON.
pub(super) fn json(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
