//! A person answers a client's request on the approval page, in a real browser (C-231, C-233).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use ciba_tests::{Browser, Server, World};
use reqwest::Client;
use serde_json::{Value, json};

/// Screens, CSS pixels.
const PHONE: (u32, u32) = (390, 844);
const DESKTOP: (u32, u32) = (1280, 900);

/// Where to keep pictures of the pages; without it they go with the test.
const PICTURES: &str = "CIBA_TEST_PICTURES";

/// The client of `ciba-server dev`, which may ask alice and bob.
struct Agent<'a> {
    server: &'a Server,
    http: Client,
}

impl<'a> Agent<'a> {
    fn of(server: &'a Server) -> Result<Self> {
        let http = Client::builder().no_proxy().build()?;
        Ok(Self { server, http })
    }

    /// Asks alice; returns the `auth_req_id`.
    async fn ask(&self, more: &[(&str, &str)]) -> Result<String> {
        let mut form = vec![("scope", "openid profile"), ("login_hint", "alice@example.com")];
        form.extend(more);
        let (status, ack) = self.post("/oauth2/bc-authorize", &form).await?;
        ensure!(status == 200, "{ack}");
        Ok(ack["auth_req_id"].as_str().context("an id")?.to_owned())
    }

    /// Polls once; returns the error code, or `granted`.
    async fn poll(&self, id: &str) -> Result<String> {
        let form = [
            ("grant_type", "urn:openid:params:grant-type:ciba"),
            ("auth_req_id", id),
        ];
        let (_, answer) = self.post("/oauth2/token", &form).await?;
        Ok(answer["error"].as_str().unwrap_or("granted").to_owned())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<(u16, Value)> {
        let request = self.http.post(format!("{}{path}", self.server.url));
        let answer = request
            .basic_auth("demo-agent", Some("demo"))
            .form(form)
            .send()
            .await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    fn page(&self, id: &str) -> String {
        format!("{}/ciba/approve?auth_req_id={id}", self.server.url)
    }
}

#[tokio::test]
async fn c_233_a_person_signs_in_reads_who_asks_for_what_and_approves_on_a_phone() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let agent = Agent::of(&server)?;
    let id = agent.ask(&everything(&details(), &claims())).await?;
    let browser = on(PHONE).await?;
    browser.goto(&agent.page(&id)).await?;
    browser.login_built_in("alice", "demo").await?;
    let page = browser.wait_text("asks you to approve").await?;
    for said in [
        "Demo agent",
        "Pay 12.50 EUR to ACME, code 7HK2",
        "DE02100100109307118603",
        "shopper",
        "Alice Example",
    ] {
        assert!(page.contains(said), "no {said} in {page}");
    }
    assert_eq!(overflow(&browser).await?, 0, "no word is wider than the phone");
    let [approve, deny] = [size(&browser, "#approve").await?, size(&browser, "#deny").await?];
    assert_eq!(approve, deny, "no answer is made easier than the other");
    picture(&browser, "approve-phone.png").await?;
    resize(&browser, DESKTOP).await?;
    picture(&browser, "approve-desktop.png").await?;
    assert_eq!(agent.poll(&id).await?, "authorization_pending");

    browser.click("#approve").await?;
    browser.wait_text("You approved it").await?;
    picture(&browser, "approved.png").await?;
    assert_eq!(agent.poll(&id).await?, "granted");
    browser.goto(&agent.page(&id)).await?;
    browser.wait_text("There is nothing to approve here").await?;
    browser.close().await
}

#[tokio::test]
async fn c_231_a_person_denies_and_what_ran_out_or_is_another_persons_is_not_asked() -> Result<()> {
    let world = World::new()?;
    let server = world.server_dev().await?;
    let agent = Agent::of(&server)?;
    let browser = on(PHONE).await?;
    let for_alice = agent.ask(&[]).await?;
    browser.goto(&agent.page(&for_alice)).await?;
    browser.login_built_in("bob", "demo").await?;
    browser.wait_text("This is for another person").await?;
    picture(&browser, "other-person.png").await?;
    browser.click("#other-person").await?;
    browser.login_built_in("alice", "demo").await?;
    browser.wait_text("asks you to approve").await?;
    picture(&browser, "plain-phone.png").await?;
    browser.click("#deny").await?;
    browser.wait_text("You denied it").await?;
    assert_eq!(agent.poll(&for_alice).await?, "access_denied");
    browser.goto(&agent.page(&for_alice)).await?;
    browser.wait_text("This was denied before").await?;

    let short = agent.ask(&[("requested_expiry", "3")]).await?;
    browser.goto(&agent.page(&short)).await?;
    browser.wait_text("The time to answer is over").await?;
    picture(&browser, "expired.png").await?;

    let last = agent.ask(&[]).await?;
    browser.goto(&agent.page(&last)).await?;
    browser.wait_text("asks you to approve").await?;
    browser.click("#sign-out").await?;
    browser.wait_text("You are signed out").await?;
    browser.goto(&agent.page(&last)).await?;
    browser.element("input[name=password]").await?;
    browser.close().await
}

fn details() -> String {
    let payment = json!({
        "type": "payment_initiation",
        "instructedAmount": { "currency": "EUR", "amount": "12.50" },
        "creditor": { "name": "ACME GmbH", "account": { "iban": "DE02100100109307118603" } },
        "remittance": "Order-2026-11-22-0000000000000000000000000000000000000000000000000000017",
        "locations": ["https://bank.example/payments", "https://bank.example/accounts"],
        "instant": true,
    });
    json!([payment]).to_string()
}

fn claims() -> String {
    json!({ "agent": { "model": "shopper", "run": "17" } }).to_string()
}

fn everything<'a>(details: &'a str, claims: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("binding_message", "Pay 12.50 EUR to ACME, code 7HK2"),
        ("authorization_details", details),
        ("agent_claims", claims),
    ]
}

async fn on(screen: (u32, u32)) -> Result<Browser> {
    let browser = Browser::start().await?;
    resize(&browser, screen).await?;
    Ok(browser)
}

async fn resize(browser: &Browser, (width, height): (u32, u32)) -> Result<()> {
    browser.session().set_window_rect(0, 0, width, height).await?;
    Ok(())
}

async fn size(browser: &Browser, css: &str) -> Result<(f64, f64)> {
    let rect = browser.element(css).await?.rect().await?;
    Ok((rect.width, rect.height))
}

/// Returns by how many pixels the page is wider than the screen.
async fn overflow(browser: &Browser) -> Result<i64> {
    let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    let wider = browser.session().execute(script, Vec::new()).await?;
    wider.json().as_i64().context("a number")
}

async fn picture(browser: &Browser, file: &str) -> Result<()> {
    let own = tempfile::tempdir()?;
    let folder = std::env::var_os(PICTURES);
    let folder = folder.as_deref().map_or(own.path(), Path::new);
    browser.screenshot(&folder.join(file)).await
}
