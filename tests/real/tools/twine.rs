//! twine uploads a package to an index that takes Basic: `ciba exec` gives it the token in its variable.

use anyhow::Result;
use axum::response::IntoResponse as _;
use ciba_tests::{Gate, Offer, Output};

use super::desk::{Desk, shows_another_after_the_end};
use super::wheel;

async fn upload(desk: &Desk, index: &Gate) -> Result<Output> {
    wheel::write(&desk.site.world.home())?;
    let url = format!("{}/legacy/", index.url);
    let exec = ["exec", "--env", "TWINE_PASSWORD", "--", "twine", "upload"];
    let rest = ["--disable-progress-bar", "--repository-url", &url, wheel::NAME];
    let variables = [("TWINE_USERNAME", "oauth2")];
    desk.run("ciba", &[&exec[..], &rest].concat(), &variables).await
}

#[tokio::test]
async fn twine_has_a_token_and_after_its_end_another_one() -> Result<()> {
    let desk = Desk::logged_in().await?;
    let index = desk.gate(Offer::Basic, |_| "".into_response()).await?;
    shows_another_after_the_end(&index, async || {
        let _ = upload(&desk, &index).await?.success();
        Ok(())
    })
    .await?;
    let seen = index.seen();
    assert!(
        seen.iter()
            .all(|seen| seen.method == "POST" && seen.status == 200)
    );
    Ok(())
}
