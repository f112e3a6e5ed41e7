//! Signs in with a headless browser, as a person would: `sign_in URL USERNAME PASSWORD [SCREENSHOT]`. For `make demo`.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ciba_tests::Browser;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, username, password, rest @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: sign_in URL USERNAME PASSWORD [SCREENSHOT]");
    };
    let browser = Browser::start().await?;
    browser.goto(url).await?;
    browser.login_confirm_code().await?;
    browser.login_built_in(username, password).await?;
    let outcome = browser.element("#outcome").await?.attr("data-outcome").await?;
    if let [file] = rest {
        browser.screenshot(Path::new(file)).await?;
    }
    let title = browser.session().title().await?;
    browser.close().await?;
    println!("{title}");
    ensure!(
        outcome.context("the last page names no outcome")? == "signed-in",
        "the page said no"
    );
    Ok(())
}
