//! The kit's browser goes through the whole login of a provider that is not ours.

use anyhow::{Context, Result};
use ciba_tests::{Browser, Idp, PATIENCE, until};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use url::Url;

/// RFC 7636, appendix B.
const CODE_CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

#[tokio::test]
async fn a_person_logs_in_and_consents_and_the_browser_comes_back_with_a_code() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let redirect_uri = format!("http://{}/callback", listener.local_addr()?);
    let callback = tokio::spawn(serve_one_callback(listener));
    let idp = Idp::start(&["--redirect-uri", &redirect_uri]).await?;

    let browser = Browser::start().await?;
    browser
        .goto(authorization_url(&idp, &redirect_uri)?.as_str())
        .await?;
    browser.login_oidc_provider("alice").await?;
    let landed = browser.wait_url(&redirect_uri).await?;
    browser.wait_text("back home").await?;
    let folder = tempfile::tempdir()?;
    let picture = folder.path().join("landed.png");
    browser.screenshot(&picture).await?;
    browser.close().await?;

    assert!(std::fs::read(picture)?.starts_with(b"\x89PNG"));
    let target = timeout(PATIENCE, callback).await???;
    assert_eq!(landed.join(&target)?, landed);
    let query = |name: &str| {
        landed
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(query("state").as_deref(), Some("kept"));
    assert_eq!(query("iss"), Some(idp.issuer));
    assert!(query("code").is_some_and(|code| !code.is_empty()), "{landed}");
    Ok(())
}

#[tokio::test]
async fn a_browser_that_is_only_dropped_is_gone() -> Result<()> {
    let browser = Browser::start().await?;
    let id = browser
        .session()
        .capabilities()
        .get("goog:processID")
        .context("a process id")?
        .clone();
    let state = || std::fs::read_to_string(format!("/proc/{id}/stat")).ok();
    assert!(state().is_some_and(|stat| stat.contains("chromium")));
    drop(browser);
    let dead = async || state().is_none_or(|stat| stat.contains(") Z ")).then_some(());
    until("the end of the browser", PATIENCE, dead).await
}

fn authorization_url(idp: &Idp, redirect_uri: &str) -> Result<Url> {
    let parameters = [
        ("client_id", idp.client_id.as_str()),
        ("redirect_uri", redirect_uri),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "kept"),
        ("code_challenge", CODE_CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    Ok(Url::parse_with_params(
        &format!("{}/auth", idp.issuer),
        parameters,
    )?)
}

/// Answers until the callback has been asked for, a favicon may come first; returns its path and query.
async fn serve_one_callback(listener: TcpListener) -> Result<String> {
    loop {
        let (stream, _) = listener.accept().await?;
        let target = answer(stream).await?;
        if target.starts_with("/callback") {
            return Ok(target);
        }
    }
}

async fn answer(stream: TcpStream) -> Result<String> {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        anyhow::ensure!(stream.read_line(&mut request).await? > 0, "the browser hung up");
    }
    let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\nconnection: close\r\n\r\nback home";
    stream.write_all(page.as_bytes()).await?;
    stream.shutdown().await?;
    Ok(request
        .split(' ')
        .nth(1)
        .context("a request line has a target")?
        .to_owned())
}
