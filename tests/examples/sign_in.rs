//! Signs in with a headless browser, as a person would, for `make demo`: compares the code of the terminal with the
//! page's, then signs in at the built-in provider.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use ciba_tests::Browser;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, code, username, password, rest @ ..] = arguments.as_slice() else {
        bail!("usage: sign_in URL CODE USERNAME PASSWORD [SCREENSHOT]");
    };
    let browser = Browser::start().await?;
    browser.goto(url).await?;
    let shown = browser.element("#user-code").await?.text().await?;
    ensure!(shown == *code, "the page shows another code: {shown}");
    println!("(the browser compares the code {code}: the same)");
    browser.login_confirm_code().await?;
    browser.login_built_in(username, password).await?;
    let outcome = browser.element("#outcome").await?.attr("data-outcome").await?;
    if let [file] = rest {
        browser.screenshot(Path::new(file)).await?;
    }
    let title = browser.session().title().await?;
    browser.close().await?;
    println!("(the browser signs in as {username}: {title})");
    ensure!(
        outcome.context("the last page names no outcome")? == "signed-in",
        "the page said no"
    );
    Ok(())
}
