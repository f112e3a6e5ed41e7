//! A login that waits for its person: `ciba start`, or the one-shot, up to the page it asks them to open.

use anyhow::Result;
use serde_json::Value;

use crate::http_login::sign_in;
use crate::process::Process;
use crate::wait::{PATIENCE, until};
use crate::world::{Output, Server, World};

/// What stands before the code in the terminal.
const CODE_AFTER: &str = "Compare this code with the page: ";

/// A client that has printed its page and waits.
pub struct Login {
    /// The page the person opens.
    pub page: String,
    /// The code the page has to show.
    pub user_code: String,
    /// The waiting client.
    pub process: Process,
}

impl World {
    /// Begins a login: `arguments` are those of `ciba start` or of the one-shot, without a browser.
    pub async fn begin_login(&self, arguments: &[&str]) -> Result<Login> {
        Login::of(self.spawn_ciba(&[arguments, &["--no-browser"]].concat())?).await
    }
}

impl Login {
    /// Returns the login of a client that was started without a browser, once it has printed its page.
    pub async fn of(mut process: Process) -> Result<Self> {
        process.close_stdin();
        let page = process.wait_line("a page", PATIENCE, page_in).await?;
        let user_code = process
            .wait_line("a code", PATIENCE, |line| {
                line.strip_prefix(CODE_AFTER).map(str::to_owned)
            })
            .await?;
        Ok(Self {
            page,
            user_code,
            process,
        })
    }

    /// Waits for the client to end by itself.
    pub async fn end(mut self) -> Result<Output> {
        Output::of(&mut self.process).await
    }
}

impl World {
    /// Logs alice in at a `ciba-server dev`, for the default profile.
    pub async fn log_in(&self, server: &Server) -> Result<()> {
        let login = self.begin_login(&["start", "--url", &server.url]).await?;
        sign_in(&login.page, "alice", "demo").await?;
        let _ = login.end().await?.success();
        Ok(())
    }

    /// Returns what `ciba status --json` prints.
    pub async fn status(&self) -> Result<Value> {
        let printed = self.ciba(&["status", "--json"]).await?.success();
        Ok(serde_json::from_str(&printed)?)
    }

    /// Waits until the daemon has the link to the default profile's server as told: `connected`, `offline` …
    pub async fn until_link(&self, link: &str) -> Result<()> {
        let what = format!("the link to be {link}");
        until(&what, PATIENCE, async || {
            let status = self.status().await.ok()?;
            (status["profiles"][0]["link"] == link).then_some(())
        })
        .await
    }
}

/// The page stands alone in its line.
fn page_in(line: &str) -> Option<String> {
    let line = line.trim();
    line.starts_with("http").then(|| line.to_owned())
}
