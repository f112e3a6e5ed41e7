//! A person at a terminal of their own: a command under `script`, what it shows, and what the person types.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process::Process;
use crate::wait::{PATIENCE, until};
use crate::world::World;

/// A shell command at a terminal.
pub struct Seat {
    terminal: Process,
    /// What the terminal shows.
    screen: PathBuf,
}

impl Seat {
    /// Runs a line of shell at a new terminal; one at a time in a home.
    pub fn take(world: &World, line: &str) -> Result<Self> {
        let screen = world.home().join("screen");
        // What an earlier one showed is no answer to this one.
        fs::write(&screen, "")?;
        let mut script = world.command("script");
        script.args(["-qfec", line]).arg(&screen);
        script.env("TERM", "xterm");
        let terminal = world.spawn(script)?;
        Ok(Self { terminal, screen })
    }

    /// Waits until the terminal shows this text.
    pub async fn until_shown(&self, text: &str) -> Result<()> {
        until(text, PATIENCE, async || {
            let screen = fs::read_to_string(&self.screen).ok()?;
            screen.contains(text).then_some(())
        })
        .await
    }

    /// Types a line.
    pub async fn write_line(&mut self, line: &str) -> Result<()> {
        self.terminal.write_line(line).await
    }

    /// Waits for the end, and returns what the terminal has shown.
    pub async fn end(mut self) -> Result<String> {
        let ended = self.terminal.exit(PATIENCE).await;
        let screen = fs::read_to_string(&self.screen)?;
        ended.with_context(|| screen.clone())?;
        Ok(screen)
    }
}
