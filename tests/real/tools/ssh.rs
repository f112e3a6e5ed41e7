//! `ciba forward` through a real `sshd`: the other side has a token of the named resource, and nothing else.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ciba_tests::{Output, PATIENCE, Process, World, binary, free_port, until};
use rustix::process::Signal;

use super::workplace::logged_in;
use crate::site::RESOURCE;

/// By its absolute path, which it starts itself by.
const SSHD: &str = "/usr/sbin/sshd";

/// A server of this user alone, on loopback, with keys of its own.
pub(super) struct Host {
    folder: PathBuf,
    port: u16,
    _sshd: Process,
}

impl Host {
    async fn start(world: &World) -> Result<Self> {
        Self::configured(world, "").await
    }

    /// A host that the home's `ssh` knows by this name, and whose home is [`Host::home`].
    pub(super) async fn named(world: &World, name: &str) -> Result<Self> {
        let path = world.home().join("ssh/home");
        let programs = binary("ciba");
        let programs = programs.parent().context("it lies in a folder")?;
        // The program takes the home from the list of users, whatever the environment says: so it is changed on the way.
        let lines = format!(
            "ForceCommand cd {0} && HOME={0} PATH={1}:$PATH CIBA_DAEMON=/nonexistent exec sh -c \"${{SSH_ORIGINAL_COMMAND:-sh}}\"\n",
            path.display(),
            programs.display()
        );
        let host = Self::configured(world, &lines).await?;
        fs::create_dir(host.home())?;
        let file = |name: &str| host.folder.join(name).display().to_string();
        let config = format!(
            "Host {name}\nHostName 127.0.0.1\nPort {}\nIdentityFile {}\nIdentitiesOnly yes\nBatchMode yes\nUserKnownHostsFile {}\n",
            host.port,
            file("user"),
            file("known_hosts")
        );
        fs::write(file("config"), config)?;
        // It takes its configuration from that home as well.
        let ssh = world.home().join(".local/bin/ssh");
        fs::write(
            &ssh,
            format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", file("config")),
        )?;
        fs::set_permissions(ssh, fs::Permissions::from_mode(0o700))?;
        Ok(host)
    }

    /// The home of those who come by [`Host::named`].
    pub(super) fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    async fn configured(world: &World, lines: &str) -> Result<Self> {
        let folder = world.home().join("ssh");
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        for key in ["host", "user"] {
            let mut keygen = world.command("ssh-keygen");
            keygen
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(folder.join(key));
            let _ = run(world, keygen).await?.success();
        }
        let port = free_port()?;
        fs::write(folder.join("sshd_config"), configuration(&folder, port) + lines)?;
        let host = fs::read_to_string(folder.join("host.pub"))?;
        fs::write(folder.join("known_hosts"), format!("[127.0.0.1]:{port} {host}"))?;
        // Where the program wants it; only root has to have it.
        let _ = fs::create_dir_all("/run/sshd");
        let mut sshd = world.command(SSHD);
        sshd.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
        let mut sshd = world
            .spawn(sshd)
            .context("tests/setup.sh installs openssh-server")?;
        let is_ready = |line: &str| line.starts_with("Server listening").then_some(());
        sshd.wait_line("that it listens", PATIENCE, is_ready).await?;
        Ok(Self {
            folder,
            port,
            _sshd: sshd,
        })
    }

    /// Runs a line there, with its socket `far` led to the socket `near` here.
    async fn run(&self, world: &World, (far, near): (&Path, &Path), line: &str) -> Result<Output> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        let mut ssh = world.command("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "BatchMode=yes",
            "-i",
            &file("user"),
        ]);
        ssh.args(["-o", &format!("UserKnownHostsFile={}", file("known_hosts"))]);
        ssh.args([
            "-o",
            "ExitOnForwardFailure=yes",
            "-p",
            &self.port.to_string(),
            "-R",
        ]);
        ssh.arg(format!("{}:{}", far.display(), near.display()));
        ssh.args(["127.0.0.1", line]);
        run(world, ssh).await
    }
}

async fn run(world: &World, command: tokio::process::Command) -> Result<Output> {
    let mut process = world.spawn(command)?;
    process.close_stdin();
    Output::of(&mut process).await
}

fn configuration(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
         PermitRootLogin prohibit-password\nPidFile none\nStreamLocalBindUnlink yes\n"
    )
}

#[tokio::test]
async fn the_other_side_of_ssh_has_the_named_token_alone() -> Result<()> {
    let (world, _server) = logged_in().await?;
    let host = Host::start(&world).await?;
    let mut forward = world.spawn_ciba(&["forward", "--resource", RESOURCE])?;
    let path = |line: &str| line.starts_with('/').then(|| PathBuf::from(line));
    let near = forward.wait_line("the socket", PATIENCE, path).await?;
    let far = host.folder.join("agent.sock");
    let sockets = (far.as_path(), near.as_path());
    let there = |line: &str| {
        let ciba = binary("ciba");
        let (far, ciba) = (far.display(), ciba.display());
        format!("export CIBA_SOCKET={far} CIBA_DAEMON=/nonexistent; ciba() {{ {ciba} \"$@\"; }}; {line}")
    };
    let token = world.ciba(&["token"]).await?.success();
    ensure!(!token.is_empty(), "a token here");
    // Again and again: ssh leaves its socket behind, and StreamLocalBindUnlink takes it away.
    for line in ["ciba token", "ciba exec -- sh -c 'echo $CIBA_TOKEN'"] {
        let got = host.run(&world, sockets, &there(line)).await?.success();
        assert_eq!(got, token, "{line}");
    }
    for (line, status) in [
        ("ciba token --resource urn:d:other", 2),
        ("ciba token --profile other", 2),
        ("ciba status", 2),
        ("ciba stop --all", 2),
        ("ciba curlrc https://api.example.com", 2),
        ("echo api.example.com | ciba docker-credential get", 2),
    ] {
        let refused = host.run(&world, sockets, &there(line)).await?;
        assert_eq!(refused.code(), Some(status), "{line}: {refused:?}");
        assert!(!format!("{refused:?}").contains(&token), "{line}");
    }
    let helper = host
        .run(&world, sockets, &there("ciba curlrc https://api.example.com"))
        .await?;
    assert!(helper.stderr.contains("ciba token, or: ciba exec"), "{helper:?}");
    assert_eq!(
        world.ciba(&["token"]).await?.success(),
        token,
        "the login is as it was"
    );

    forward.signal(Signal::TERM)?;
    forward.exit(PATIENCE).await?;
    until("the socket to go", PATIENCE, async || {
        (!near.exists()).then_some(())
    })
    .await?;
    assert_ne!(
        host.run(&world, sockets, &there("ciba token")).await?.code(),
        Some(0)
    );
    Ok(())
}
