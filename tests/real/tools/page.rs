//! docs/credential-helpers.md and the README, run as they are written: each `sh` block by bash, with the real tools, in a home
//! with a login, against services that have the names of the page.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use ciba_tests::{Offer, Output, PATIENCE, Server, Service, World, binary, until};
use serde_json::json as object;

use super::desk::{json, search_first};
use super::internet::Internet;
use super::ssh::Host;
use super::{docker, go, kubectl, npm, wheel};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/credential-helpers.md");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");

/// The section whose second block is for another machine.
const SSH: &str = "Another machine, over ssh";

/// What a person has before the page begins: a repository, a cluster, a crate to publish, directories.
const BEFORE: &str = r#"
mkdir -p .local/bin .cargo demo/src
git config --global init.defaultBranch main
git init --quiet --bare repositories/team/app.git
kubectl config set-cluster demo --server=https://k8s.example.com:6443 --certificate-authority=authority.pem
kubectl config set-context demo --cluster=demo
kubectl config use-context demo
cd demo
printf '[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\nlicense = "MIT"\ndescription = "demo"\n' > Cargo.toml
touch src/lib.rs
cargo package --quiet --offline --no-verify --allow-dirty
sha256sum target/package/demo-0.1.0.crate | cut -d ' ' -f 1 > checksum
"#;

/// Around each block: a failure ends it, and what it left in the background ends with it.
const AROUND: &str = "set -euo pipefail; trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n";

/// A block of code, and where it stands.
struct Block {
    section: String,
    text: String,
}

/// Returns the blocks of a language.
fn blocks(page: &str, language: &str) -> Result<Vec<Block>> {
    let page = fs::read_to_string(page)?;
    let (mut section, mut blocks) = (String::new(), Vec::new());
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        let Some(of) = line.strip_prefix("```") else {
            continue;
        };
        let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if of == language {
            blocks.push(Block {
                section: section.clone(),
                text: text.join("\n") + "\n",
            });
        }
    }
    Ok(blocks)
}

/// A home with a login and the tools, and the services of the page.
struct Stage {
    world: World,
    internet: Internet,
    _server: Server,
}

impl Stage {
    async fn set() -> Result<Self> {
        let mut world = World::new()?;
        let server = world.server_dev().await?;
        let home = world.home();
        // Where rustup keeps its toolchains: cargo may be rustup's.
        let rustup = std::env::var("RUSTUP_HOME")
            .or_else(|_| anyhow::Ok(format!("{}/.rustup", std::env::var("HOME")?)))?;
        world.set("RUSTUP_HOME", rustup);
        world.set("GOTOOLCHAIN", "local");
        // A failure is then one at once.
        world.set("npm_config_fetch_retries", "0");
        world.set("CIBA_DAEMON", binary("cibad"));
        let programs = binary("ciba").parent().context("it lies in a folder")?.to_owned();
        search_first(&mut world, [home.join(".local/bin"), programs])?;
        wheel::write(&home)?;
        let internet = Internet::of(&mut world, &server.url, hosts(&home)).await?;
        world.log_in(&server).await?;
        let stage = Self {
            world,
            internet,
            _server: server,
        };
        let _ = stage.bash(&home, BEFORE).await?.success();
        Ok(stage)
    }

    /// Runs a script in a folder to its end.
    async fn bash(&self, folder: &Path, script: &str) -> Result<Output> {
        let mut process = self.world.spawn(self.command(folder, script))?;
        process.close_stdin();
        Output::of(&mut process).await
    }

    fn command(&self, folder: &Path, script: &str) -> tokio::process::Command {
        let mut command = self.world.command("bash");
        command
            .current_dir(folder)
            .args(["-c", &format!("{AROUND}{script}")]);
        command
    }

    /// Makes a new project of a person's: for Rust, and with a Python package.
    fn project(&self, name: usize) -> Result<PathBuf> {
        let folder = self.world.home().join(format!("project-{name}"));
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("src/lib.rs"), "")?;
        fs::write(
            folder.join("Cargo.toml"),
            "[package]\nname = \"project\"\nedition = \"2021\"\n",
        )?;
        wheel::write(&folder)?;
        Ok(folder)
    }

    async fn run(&self, number: usize, block: &Block) -> Result<()> {
        let ran = self.bash(&self.project(number)?, &block.text).await?;
        ensure!(
            ran.code() == Some(0),
            "{}:\n{}\n{ran:?}",
            block.section,
            block.text
        );
        Ok(())
    }

    /// Runs the first block here, and the second one at the other end of the `ssh` that the first one starts.
    async fn run_over_ssh(&self, near: &Block, far: &Block) -> Result<()> {
        let home = self.world.home();
        let host = Host::named(&self.world, "build.example.com").await?;
        let mut here = self.world.spawn(self.command(&home, &near.text))?;
        for socket in [
            host.home().join(".ciba/agent.sock"),
            home.join("../run/ciba/build.sock"),
        ] {
            until("the sockets", PATIENCE, async || socket.exists().then_some(())).await?;
        }
        for line in far.text.lines() {
            here.write_line(line).await?;
        }
        let is_length = |line: &str| line.trim().parse::<u32>().ok();
        let length = here.wait_line("a token's length", PATIENCE, is_length).await?;
        ensure!(length > 1, "a token has more bytes than the end of its line");
        here.close_stdin();
        here.exit(PATIENCE).await?;
        Ok(())
    }
}

/// The services of the page.
fn hosts(home: &Path) -> [(&'static str, Offer, Service); 9] {
    let function = |answer: fn(&Parts) -> Response| Service::Function(Box::new(move |head, _| answer(head)));
    let crates = home.join("demo");
    let wheel = home.join(wheel::NAME);
    [
        (
            "git.example.com",
            // An older git takes Basic.
            Offer::Both,
            Service::Git(home.join("repositories")),
        ),
        (
            "api.example.com",
            Offer::Both,
            function(|_| "hello\n".into_response()),
        ),
        ("registry.example.com", Offer::Basic, function(docker::registry)),
        ("k8s.example.com", Offer::Bearer, function(kubectl::cluster)),
        (
            "crates.example.com",
            Offer::Bearer,
            Service::Function(Box::new(move |head, _| registry(&crates, head))),
        ),
        ("goproxy.example.com", Offer::Bearer, function(go::proxy)),
        (
            "pypi.example.com",
            Offer::Basic,
            Service::Function(Box::new(move |head, _| index(&wheel, head))),
        ),
        ("npm.example.com", Offer::Bearer, function(npm::registry)),
        (
            "sts.eu-central-1.amazonaws.com",
            Offer::Open,
            Service::Function(Box::new(|_, body| tokens_for_keys(body))),
        ),
    ]
}

/// Two registries of cargo, with the crate `demo` in both.
fn registry(demo: &Path, head: &Parts) -> Response {
    let path = head.uri.path();
    match path.rsplit('/').next() {
        Some("config.json") => {
            let url = "https://crates.example.com/download/{crate}-{version}.crate";
            json(&object!({ "dl": url, "auth-required": true }))
        }
        Some("demo") => {
            let checksum = fs::read_to_string(demo.join("checksum")).unwrap_or_default();
            json(
                &object!({ "name": "demo", "vers": "0.1.0", "deps": [], "features": {}, "yanked": false,
                "cksum": checksum.trim() }),
            )
        }
        Some("demo-0.1.0.crate") => file(&demo.join("target/package/demo-0.1.0.crate")),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// An index of Python packages, to download from and to upload to.
fn index(wheel: &Path, head: &Parts) -> Response {
    match head.uri.path() {
        "/simple/demo-pkg/" => Html(format!(
            "<!DOCTYPE html><a href=\"/files/{0}\">{0}</a>",
            wheel::NAME
        ))
        .into_response(),
        path if path.ends_with(".whl") => file(wheel),
        "/legacy/" if head.method == Method::POST => StatusCode::OK.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn file(path: &Path) -> Response {
    fs::read(path).map_or_else(
        |_| StatusCode::NOT_FOUND.into_response(),
        axum::response::IntoResponse::into_response,
    )
}

/// AWS's token service: keys for a token, and who the keys' owner is.
fn tokens_for_keys(body: &[u8]) -> Response {
    let text = String::from_utf8_lossy(body);
    let answer = match text.contains("AssumeRoleWithWebIdentity") {
        true if !text.contains("WebIdentityToken=ey") => return StatusCode::FORBIDDEN.into_response(),
        true => {
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
            <AccessKeyId>AKIADEMO</AccessKeyId><SecretAccessKey>demo</SecretAccessKey><SessionToken>demo</SessionToken>\
            <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser>\
            <Arn>arn:aws:sts::123456789012:assumed-role/demo/ciba</Arn><AssumedRoleId>A:ciba</AssumedRoleId></AssumedRoleUser>\
            </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        }
        false => {
            "<GetCallerIdentityResponse><GetCallerIdentityResult><UserId>A:ciba</UserId><Account>123456789012</Account>\
            <Arn>arn:aws:sts::123456789012:assumed-role/demo/ciba</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"
        }
    };
    ([(CONTENT_TYPE, "text/xml")], answer).into_response()
}

#[tokio::test]
async fn every_block_of_the_helpers_page_runs_as_it_is_written() -> Result<()> {
    let stage = Stage::set().await?;
    let blocks = blocks(PAGE, "sh")?;
    assert!(
        blocks.len() >= 20,
        "the page is not read as it should be: {}",
        blocks.len()
    );
    let mut rest = blocks.iter().enumerate();
    while let Some((number, block)) = rest.next() {
        if block.section == SSH {
            let (_, far) = rest.next().context("the other machine's block")?;
            stage.run_over_ssh(block, far).await?;
        } else {
            stage.run(number, block).await?;
        }
    }
    for (host, gate) in stage.internet.gates() {
        let seen = gate.seen();
        assert!(
            seen.last().is_some_and(|last| last.status == 200),
            "{host}: {seen:?}"
        );
    }
    let api = stage.internet.gates()["api.example.com"].seen();
    assert!(api.iter().all(|seen| seen.status == 200), "{api:?}");
    Ok(())
}

#[tokio::test]
async fn the_readme_s_block_of_helpers_runs_as_it_is_written() -> Result<()> {
    let stage = Stage::set().await?;
    let links = blocks(PAGE, "sh")?;
    stage
        .run(0, links.first().context("the page's first block")?)
        .await?;
    let blocks = blocks(README, "console")?;
    let block = blocks.iter().find(|block| block.text.contains("ciba git setup"));
    let lines = block.context("the helpers' block")?.text.lines();
    let commands: Vec<&str> = lines.filter_map(|line| line.strip_prefix("$ ")).collect();
    let home = stage.world.home();
    let printed = stage.bash(&home, &commands.join("\n")).await?.success();
    assert!(printed.lines().any(|line| line == "hello"), "{printed}");
    let more = "git clone https://git.example.com/team/app.git; docker manifest inspect registry.example.com/app:latest";
    let _ = stage.bash(&home, more).await?.success();
    Ok(())
}
