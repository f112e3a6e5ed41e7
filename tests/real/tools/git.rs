//! Real gits, before and after 2.46, clone, fetch and push through `ciba git-credential` at a gate before
//! `git http-backend`.

use std::path::{Path, PathBuf};
use std::process::Command as Blocking;

use anyhow::{Context, Result, bail};
use ciba_tests::{Gate, Offer, Output, PATIENCE, Server, Service, World, binary, confirm, until};
use tokio::process::Command;

use super::workplace::{assert_no_token, logged_in, rule};
use crate::site::{Site, UNASKED};

/// Where gits lie, the newer ones first.
const GITS: [&str; 2] = ["/usr/local/bin/git", "/usr/bin/git"];

/// The first version that sends other schemes than Basic.
const BEARER: (u32, u32) = (2, 46);

/// Returns a git of this machine that can send Bearer, or one that cannot; `None` where it has none of these.
fn git(can_bearer: bool) -> Option<PathBuf> {
    let fits = |path: &&str| version(path).is_some_and(|version| (version >= BEARER) == can_bearer);
    GITS.into_iter().find(fits).map(PathBuf::from)
}

fn version(git: &str) -> Option<(u32, u32)> {
    let output = Blocking::new(git).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A login, a repository behind a gate, and a git that asks our helper for every service.
struct Scene {
    world: World,
    gate: Gate,
    git: PathBuf,
    /// Ends when this does.
    _server: Option<Server>,
}

impl Scene {
    async fn new(git: &Path, offer: Offer) -> Result<Self> {
        let (world, server) = logged_in().await?;
        let scene = Self::of(world, &server.url, git, offer).await?;
        rule(&scene.world, &scene.gate.url, "").await?;
        Ok(Self {
            _server: Some(server),
            ..scene
        })
    }

    async fn of(world: World, issuer: &str, git: &Path, offer: Offer) -> Result<Self> {
        let root = world.home().join("repositories");
        let gate = Gate::start(issuer, offer, Service::Git(root.clone())).await?;
        let scene = Self {
            world,
            gate,
            git: git.to_owned(),
            _server: None,
        };
        scene.configure().await?;
        scene.repository(&root).await?;
        Ok(scene)
    }

    async fn configure(&self) -> Result<()> {
        let helper = format!("{} git-credential", binary("ciba").display());
        for (key, value) in [
            ("credential.helper", helper.as_str()),
            ("user.name", "Alice"),
            ("user.email", "alice@example.com"),
            ("init.defaultBranch", "main"),
        ] {
            let _ = self.git(&["config", "--global", key, value]).await?.success();
        }
        Ok(())
    }

    /// Makes a bare repository with one commit.
    async fn repository(&self, root: &Path) -> Result<()> {
        let bare = root.join("team/app.git").display().to_string();
        let _ = self.git(&["init", "--quiet", "--bare", &bare]).await?.success();
        let _ = self
            .git(&["-C", &bare, "config", "http.receivepack", "true"])
            .await?
            .success();
        let _ = self.git(&["clone", "--quiet", &bare, "seed"]).await?.success();
        self.commit("seed").await?;
        let _ = self
            .git(&["-C", "seed", "push", "--quiet", "origin", "HEAD:main"])
            .await?
            .success();
        Ok(())
    }

    async fn commit(&self, folder: &str) -> Result<()> {
        let arguments = ["-C", folder, "commit", "--quiet", "--allow-empty", "-m", "change"];
        let _ = self.git(&arguments).await?.success();
        Ok(())
    }

    /// The repository's URL behind the gate.
    fn url(&self) -> String {
        format!("{}/team/app.git", self.gate.url)
    }

    /// Runs git to its end, without a terminal, and with leave to prompt.
    async fn git(&self, arguments: &[&str]) -> Result<Output> {
        let mut process = self.world.spawn(self.command(arguments))?;
        process.close_stdin();
        Output::of(&mut process).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // In a session of its own it has no terminal, whoever runs this test.
        let mut command = self.world.command("setsid");
        command
            .args(["--wait".as_ref(), self.git.as_os_str()])
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "1")
            .env("LC_ALL", "C");
        command
    }

    async fn clone(&self) -> Result<Output> {
        self.git(&["clone", "--quiet", &self.url(), "work"]).await
    }

    async fn work(&self) -> Result<()> {
        let _ = self.clone().await?.success();
        let _ = self.git(&["-C", "work", "fetch", "--quiet"]).await?.success();
        self.commit("work").await?;
        let _ = self.push().await?.success();
        Ok(())
    }

    async fn push(&self) -> Result<Output> {
        self.git(&["-C", "work", "push", "--quiet", "origin", "HEAD:main"])
            .await
    }

    /// The schemes of what was shown at the gate.
    fn schemes(&self) -> Vec<String> {
        let seen = self.gate.seen();
        let shown = seen.iter().filter_map(|seen| seen.authorization.as_deref());
        let mut schemes: Vec<_> = shown
            .filter_map(|value| Some(value.split_once(' ')?.0.to_owned()))
            .collect();
        schemes.dedup();
        schemes
    }
}

#[tokio::test]
async fn clone_fetch_and_push_with_bearer_and_with_basic() -> Result<()> {
    for (can_bearer, offer, scheme) in [
        (true, Offer::Bearer, "Bearer"),
        (true, Offer::Both, "Bearer"),
        (true, Offer::Basic, "Basic"),
        (false, Offer::Both, "Basic"),
        (false, Offer::Basic, "Basic"),
    ] {
        let Some(git) = git(can_bearer) else { continue };
        let scene = Scene::new(&git, offer).await?;
        scene.work().await?;
        assert_eq!(scene.schemes(), [scheme], "{offer:?}");
        assert!(
            scene
                .gate
                .seen()
                .iter()
                .any(|seen| seen.path.ends_with("git-receive-pack") && seen.status == 200)
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_token_is_replaced_within_one_command_and_not_shown_again() -> Result<()> {
    let Some(git) = git(true) else { return Ok(()) };
    for offer in [Offer::Bearer, Offer::Basic] {
        let scene = Scene::new(&git, offer).await?;
        scene.work().await?;
        let old = scene.gate.tokens().pop().context("a token was shown")?;
        scene.gate.revoke(&old);
        scene.commit("work").await?;
        let before = scene.gate.tokens().len();
        let _ = scene.push().await?.success();
        let shown = scene.gate.tokens().split_off(before);
        assert_eq!(
            shown.iter().filter(|token| **token == old).count(),
            1,
            "{offer:?}"
        );
        assert_ne!(shown.last(), Some(&old));
        scene.commit("work").await?;
        let before = scene.gate.tokens().len();
        let _ = scene.push().await?.success();
        assert!(!scene.gate.tokens().split_off(before).contains(&old));
    }
    Ok(())
}

#[tokio::test]
async fn an_old_git_says_erase_and_its_next_command_has_a_new_token() -> Result<()> {
    let Some(git) = git(false) else { return Ok(()) };
    let scene = Scene::new(&git, Offer::Both).await?;
    scene.work().await?;
    let old = scene.gate.tokens().pop().context("a token was shown")?;
    scene.gate.revoke(&old);
    scene.commit("work").await?;
    let failed = scene.push().await?;
    assert_eq!(failed.code(), Some(128), "{failed:?}");
    let _ = scene.push().await?.success();
    assert_ne!(scene.gate.tokens().last(), Some(&old));
    Ok(())
}

#[tokio::test]
async fn a_token_that_is_refused_twice_is_the_end() -> Result<()> {
    let Some(git) = git(true) else { return Ok(()) };
    let scene = Scene::new(&git, Offer::Bearer).await?;
    // No token of ours is of that issuer.
    let other = Gate::start("http://other", Offer::Bearer, Service::Git(scene.world.home())).await?;
    rule(&scene.world, &other.url, "").await?;
    let failed = scene.git(&["ls-remote", &other.url]).await?;
    assert_eq!(failed.code(), Some(128), "{failed:?}");
    assert_eq!(other.tokens().len(), 2, "{:?}", other.seen());
    Ok(())
}

#[tokio::test]
async fn a_token_that_expires_in_between_is_renewed() -> Result<()> {
    let short = ["--at-ttl", "5", "--rotate", "true"];
    for can_bearer in [true, false] {
        let Some(git) = git(can_bearer) else { continue };
        let site = Site::new(&[&UNASKED[..], &short].concat()).await?;
        let server = site.server().await?;
        let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
        confirm(&login.page).await?;
        let _ = login.end().await?.success();
        let issuer = site.idp.issuer.clone();
        let scene = Scene::of(site.world, &issuer, &git, Offer::Both).await?;
        rule(&scene.world, &scene.gate.url, "").await?;
        scene.work().await?;
        let first = scene.gate.tokens().pop().context("a token was shown")?;
        // A fetch that is good with another token: the first has ended, or was renewed ahead of its end.
        until("another token", PATIENCE, async || {
            let fetched = scene.git(&["-C", "work", "fetch", "--quiet"]).await.ok()?;
            let _ = fetched.success();
            (scene.gate.tokens().last() != Some(&first)).then_some(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_no_rule_names_gets_no_token() -> Result<()> {
    for can_bearer in [true, false] {
        let Some(git) = git(can_bearer) else { continue };
        let scene = Scene::new(&git, Offer::Both).await?;
        let root = scene.world.home().join("repositories");
        let other = Gate::start("http://", Offer::Both, Service::Git(root)).await?;
        for url in [
            // Another port, another name of the same machine, and the good name as a user of another service.
            format!("http://127.0.0.1:{}/team/app.git", other.port),
            format!("http://localhost:{}/team/app.git", other.port),
            format!("http://127.0.0.1@127.0.0.1:{}/team/app.git", other.port),
        ] {
            let failed = scene.git(&["ls-remote", &url]).await?;
            assert_eq!(failed.code(), Some(128), "{url}: {failed:?}");
            assert!(!failed.stderr.contains("ciba:"), "{url}: {failed:?}");
        }
        assert_no_token(&other);
    }
    Ok(())
}

#[tokio::test]
async fn a_service_that_looks_alike_gets_no_token() -> Result<()> {
    let Some(git) = git(true) else { return Ok(()) };
    let scene = Scene::new(&git, Offer::Both).await?;
    rule(&scene.world, "*.example.com", "tool = [\"git\"]").await?;
    for host in [
        "evil-example.com",
        "example.com.evil.org",
        "example.com",
        "git.example.com@evil.org",
    ] {
        let request = format!("protocol=https\nhost={host}\n");
        let answer = credential(&scene, &request).await?;
        assert_eq!(answer.stdout, "", "{host}");
    }
    let answer = credential(&scene, "protocol=http\nhost=git.example.com\n").await?;
    assert_eq!(answer.stdout, "", "not over plain http: {answer:?}");
    let answer = credential(&scene, "protocol=https\nhost=git.example.com\n").await?;
    assert!(answer.success().contains("password="));
    Ok(())
}

/// Asks the helper as git does.
async fn credential(scene: &Scene, request: &str) -> Result<Output> {
    let mut process = scene.world.spawn_ciba(&["git-credential", "get"])?;
    for line in request.lines() {
        process.write_line(line).await?;
    }
    process.close_stdin();
    Output::of(&mut process).await
}

#[tokio::test]
async fn a_redirect_takes_no_token_along() -> Result<()> {
    for can_bearer in [true, false] {
        let Some(git) = git(can_bearer) else { continue };
        let scene = Scene::new(&git, Offer::Both).await?;
        let root = scene.world.home().join("repositories");
        let other = Gate::start("http://", Offer::Both, Service::Git(root)).await?;
        let _ = scene.clone().await?.success();
        scene.gate.redirect(&other.url);
        let failed = scene.git(&["-C", "work", "fetch", "--quiet"]).await?;
        assert_eq!(failed.code(), Some(128), "{failed:?}");
        assert_no_token(&other);
    }
    Ok(())
}

#[tokio::test]
async fn without_a_login_git_fails_at_once_and_says_what_to_type() -> Result<()> {
    for can_bearer in [true, false] {
        let Some(git) = git(can_bearer) else { continue };
        let world = World::new()?;
        let scene = Scene::of(world, "http://", &git, Offer::Both).await?;
        rule(&scene.world, &scene.gate.url, "").await?;
        let failed = scene.clone().await?;
        assert_eq!(failed.code(), Some(128), "{failed:?}");
        let ours: Vec<_> = failed
            .stderr
            .lines()
            .filter(|line| line.starts_with("ciba:"))
            .collect();
        let [line] = ours.as_slice() else {
            bail!("one line: {failed:?}")
        };
        assert!(line.contains("ciba start"), "{line}");
        assert!(!failed.stderr.contains("could not read Username"), "{failed:?}");
        assert_no_token(&scene.gate);
    }
    Ok(())
}

#[tokio::test]
async fn setup_tells_git_of_the_hosts_in_rules_once() -> Result<()> {
    let scene = Scene::new(&git(true).or_else(|| git(false)).context("a git")?, Offer::Both).await?;
    let wrong = "!echo username=wrong; echo password=wrong";
    let _ = scene
        .git(&["config", "--global", "--replace-all", "credential.helper", wrong])
        .await?
        .success();
    let printed = scene.world.ciba(&["git", "setup", "--print"]).await?.success();
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert_ne!(scene.clone().await?.code(), Some(0), "nothing has changed yet");
    let said = scene.world.ciba(&["git", "setup"]).await?;
    assert!(
        said.stderr.contains(&scene.gate.url) && said.code() == Some(0),
        "{said:?}"
    );
    let before = std::fs::read(scene.world.home().join(".gitconfig"))?;
    let again = scene.world.ciba(&["git", "setup"]).await?;
    assert!(again.stderr.contains("already"), "{again:?}");
    assert_eq!(std::fs::read(scene.world.home().join(".gitconfig"))?, before);
    let shown = scene.gate.tokens().len();
    let _ = scene.clone().await?.success();
    assert!(!scene.gate.tokens().split_off(shown).contains(&"wrong".to_owned()));
    Ok(())
}
