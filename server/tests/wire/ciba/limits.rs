//! What protects the provider and the people (C-400, C-404, C-405, C-407).

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::kit::ciba::{
    ASKING, Answer, NO_LIMITS, Provider, SECRET, Table, client, signing_client, site, site_without_hook,
};
use crate::kit::leak::assert_unsaid;
use crate::kit::signer::{ASSERTION_TYPE, Signer, assertion, changed, seconds, unique};

/// Too often: the client is told when it may come again.
fn is_busy(answer: &Answer) {
    let mut table = Table::default();
    table.row("too often", answer, (429, "temporarily_unavailable"));
    table.end();
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=61).contains(&wait), "{answer:?}");
}

#[tokio::test]
async fn c_400_c_404_an_endpoint_that_breaks_todays_rules_is_found_at_bc_authorize() {
    let settings = format!("modes = [\"poll\", \"ping\"]\n{NO_LIMITS}");
    let registering = site_without_hook(&settings).with("OAUTH__REGISTRATION", "open");
    let provider = Provider::start(registering).await;
    let mut made = Vec::new();
    for endpoint in ["http://127.0.0.1:9/cb", "https://agent.example/cb"] {
        let metadata = json!({
            "client_name": "Ping", "grant_types": ["urn:openid:params:grant-type:ciba"],
            "backchannel_token_delivery_mode": "ping", "backchannel_client_notification_endpoint": endpoint,
        });
        let answer = Answer::of(provider.post("/oauth2/register").json(&metadata)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        made.push((answer.text("client_id"), answer.text("client_secret")));
    }
    let ask = async |provider: &Provider, (id, secret): &(String, String)| {
        let form = [
            ("scope", "openid"),
            ("login_hint", "alice@example.com"),
            ("client_notification_token", "a-token-of-many-characters"),
        ];
        Answer::of(provider.post(ASKING).basic_auth(id, Some(secret)).form(&form)).await
    };
    for client in &made {
        assert_eq!(ask(&provider, client).await.status, 200);
    }
    // The server moves off this machine: what is http no longer stays on it.
    let Provider { site, server, .. } = provider;
    server.stop().await;
    let provider = Provider::start(site.without_hook().with("PUBLIC_URL", "https://ciba.example")).await;
    let provider = provider.at_its_address();
    let mut table = Table::default();
    table.row("http", &ask(&provider, &made[0]).await, (400, "invalid_request"));
    table.row("https", &ask(&provider, &made[1]).await, (200, ""));
    table.end();
}

#[tokio::test]
async fn c_405_one_client_asks_so_often_a_minute() {
    let limits = "[ciba.limits]\nrequests_per_minute = 3\nundecided_per_client = 0\nundecided_per_user = 0\n";
    let provider = Provider::start(site(limits).and(client("other", ""))).await;
    for _ in 0..3 {
        assert_eq!(provider.ask(&[]).await.status, 200);
    }
    is_busy(&provider.ask(&[]).await);
    assert_eq!(provider.ask_as("other", &[]).await.status, 200);
}

#[tokio::test]
async fn c_405_undecided_requests_are_limited_for_client_and_person_and_for_a_person() {
    let limits = "[ciba.limits]\nrequests_per_minute = 0\nundecided_per_client = 2\nundecided_per_user = 3\n";
    let clients = [client("other", ""), client("third", "")].concat();
    let provider = Provider::start(site(limits).and(clients)).await;
    let ids = [provider.asked(&[]).await, provider.asked(&[]).await];
    let denied = (403, "access_denied");
    let mut table = Table::default();
    table.row("this client", &provider.ask(&[]).await, denied);
    table.row(
        "another person",
        &provider.ask(&[("login_hint", "bob@example.com")]).await,
        (200, ""),
    );
    table.row("another client", &provider.ask_as("other", &[]).await, (200, ""));
    table.row("this person", &provider.ask_as("third", &[]).await, denied);
    provider.deny(&ids[0]).await;
    table.row("one is decided", &provider.ask(&[]).await, (200, ""));
    let provider = provider.crash().await;
    table.row("after a restart", &provider.ask(&[]).await, denied);
    table.end();
}

#[tokio::test]
async fn c_405_a_request_that_has_expired_counts_no_more() {
    let limits = "[ciba.limits]\nundecided_per_client = 2\nundecided_per_user = 2\nlooks_per_minute = 0\n";
    let provider = Provider::start(site(limits)).await;
    for _ in 0..2 {
        let id = provider.asked(&[("requested_expiry", "1")]).await;
        provider.until_expired(&id).await;
    }
    assert_eq!(provider.ask(&[]).await.status, 200, "the next sweep is far away");
}

#[tokio::test]
async fn c_405_after_many_failures_not_even_the_right_secret_is_looked_at() {
    let signer = Signer::new(Algorithm::ES256);
    let clients = [client("other", ""), signing_client("signing", &signer, "")].concat();
    let site = site(NO_LIMITS)
        .with("OAUTH__FAILURES_PER_MINUTE", "3")
        .and(clients);
    let provider = Provider::start(site).await;
    let guess = async |id: &str, secret: &str, path: &str| {
        let form = [("scope", "openid"), ("login_hint", "alice@example.com")];
        Answer::of(provider.post(path).basic_auth(id, Some(secret)).form(&form)).await
    };
    for _ in 0..5 {
        assert_eq!(
            guess("agent", SECRET, ASKING).await.status,
            200,
            "a success does not count"
        );
    }
    for path in [ASKING, "/oauth2/token", ASKING] {
        assert_eq!(
            guess("agent", "wrong", path).await.refusal(),
            (401, "invalid_client")
        );
    }
    for path in [ASKING, "/oauth2/token"] {
        is_busy(&guess("agent", "wrong", path).await);
        is_busy(&guess("agent", SECRET, path).await);
    }
    assert_eq!(guess("other", SECRET, ASKING).await.status, 200);
    for _ in 0..3 {
        assert_eq!(guess("nobody", "wrong", ASKING).await.status, 401);
    }
    is_busy(&guess("nobody", "wrong", ASKING).await);
    let proof = |signer: &Signer| signer.sign(&assertion("signing", &provider.server.url, &[]));
    let prove = async |jwt: &str| {
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", jwt),
            ("scope", "openid"),
            ("login_hint", "alice@example.com"),
        ];
        Answer::of(provider.post(ASKING).form(&form)).await
    };
    for _ in 0..3 {
        assert_eq!(prove(&proof(&Signer::new(Algorithm::ES256))).await.status, 401);
    }
    is_busy(&prove(&proof(&signer)).await);
}

#[tokio::test]
async fn c_405_limits_can_be_switched_off() {
    let provider = Provider::start(site(NO_LIMITS).with("OAUTH__FAILURES_PER_MINUTE", "0")).await;
    for _ in 0..70 {
        assert_eq!(provider.ask(&[]).await.status, 200);
        let wrong = provider
            .post(ASKING)
            .basic_auth("agent", Some("wrong"))
            .form(&[("x", "y")]);
        assert_eq!(Answer::of(wrong).await.status, 401);
    }
}

#[tokio::test]
async fn c_407_no_secret_of_asking_is_in_the_log_or_the_database() {
    let signer = Signer::new(Algorithm::ES256);
    let ping = "backchannel_token_delivery_mode = \"ping\"\nbackchannel_user_code_parameter = true\n\
                backchannel_client_notification_endpoint = \"http://127.0.0.1:9/cb\"";
    let signs = format!(
        "backchannel_authentication_request_signing_alg = \"ES256\"\njwks = {}",
        signer.toml()
    );
    let clients = [
        client("ping", ping),
        client("signs", &signs),
        signing_client("proves", &signer, ""),
        crate::ciba::user_code::person("carol", "the-code-of-carol"),
    ];
    let settings = format!("modes = [\"poll\", \"ping\"]\nuser_codes = true\n{NO_LIMITS}");
    let provider = Provider::start(site(&settings).and(clients.concat())).await;
    let (us, now) = (provider.server.url.clone(), seconds());
    let token = "a-notification-token-of-the-client";
    let good = provider
        .ask_as(
            "ping",
            &[
                ("client_notification_token", token),
                ("login_hint", "carol@example.com"),
                ("user_code", "the-code-of-carol"),
            ],
        )
        .await;
    assert_eq!(good.status, 200, "{good:?}");
    let request = changed(
        json!({ "iss": "signs", "aud": us, "exp": now + 60, "nbf": now, "iat": now, "jti": unique(), "scope": "openid" }),
        &[("login_hint", json!("alice@example.com"))],
    );
    let request = signer.sign(&request);
    assert_eq!(
        provider
            .form_as("signs", ASKING, &[("request", &request)])
            .await
            .status,
        200
    );
    let proof = signer.sign(&assertion("proves", &us, &[]));
    let form = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &*proof),
        ("scope", "openid"),
        ("login_hint_token", "a-token-about-carol"),
        ("x", "y"),
    ];
    assert_eq!(Answer::of(provider.post(ASKING).form(&form)).await.status, 400);
    let wrong = provider
        .post(ASKING)
        .basic_auth("agent", Some("a-wrong-secret"))
        .form(&[("x", "y")]);
    assert_eq!(Answer::of(wrong).await.status, 401);
    let hint = "the.id-token.hint";
    assert_eq!(
        provider
            .form_as("agent", ASKING, &[("scope", "openid"), ("id_token_hint", hint)])
            .await
            .status,
        400
    );
    let id = good.text("auth_req_id");
    let signature = |jwt: &str| jwt.rsplit('.').next().unwrap().to_owned();
    let secrets = [
        SECRET,
        token,
        "the-code-of-carol",
        "a-wrong-secret",
        hint,
        "a-token-about-carol",
        &id,
        &signature(&request),
        &signature(&proof),
    ];
    for (name, bytes) in provider.site.dump() {
        for secret in [SECRET, token, "the-code-of-carol", &id] {
            assert!(
                !crate::kit::leak::holds(&bytes, secret.as_bytes()),
                "{secret} is in {name}"
            );
        }
    }
    let log = provider.server.stop().await;
    assert_unsaid(&log, &secrets);
    assert!(log.contains("a person is asked"), "{log}");
}
