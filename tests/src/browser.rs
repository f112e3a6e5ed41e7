//! A headless Chromium, driven the way a person would use it: go, read, fill in, click.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement};
use tokio::process::Command;
use url::Url;

use crate::process::Process;
use crate::wait::{PATIENCE, until};

/// What lets Chromium run as root, without a screen, and talk to nothing but the page.
const FLAGS: [&str; 8] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

const SUBMIT: &str = "button[type=submit]";

/// A browser with a profile of its own. Give it up with [`Browser::close`]; a drop ends it as well, less kindly.
pub struct Browser {
    session: WebDriver,
    // Dropped in this order: Chromium is in the driver's process group and writes to the profile until it ends.
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port, and a session.
    pub async fn start() -> Result<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        let mut driver = Process::spawn(command).context("run tests/setup.sh")?;
        let port: u16 = driver.wait_line("its port", PATIENCE, port_in).await?;
        let profile = TempDir::with_prefix("ciba-browser-")?;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        let session = WebDriver::builder(format!("http://127.0.0.1:{port}"), capabilities(profile.path())?)
            .client(http)
            .await?;
        Ok(Self {
            session,
            _driver: driver,
            _profile: profile,
        })
    }

    /// Ends the session, the browser and its driver.
    pub async fn close(self) -> Result<()> {
        Ok(self.session.clone().quit().await?)
    }

    /// Opens a URL and waits until it has loaded.
    pub async fn goto(&self, url: &str) -> Result<()> {
        Ok(self.session.goto(url).await?)
    }

    /// Waits for the element, empties it and types `text` into it.
    pub async fn fill(&self, css: &str, text: &str) -> Result<()> {
        let field = self.element(css).await?;
        field.clear().await?;
        Ok(field.send_keys(text).await?)
    }

    /// Waits for the element and clicks it.
    pub async fn click(&self, css: &str) -> Result<()> {
        Ok(self.element(css).await?.click().await?)
    }

    /// Waits for the first element that matches.
    pub async fn element(&self, css: &str) -> Result<WebElement> {
        let found = until(css, PATIENCE, async || self.session.find(By::Css(css)).await.ok()).await;
        self.explained(found).await
    }

    /// Waits until the page a person sees contains `text`; returns all of its text.
    pub async fn wait_text(&self, text: &str) -> Result<String> {
        let what = format!("the text {text:?}");
        let found = until(&what, PATIENCE, async || {
            self.text().await.ok().filter(|page| page.contains(text))
        })
        .await;
        self.explained(found).await
    }

    /// Waits until the address begins with `prefix`; returns all of it.
    pub async fn wait_url(&self, prefix: &str) -> Result<Url> {
        let what = format!("the address {prefix}");
        let found = until(&what, PATIENCE, async || {
            self.session
                .current_url()
                .await
                .ok()
                .filter(|url| url.as_str().starts_with(prefix))
        })
        .await;
        self.explained(found).await
    }

    /// Returns the text a person sees.
    pub async fn text(&self) -> Result<String> {
        Ok(self.session.find(By::Tag("body")).await?.text().await?)
    }

    /// Writes a PNG of what is seen.
    pub async fn screenshot(&self, file: &Path) -> Result<()> {
        Ok(self.session.screenshot(file).await?)
    }

    /// The session itself, for what the methods here do not offer.
    pub fn session(&self) -> &WebDriver {
        &self.session
    }

    /// On our page with the code: says that it is the same as in the terminal.
    pub async fn login_confirm_code(&self) -> Result<()> {
        self.click("#continue").await
    }

    /// On the login page of the provider built into `ciba-server dev`.
    pub async fn login_built_in(&self, username: &str, password: &str) -> Result<()> {
        self.fill("input[name=username]", username).await?;
        self.fill("input[name=password]", password).await?;
        self.click(SUBMIT).await
    }

    /// On the login page of [`crate::Idp`] and on the consent page after it.
    pub async fn login_oidc_provider(&self, account: &str) -> Result<()> {
        self.fill("input[name=login]", account).await?;
        self.fill("input[name=password]", "any will do").await?;
        self.click(SUBMIT).await?;
        self.click(&format!("form:has(input[name=prompt][value=consent]) {SUBMIT}"))
            .await
    }

    /// Adds the page at which a wait ended in vain.
    async fn explained<T>(&self, found: Result<T>) -> Result<T> {
        if found.is_ok() {
            return found;
        }
        let url = self
            .session
            .current_url()
            .await
            .map(|url| url.to_string())
            .unwrap_or_default();
        let text = self.text().await.unwrap_or_default();
        found.with_context(|| format!("at {url}, which shows:\n{text}"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Left to itself, a session that was not closed would wait here for an answer to its quit command.
        let _ = self.session.clone().leak();
    }
}

/// The port in chromedriver's "started successfully on port N."
fn port_in(line: &str) -> Option<u16> {
    line.split_once("started successfully on port ")?
        .1
        .trim_end_matches('.')
        .parse()
        .ok()
}

fn capabilities(profile: &Path) -> Result<thirtyfour::ChromeCapabilities> {
    let mut chrome = DesiredCapabilities::chrome();
    chrome.set_binary("/usr/bin/chromium")?;
    for flag in FLAGS {
        chrome.add_arg(flag)?;
    }
    chrome.add_arg(&format!("--user-data-dir={}", profile.display()))?;
    Ok(chrome)
}
