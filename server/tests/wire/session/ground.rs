//! The ground under every route: headers, limits, health, the log, and how the server leaves.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::browser::{Browser, Page, http};
use crate::kit::idp::{Answer, CODE, Idp};
use crate::kit::leak::assert_unsaid;
use crate::kit::link::Link;
use crate::kit::server::Server;
use crate::kit::session::Session;
use crate::kit::site::Site;
use crate::kit::socket::Raw;
use crate::kit::{in_time, until};

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let base = &server.url;
    for url in [
        session.url().to_owned(),
        format!("{}/continue", session.url()),
        format!("{base}/login/unknown"),
        format!("{base}/auth/callback"),
        format!("{base}/auth/callback?code=a&code=b"),
        format!("{base}/auth/par/authorize"),
        format!("{base}/style.css"),
        format!("{base}/healthz"),
        format!("{base}/no/such/page"),
        format!("{base}/sync/device"),
    ] {
        let page = Browser::new().get(&url).await;
        let header = |name: &str| {
            page.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{url}: {policy}"
        );
        assert!(
            !policy.contains("unsafe") && !policy.contains('*'),
            "{url}: {policy}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{url}");
        assert_eq!(header("referrer-policy"), "no-referrer", "{url}");
        assert_eq!(header("x-frame-options"), "DENY", "{url}");
        if header("content-type").starts_with("text/html") {
            assert_eq!(header("cache-control"), "no-store", "{url}");
            assert!(
                !page.body.contains("<script") && !page.body.contains("style="),
                "{url}"
            );
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_405() {
    let server = Server::dev().await;
    assert_eq!(
        http()
            .get(format!("{}/nothing", server.url))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(
        http()
            .delete(format!("{}/healthz", server.url))
            .send()
            .await
            .unwrap()
            .status(),
        405
    );
    let health = Page::of(
        http()
            .get(format!("{}/healthz", server.url))
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!((health.status.as_u16(), &*health.body), (200, "ok\n"));
    server.stop().await;
}

#[tokio::test]
async fn the_login_cookie_is_for_this_browser_and_no_script() {
    let server = Server::dev().await;
    let session = Session::begin(&server).await;
    let page = http().get(session.url()).send().await.unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    for attribute in ["ciba-login=", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    server.stop().await;
    let idp = Idp::start().await;
    let server = Site::new(&idp.issuer)
        .with("PUBLIC_URL", "https://ciba.example")
        .start()
        .await;
    let response = http().post(format!("http://{}/auth/par/authorize", server.address));
    let verifier = session.challenge().verifier().to_string();
    let begun = response
        .json(&serde_json::json!({ "verifier": verifier }))
        .send()
        .await
        .unwrap();
    let begun: serde_json::Value = begun.json().await.unwrap();
    let path = begun["url"]
        .as_str()
        .unwrap()
        .strip_prefix("https://ciba.example")
        .unwrap()
        .to_owned();
    let page = http()
        .get(format!("http://{}{path}", server.address))
        .send()
        .await
        .unwrap();
    let cookie = page.headers()["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-ciba-login=") && cookie.contains("Secure"),
        "{cookie}"
    );
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn a_head_that_never_ends_is_cut() {
    let server = Server::dev().await;
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .await
        .unwrap();
    let mut silent = TcpStream::connect(&server.address).await.unwrap();
    let mut answer = Vec::new();
    in_time(slow.read_to_end(&mut answer)).await.unwrap();
    in_time(silent.read_to_end(&mut answer)).await.unwrap();
    server.stop().await;
}

/// Waits: see [`super::deadlines`].
pub(super) async fn a_body_that_never_ends_is_cut() {
    let server = Server::dev().await;
    let mut slow = TcpStream::connect(&server.address).await.unwrap();
    let head = "POST /auth/par/authorize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    in_time(slow.read_to_end(&mut answer)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_head_over_16_kib_is_431() {
    let server = Server::dev().await;
    let response = http()
        .get(format!("{}/healthz", server.url))
        .header("x-long", "x".repeat(20_000))
        .send()
        .await;
    assert_eq!(response.unwrap().status(), 431);
    server.stop().await;
}

#[tokio::test]
async fn whoever_is_connected_is_told_and_what_has_begun_is_finished() {
    let idp = Idp::start().await;
    idp.script(|script| script.token = Answer::Held);
    let mut site = Site::new(&idp.issuer);
    let server = site.start().await;
    let session = Session::begin(&server).await;
    let mut link = Link::connect(&server, &session).await;
    let mut unproven = Raw::connect(&server).await;
    let login = Browser::confirming(&session);
    idp.until_seen(|seen| !seen.token.is_empty()).await;
    server.terminate();
    assert_eq!(unproven.closed().await, 1001);
    assert_eq!(link.closed().await, 1001);
    until("the end of listening", async || {
        TcpStream::connect(&server.address).await.is_err().then_some(())
    })
    .await;
    idp.script(|script| script.token = Answer::Good);
    assert_eq!(login.await.unwrap().outcome(), "signed-in");
    assert_unsaid(&server.left().await, &[CODE]);
    let server = site.start().await;
    assert_eq!(Link::connect(&server, &session).await.session["status"], "active");
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_do_not_keep_the_server() {
    let server = Server::dev().await;
    let kept_alive = http();
    kept_alive
        .get(format!("{}/healthz", server.url))
        .send()
        .await
        .unwrap();
    let _silent = TcpStream::connect(&server.address).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn the_server_leaves_no_core() {
    let server = Server::dev().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("its own limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let words: Vec<_> = core.expect("a limit on cores").split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{words:?}");
}
