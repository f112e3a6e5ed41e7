//! Debian's `glewlwyd` as the peer: poll and ping.

use anyhow::Result;
use ciba_tests::{Glewlwyd, Output, World, free_port};

use super::Asking;

fn asking<'a>(world: &'a World, provider: &'a Glewlwyd) -> Asking<'a> {
    Asking {
        world,
        issuer: &provider.issuer,
        client_id: &provider.client_id,
    }
}

#[tokio::test]
async fn a_person_approves_or_denies() -> Result<()> {
    let provider = Glewlwyd::start(None).await?;
    let world = World::new()?;
    let asking = asking(&world, &provider);
    asking.keep(&provider.client_secret, &[]).await?;
    let options = ["--login-hint", &provider.hint, "--binding-message", "build-7f3a"];

    let mut request = asking.begin(&options)?;
    provider.decide(&provider.asked().await?, true).await?;
    let token = Output::of(&mut request).await?.success();
    assert!(
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{token}"
    );

    let mut request = asking.begin(&options)?;
    provider.decide(&provider.asked().await?, false).await?;
    let denied = Output::of(&mut request).await?;
    assert_eq!(
        (denied.code(), denied.stdout.as_str()),
        (Some(5), ""),
        "{denied:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_secret_in_the_body_is_taken_and_a_wrong_one_is_not() -> Result<()> {
    let provider = Glewlwyd::start(None).await?;
    let world = World::new()?;
    let asking = asking(&world, &provider);
    let hint = ["--login-hint", &provider.hint];
    asking.keep("not-the-secret", &[]).await?;
    let wrong = asking.run(&hint).await?;
    assert_eq!(wrong.code(), Some(1), "{wrong:?}");

    asking
        .keep(&provider.client_secret, &["--client-auth", "client_secret_post"])
        .await?;
    let mut request = asking.begin(&hint)?;
    provider.decide(&provider.asked().await?, true).await?;
    assert!(!Output::of(&mut request).await?.success().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_ping_brings_the_token_long_before_the_next_question() -> Result<()> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let provider = Glewlwyd::start(Some(&format!("http://{address}/ping"))).await?;
    let world = World::new()?;
    let asking = asking(&world, &provider);
    asking.keep(&provider.client_secret, &[]).await?;
    let options = [
        "--login-hint",
        &provider.hint,
        "--mode",
        "ping",
        "--ping-listen",
        &address,
    ];
    let mut request = asking.begin(&options)?;
    provider.decide(&provider.asked().await?, true).await?;
    assert!(!Output::of(&mut request).await?.success().is_empty());
    Ok(())
}
