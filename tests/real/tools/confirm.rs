//! The question before a token leaves: on a real terminal, and on a desktop whose notification service is of this test.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use ciba_tests::{Gate, Offer, Output, PATIENCE, Seat, Server, Service, World, until};

use super::workplace::{logged_in, rule};
use crate::notify::Desktop;

const CONFIRM: &str = "tool = [\"curl\"]\nconfirm = true";

/// Time between two presses of a button.
const GLANCE: Duration = Duration::from_millis(50);

/// What the person is asked, without the port.
const QUESTION: &str = "May curl have the token for urn:d:unified-gateway, to use at 127.0.0.1:";

/// A service with one page, whose token leaves after a question.
async fn gate(world: &World, server: &Server) -> Result<Gate> {
    let gate = Gate::start(&server.url, Offer::Bearer, Service::Files(world.home())).await?;
    fs::write(world.home().join("page"), "hello")?;
    rule(world, &gate.url, CONFIRM).await?;
    Ok(gate)
}

fn line(gate: &Gate) -> String {
    let ciba = ciba_tests::binary("ciba");
    let ciba = ciba.display();
    format!(
        "{ciba} curl -sS --fail {}/page < /dev/null; echo \"; status $?\"",
        gate.url
    )
}

#[tokio::test]
async fn a_person_at_a_terminal_lets_a_token_leave_or_not() -> Result<()> {
    let (world, server) = logged_in().await?;
    let gate = gate(&world, &server).await?;
    for (answer, shown, tokens) in [
        ("n", "said no", 0),
        ("", "status 5", 0),
        ("maybe", "status 5", 0),
        ("y", "hello; status 0", 1),
    ] {
        let mut seat = Seat::take(&world, &line(&gate))?;
        seat.until_shown(QUESTION).await?;
        seat.until_shown("? [y/N] ").await?;
        seat.write_line(answer).await?;
        let screen = seat.end().await?;
        assert!(screen.contains(shown), "{answer}: {screen}");
        assert_eq!(gate.tokens().len(), tokens, "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn a_job_in_the_background_is_not_stopped_by_the_question() -> Result<()> {
    let (world, server) = logged_in().await?;
    let gate = gate(&world, &server).await?;
    let line = format!("set -m; ({}) & wait", line(&gate));
    let seat = Seat::take(&world, &line)?;
    let screen = seat.end().await?;
    assert!(screen.contains("no place to ask"), "{screen}");
    assert!(screen.contains("status 5"), "{screen}");
    assert!(gate.tokens().is_empty());
    Ok(())
}

/// A person with a desktop, and no terminal.
async fn at_a_desktop(desktop: &Desktop) -> Result<(World, Gate, Server)> {
    let mut world = World::new()?;
    let (variable, address) = desktop.env();
    world.set(variable, address);
    let server = world.server_dev().await?;
    world.log_in(&server).await?;
    let gate = gate(&world, &server).await?;
    Ok((world, gate, server))
}

#[tokio::test]
async fn a_person_at_a_desktop_lets_a_token_leave_or_not() -> Result<()> {
    let desktop = Desktop::new(false).await?;
    let (world, gate, _server) = at_a_desktop(&desktop).await?;
    for (count, (button, status, tokens)) in [("deny", 5, 0), ("allow", 0, 1)].into_iter().enumerate() {
        let url = format!("{}/page", gate.url);
        let mut command = world.command("setsid");
        command.args(["--wait"]).arg(ciba_tests::binary("ciba"));
        command.args(["curl", "-sS", "--fail", &url]);
        let mut asking = world.spawn(command)?;
        asking.close_stdin();
        let shown = desktop.until_shown(count + 1).await?;
        let question = shown.last().context("a question")?;
        assert!(question.summary.starts_with(QUESTION), "{question:?}");
        assert_eq!(question.actions, ["allow", "Allow", "deny", "Deny"]);
        // The daemon listens for the button a moment after it has shown it.
        until("the answer to count", PATIENCE, async || {
            desktop.press(button).await.ok()?;
            asking.exit(GLANCE).await.ok()
        })
        .await?;
        let output = Output::of(&mut asking).await?;
        assert_eq!(output.code(), Some(status), "{output:?}");
        assert_eq!(gate.tokens().len(), tokens, "{button}");
    }
    Ok(())
}
