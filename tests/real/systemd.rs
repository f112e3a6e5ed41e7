//! The units as shipped, under a real systemd with a user instance: the daemon's life as a service, and the server's.

use anyhow::{Context as _, Result, ensure};
use ciba_tests::{BIN, Idp, Login, PATIENCE, Server, Systemd, World, confirm, free_port, sign_in, until};
use serde_json::Value;

use crate::site::{RESOURCE, UNASKED, provider};

const SERVICE: &str = "cibad.service";
const SOCKET: &str = "cibad.socket";

#[tokio::test]
async fn the_first_client_starts_the_service_and_systemd_keeps_it_alive() -> Result<()> {
    let Some(systemd) = Systemd::boot().await? else {
        return Ok(());
    };
    install(&systemd).await?;
    verify(&systemd, "--user ~/.config/systemd/user/cibad.*").await?;

    assert_eq!(systemd.property(SERVICE, "ActiveState").await?, "inactive");
    let first = status(&systemd).await?;
    assert_eq!(
        systemd.property(SERVICE, "MainPID").await?,
        first["pid"].to_string()
    );
    let text = systemd.property(SERVICE, "StatusText").await?;
    assert!(
        text.starts_with("cibad ") && text.contains("/ciba/agent.sock"),
        "{text}"
    );

    secrets_are_safe(&systemd, &first).await?;
    reload(&systemd).await?;
    restarts_after_a_crash(&systemd).await?;
    restarts_when_it_hangs(&systemd).await?;
    stops_and_starts_by_its_socket(&systemd).await?;
    uninstall(&systemd).await
}

/// Before the service there was a daemon of the user's own; beside it a person starts one by hand.
#[tokio::test]
async fn there_is_one_daemon_however_it_was_started() -> Result<()> {
    let Some(systemd) = Systemd::boot().await? else {
        return Ok(());
    };
    let _ = systemd.user("cibad").await?.success();
    let own = status(&systemd).await?["pid"].to_string();
    let said = systemd.user("ciba service install").await?;
    assert!(
        said.stderr.starts_with("asked the running cibad to leave"),
        "{said:?}"
    );
    let service = status(&systemd).await?["pid"].to_string();
    assert_ne!(service, own);
    assert_eq!(systemd.property(SERVICE, "MainPID").await?, service);

    // By hand: systemd listens, so its daemon is asked, and starts if it must.
    for before in ["true", "systemctl --user stop cibad.service"] {
        let _ = systemd.user(before).await?.success();
        let _ = systemd.user("cibad").await?.success();
        let pid = status(&systemd).await?["pid"].to_string();
        assert_eq!(systemd.property(SERVICE, "MainPID").await?, pid);
    }

    // A socket that systemd takes from a daemon that serves: the service says who is in its way.
    systemd
        .ask("systemctl --user stop cibad.socket cibad.service")
        .await?;
    let _ = systemd.user("cibad").await?.success();
    let own = status(&systemd).await?["pid"].to_string();
    systemd.ask("systemctl --user start cibad.socket").await?;
    let _ = systemd.user("systemctl --user start cibad.service").await?;
    let reason = format!(
        "another cibad (pid {own}) serves already, outside the service manager; end it with: kill {own}"
    );
    until("the reason in the journal", PATIENCE, async || {
        systemd
            .journal(SERVICE)
            .await
            .ok()?
            .contains(&reason)
            .then_some(())
    })
    .await?;
    systemd.ask(&format!("kill {own}")).await?;
    until("the service", PATIENCE, async || {
        let pid = status(&systemd).await.ok()?["pid"].to_string();
        (pid != own).then_some(())
    })
    .await
}

/// One login is in the user's kernel keyring, the other nowhere but in the daemon's memory.
#[tokio::test]
async fn logins_outlive_a_crash_and_an_upgrade() -> Result<()> {
    let Some(systemd) = Systemd::boot().await? else {
        return Ok(());
    };
    let world = World::new()?;
    let server = world.server_dev().await?;
    let _ = systemd.user("ciba service install").await?.success();
    log_in(&systemd, &server, "kept", "kernel").await?;

    let before = systemd.property(SERVICE, "MainPID").await?;
    systemd
        .ask("systemctl --user kill --kill-whom=main --signal=KILL cibad.service")
        .await?;
    systemd
        .until_property(SERVICE, "NRestarts", |count| count == "1")
        .await?;
    token(&systemd, "kept").await?;
    let pid = systemd.property(SERVICE, "MainPID").await?;
    assert_ne!(pid, before);

    log_in(&systemd, &server, "unkept", "memory").await?;
    for how in ["systemctl --user reload cibad.service", "ciba restart"] {
        upgrade(&systemd, how).await?;
        assert_eq!(systemd.property(SERVICE, "MainPID").await?, pid);
        for profile in ["kept", "unkept"] {
            token(&systemd, profile).await?;
        }
        assert_eq!(status(&systemd).await?["memory_locked"], true);
    }
    let log = systemd.journal(SERVICE).await?;
    assert_eq!(log.matches("taken over sessions=2").count(), 2, "{log}");
    assert_eq!(systemd.property(SERVICE, "NRestarts").await?, "1");
    systemd.ask("ciba stop --all").await?;
    systemd
        .until_property(SERVICE, "ActiveState", |state| state == "inactive")
        .await
        .map(drop)
}

async fn log_in(systemd: &Systemd, server: &Server, profile: &str, keychain: &str) -> Result<()> {
    let start = format!(
        "ciba start --no-browser --profile {profile} --keychain {keychain} --url {}",
        server.url
    );
    let login = Login::of(systemd.spawn_user(&start)?).await?;
    sign_in(&login.page, "alice", "demo").await?;
    let _ = login.end().await?.success();
    token(systemd, profile).await
}

async fn token(systemd: &Systemd, profile: &str) -> Result<()> {
    let token = systemd.ask(&format!("ciba token --profile {profile}")).await?;
    ensure!(token.split('.').count() == 3, "no JWT");
    Ok(())
}

/// Installs the program anew, lets it take over, and waits until it has; clients find a daemon all the while.
async fn upgrade(systemd: &Systemd, how: &str) -> Result<()> {
    let _ = systemd
        .root(&format!("cd {BIN} && cp cibad cibad.new && mv cibad.new cibad"))
        .await?
        .success();
    let pid = systemd.property(SERVICE, "MainPID").await?;
    let program = format!("readlink /proc/{pid}/exe");
    let old = format!("{BIN}/cibad (deleted)");
    assert_eq!(systemd.root(&program).await?.success(), old);
    systemd.ask(how).await?;
    until("the new program", PATIENCE, async || {
        let clients = systemd.user("ciba status").await.ok()?;
        assert!(clients.status.success(), "{clients:?}");
        (systemd.root(&program).await.ok()?.success() != old).then_some(())
    })
    .await?;
    systemd
        .until_property(SERVICE, "ActiveState", |state| state == "active")
        .await
        .map(drop)
}

/// Says what it did, changes nothing the second time, and shows without doing.
async fn install(systemd: &Systemd) -> Result<()> {
    let shown = systemd.ask("ciba service install --print").await?;
    assert!(
        shown.contains(&format!("\nExecStart={BIN}/cibad --foreground\n")),
        "{shown}"
    );
    assert_eq!(systemd.ask("ciba service status").await?, "not installed");

    let said = systemd.user("ciba service install").await?;
    let units = "/home/tester/.config/systemd/user";
    assert_eq!(
        said.stderr,
        format!(
            "wrote {units}/cibad.socket\nwrote {units}/cibad.service\n\
             told systemd to read its units again\nenabled cibad.socket\n"
        )
    );
    let again: Value = serde_json::from_str(&systemd.ask("ciba service install --json").await?)?;
    let done = ["told systemd to read its units again", "enabled cibad.socket"];
    assert_eq!(again, serde_json::json!({"manager": "systemd", "done": done}));
    assert_eq!(systemd.property(SOCKET, "ActiveState").await?, "active");
    assert_eq!(
        systemd
            .ask("stat -c %a $XDG_RUNTIME_DIR/ciba $XDG_RUNTIME_DIR/ciba/agent.sock")
            .await?,
        "700\n600"
    );
    let status: Value = serde_json::from_str(&systemd.ask("ciba service status --json").await?)?;
    let all_is_well =
        serde_json::json!({"manager": "systemd", "installed": true, "current": true, "active": true});
    assert_eq!(status, all_is_well);
    Ok(())
}

/// What `systemd-analyze` has to say about units is an exit status for some mistakes and a line for others.
async fn verify(systemd: &Systemd, units: &str) -> Result<()> {
    let verified = systemd.user(&format!("systemd-analyze verify {units}")).await?;
    ensure!(
        verified.status.success() && verified.stderr.is_empty() && verified.stdout.is_empty(),
        "{verified:?}"
    );
    Ok(())
}

async fn status(systemd: &Systemd) -> Result<Value> {
    Ok(serde_json::from_str(&systemd.ask("ciba status --json").await?)?)
}

/// Locked memory, no core, nothing gained by execve, a filter in force, and the user's kernel keyring.
async fn secrets_are_safe(systemd: &Systemd, status: &Value) -> Result<()> {
    assert_eq!(status["memory_locked"], true);
    let pid = &status["pid"];
    let facts = systemd
        .root(&format!("cat /proc/{pid}/status /proc/{pid}/limits"))
        .await?
        .success();
    let fact = |name: &str| {
        let line = facts.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .context(name.to_owned())
    };
    assert_ne!(fact("VmLck:")?, "0 kB");
    assert_eq!(fact("Max core file size")?, "0 0 bytes");
    assert_eq!(fact("NoNewPrivs:")?, "1");
    assert_eq!(fact("Seccomp:")?, "2");
    Ok(())
}

/// A reload is heard, and the process stays.
async fn reload(systemd: &Systemd) -> Result<()> {
    let before = systemd.property(SERVICE, "MainPID").await?;
    let reloads =
        || async { Ok::<_, anyhow::Error>(systemd.journal(SERVICE).await?.matches("reloading").count()) };
    assert_eq!(reloads().await?, 0);
    systemd.ask("systemctl --user reload cibad.service").await?;
    until("a reload", PATIENCE, async || {
        (reloads().await.ok()? == 1).then_some(())
    })
    .await?;
    systemd
        .until_property(SERVICE, "ActiveState", |state| state == "active")
        .await?;
    assert_eq!(systemd.property(SERVICE, "MainPID").await?, before);
    Ok(())
}

async fn restarts_after_a_crash(systemd: &Systemd) -> Result<()> {
    let before = systemd.property(SERVICE, "MainPID").await?;
    systemd
        .ask("systemctl --user kill --kill-whom=main --signal=ABRT cibad.service")
        .await?;
    systemd
        .until_property(SERVICE, "NRestarts", |count| count == "1")
        .await?;
    let after = status(systemd).await?["pid"].to_string();
    assert_ne!(after, before);
    assert_eq!(
        systemd
            .until_property(SERVICE, "MainPID", |pid| pid != "0")
            .await?,
        after
    );
    Ok(())
}

async fn restarts_when_it_hangs(systemd: &Systemd) -> Result<()> {
    systemd
        .ask(
            "mkdir -p ~/.config/systemd/user/cibad.service.d; \
             printf '[Service]\\nWatchdogSec=2s\\nTimeoutStopSec=2s\\n' > ~/.config/systemd/user/cibad.service.d/test.conf; \
             systemctl --user daemon-reload; systemctl --user restart cibad.service",
        )
        .await?;
    let before = status(systemd).await?["pid"].to_string();
    // It goes on saying that it is well, and is left in peace.
    let mut last = String::from("0");
    for _ in 0..3 {
        last = systemd
            .until_property(SERVICE, "WatchdogTimestampMonotonic", |time| time != last)
            .await?;
    }
    assert_eq!(systemd.property(SERVICE, "NRestarts").await?, "0");
    assert_eq!(systemd.property(SERVICE, "MainPID").await?, before);
    systemd
        .ask("systemctl --user kill --kill-whom=main --signal=STOP cibad.service")
        .await?;
    systemd
        .until_property(SERVICE, "NRestarts", |count| count != "0")
        .await?;
    let log = systemd
        .root("journalctl --quiet --no-pager --output=cat")
        .await?
        .stdout;
    assert!(log.contains("cibad.service: Watchdog timeout"), "{log}");
    assert_ne!(status(systemd).await?["pid"].to_string(), before);
    systemd
        .ask("rm -r ~/.config/systemd/user/cibad.service.d; systemctl --user daemon-reload")
        .await
        .map(drop)
}

/// Left or stopped, it comes back with the next client: the socket stays systemd's.
async fn stops_and_starts_by_its_socket(systemd: &Systemd) -> Result<()> {
    let socket = "stat -c %i $XDG_RUNTIME_DIR/ciba/agent.sock";
    let before = systemd.ask(socket).await?;
    for end in ["systemctl --user stop cibad.service", "ciba stop --all"] {
        systemd.ask(end).await?;
        systemd
            .until_property(SERVICE, "ActiveState", |state| state == "inactive")
            .await?;
        assert_eq!(systemd.property(SERVICE, "Result").await?, "success");
        assert_eq!(systemd.ask(socket).await?, before);
        let pid = status(systemd).await?["pid"].to_string();
        assert_eq!(systemd.property(SERVICE, "MainPID").await?, pid);
    }
    Ok(())
}

async fn uninstall(systemd: &Systemd) -> Result<()> {
    let pid = systemd.property(SERVICE, "MainPID").await?;
    let said = systemd.user("ciba service uninstall").await?;
    assert!(said.status.success(), "{said:?}");
    assert!(said.stderr.contains("disabled cibad.socket\n"), "{}", said.stderr);
    let left = systemd
        .ask("find ~/.config/systemd $XDG_RUNTIME_DIR/ciba ! -type d ! -name agent.lock; systemctl --user list-unit-files 'cibad*' --no-legend || true")
        .await?;
    assert_eq!(left, "");
    assert!(
        !systemd
            .root(&format!("test -d /proc/{pid}"))
            .await?
            .status
            .success()
    );
    let again = systemd.user("ciba service uninstall").await?;
    assert_eq!(
        (again.code(), again.stderr.as_str()),
        (Some(0), "Nothing to do.\n")
    );
    Ok(())
}

/// The server as a user that exists only while it runs: its database is made on purpose, its secret is a credential.
#[tokio::test]
async fn the_server_runs_as_nobody_in_particular() -> Result<()> {
    let Some(systemd) = Systemd::boot().await? else {
        return Ok(());
    };
    verify(&systemd, "/etc/systemd/system/ciba-server*.service").await?;
    let url = format!("http://127.0.0.1:{}", free_port()?);
    let idp = configure(&systemd, &url).await?;

    let _ = systemd.root("systemctl start ciba-server.service").await?;
    let log = "journalctl --quiet --no-pager --output=cat --unit=ciba-server.service";
    until("a server without a database to say so", PATIENCE, async || {
        let log = systemd.root(log).await.ok()?.stdout;
        log.contains("systemctl start ciba-server-init").then_some(())
    })
    .await?;
    let start = "systemctl stop ciba-server; systemctl reset-failed ciba-server; \
                 systemctl start ciba-server-init.service && systemctl start ciba-server.service";
    let _ = systemd.root(start).await?.success();

    log_in_and_out(&url).await?;
    let facts = systemd
        .root("ps -C ciba-server -o user=; stat -L -c %a:%U /var/lib/ciba/ciba.db; ls /var/lib/private/ciba; cat /proc/$(pidof ciba-server)/environ")
        .await?
        .success();
    assert!(facts.starts_with("ciba-server\n600:ciba-server\n"), "{facts}");
    assert!(!facts.contains(&idp.client_secret), "{facts}");
    let exposure = systemd
        .root("systemd-analyze security --no-pager ciba-server.service")
        .await?;
    assert!(exposure.stdout.contains(" OK "), "{}", exposure.stdout);
    Ok(())
}

/// Puts root's files in their place, and returns the provider that they name.
async fn configure(systemd: &Systemd, url: &str) -> Result<Idp> {
    let idp = provider(url, &UNASKED).await?;
    let address = url.trim_start_matches("http://");
    let config = format!(
        "listen = \"{address}\"\nstore.url = \"sqlite:/var/lib/ciba/ciba.db\"\n[login]\nissuer = \"{}\"\n\
         client_id = \"{}\"\nclient_secret_file = \"secret\"\nresource = \"{RESOURCE}\"\n",
        idp.issuer, idp.client_id
    );
    let write = format!(
        "umask 077; mkdir /etc/ciba; cd /etc/ciba; printf %s '{config}' > ciba.toml; printf %s '{}' > secret",
        idp.client_secret
    );
    let _ = systemd.root(&write).await?.success();
    Ok(idp)
}

async fn log_in_and_out(url: &str) -> Result<()> {
    let world = World::new()?;
    let login = world.begin_login(&["start", "--url", url]).await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    let _ = world.ciba(&["token"]).await?.success();
    let _ = world.ciba(&["stop"]).await?.success();
    world.until_no_daemon().await
}
