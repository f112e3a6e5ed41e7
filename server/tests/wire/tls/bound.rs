//! Tokens that are bound to the client's certificate (C-081).

use base64ct::{Base64UrlUnpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::{Secured, client};
use crate::kit::ciba::{Answer, SECRET};
use crate::kit::endpoint::{Endpoint, TOKEN};
use crate::kit::pki::Leaf;

const BOUND: &str = "tls_client_certificate_bound_access_tokens = true\n";

fn bound() -> String {
    let own = format!("{BOUND}tls_client_auth_san_dns = \"agent.example\"\n");
    client("bound", "tls_client_auth", &own)
}

fn thumbprint(leaf: &Leaf) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(&leaf.der))
}

#[tokio::test]
async fn c_081_a_bound_token_is_good_with_its_certificate_alone() {
    let secured = Secured::start(&bound()).await;
    let metadata = secured.metadata().await;
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    let (own, again) = (secured.ca.client("agent"), secured.ca.client("agent"));
    let with = [("scope", "openid offline_access")];
    let form = [
        ("login_hint", "alice@example.com"),
        ("client_id", "bound"),
        with[0],
    ];
    let asked = secured.http(Some(&own)).post(secured.url("/oauth2/bc-authorize"));
    let id = Answer::of(asked.form(&form)).await.text("auth_req_id");
    secured.allow(&id).await;
    let tokens = secured.poll(Some(&own), "bound", &id).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    let access = tokens.text("access_token");
    assert_eq!(tokens.claims("access_token")["cnf"]["x5t#S256"], thumbprint(&own));
    assert_eq!(
        secured
            .userinfo(Some(&own), &access)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    for wrong in [Some(&again), None] {
        let refused = Answer::of(secured.userinfo(wrong, &access)).await;
        assert_eq!(refused.refusal(), (401, "invalid_token"));
    }
    // The listener that asks for no certificate sees none.
    let url = format!("{}/oauth2/userinfo", secured.server.url);
    let refused = secured.http(Some(&own)).get(url).bearer_auth(&access);
    assert_eq!(Answer::of(refused).await.refusal(), (401, "invalid_token"));
    // Refreshed tokens are bound to the certificate that the client has then.
    let form = [
        ("grant_type", "refresh_token"),
        ("client_id", "bound"),
        ("refresh_token", &tokens.text("refresh_token")),
    ];
    let request = secured.http(Some(&again)).post(secured.url("/oauth2/token"));
    let refreshed = Answer::of(request.form(&form)).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_eq!(
        refreshed.claims("access_token")["cnf"]["x5t#S256"],
        thumbprint(&again)
    );
    secured.server.stop().await;
}

#[tokio::test]
async fn c_081_a_client_with_a_secret_binds_its_tokens_too_and_needs_a_certificate_for_it() {
    let own = format!("client_secret = \"{SECRET}\"\n{BOUND}");
    let clients = client("secret", "client_secret_basic", &own);
    let secured = Secured::start(&clients).await;
    let ask = async |leaf: Option<&Leaf>| {
        let request = secured.http(leaf).post(secured.url("/oauth2/token"));
        let request = request.basic_auth("secret", Some(SECRET));
        Answer::of(request.form(&[("grant_type", "client_credentials")])).await
    };
    let leaf = secured.ca.client("any");
    let granted = ask(Some(&leaf)).await;
    assert_eq!(
        granted.claims("access_token")["cnf"]["x5t#S256"],
        thumbprint(&leaf)
    );
    assert_eq!(ask(None).await.refusal(), (400, "invalid_request"));
    // A client that did not ask for it gets tokens without.
    let request = secured
        .http(Some(&leaf))
        .post(secured.url("/oauth2/bc-authorize"));
    let request = request
        .basic_auth("agent", Some(SECRET))
        .form(&crate::kit::ciba::ASK);
    let id = Answer::of(request).await.text("auth_req_id");
    secured.allow(&id).await;
    let form = [("grant_type", super::CIBA), ("auth_req_id", &id)];
    let request = secured.http(Some(&leaf)).post(secured.url("/oauth2/token"));
    let free = Answer::of(request.basic_auth("agent", Some(SECRET)).form(&form)).await;
    assert!(free.claims("access_token").get("cnf").is_none());
    assert_eq!(
        secured
            .userinfo(None, &free.text("access_token"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    secured.server.stop().await;
}

#[tokio::test]
async fn c_081_pushed_tokens_are_bound_to_the_certificate_of_the_request() {
    let mut endpoint = Endpoint::good().await;
    let push = |method: &str, own: &str| {
        let url = endpoint.url();
        let delivery = "backchannel_token_delivery_mode = \"push\"\nbackchannel_client_notification_endpoint";
        client(method, method, &format!("{BOUND}{own}\n{delivery} = \"{url}\""))
    };
    let clients = [
        push("tls_client_auth", "tls_client_auth_san_dns = \"agent.example\""),
        push("client_secret_post", &format!("client_secret = \"{SECRET}\"")),
    ];
    let secured = Secured::start_with("modes = [\"poll\", \"push\"]", &clients.concat()).await;
    let (own, other) = (secured.ca.client("agent"), secured.ca.client("agent"));
    let token = ("client_notification_token", TOKEN);
    // Where there is no certificate, nobody is asked.
    let secret = [token, ("client_secret", SECRET)];
    let refused = secured.ask(None, "client_secret_post", &secret).await;
    assert_eq!(refused.refusal(), (400, "invalid_request"));
    for (id, with) in [
        ("tls_client_auth", &secret[..1]),
        ("client_secret_post", &secret[..]),
    ] {
        let asked = secured.ask(Some(&own), id, with).await;
        assert_eq!(asked.status, 200, "{id}: {asked:?}");
        secured.allow(&asked.text("auth_req_id")).await;
        let pushed = Answer {
            body: endpoint.body(endpoint.calls.len()).await,
            ..asked
        };
        assert_eq!(pushed.claims("access_token")["cnf"]["x5t#S256"], thumbprint(&own));
        let access = pushed.text("access_token");
        for (leaf, status) in [(Some(&own), 200), (Some(&other), 401), (None, 401)] {
            let told = Answer::of(secured.userinfo(leaf, &access)).await;
            assert_eq!(told.status, status, "{id}");
        }
    }
    secured.server.stop().await;
}
