//! Certificates that a proxy in front says (RFC 9440): with the operator's switch, and never without it.

use base64ct::{Base64, Encoding as _};

use super::client;
use crate::kit::ciba::{Answer, Provider, site};
use crate::kit::pki::{Ca, Leaf};

/// A plain server; `tls` is TOML of `[tls]`.
async fn provider(ca: &Ca, tls: &str, clients: &str) -> Provider {
    let site = site("").and(clients).and(format!("[tls]\n{tls}\n"));
    std::fs::write(site.config().with_file_name("ca.pem"), ca.pem()).unwrap();
    Provider::start(site.without_hook().with("BEHIND_TLS_PROXY", "true")).await
}

fn value(leaf: &Leaf) -> String {
    format!(":{}:", Base64::encode_string(&leaf.der))
}

async fn token(provider: &Provider, headers: &[(&'static str, &str)]) -> Answer {
    let form = [("grant_type", "client_credentials"), ("client_id", "named")];
    let mut request = provider.post("/oauth2/token").form(&form);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await
}

#[tokio::test]
async fn c_080_a_trusted_proxy_says_the_certificate_and_it_is_judged_as_any_other() {
    let ca = Ca::new();
    let named = client(
        "named",
        "tls_client_auth",
        "tls_client_auth_san_dns = \"agent.example\"",
    );
    let provider = provider(&ca, "client_cert_header = true\nclient_ca = \"ca.pem\"", &named).await;
    let (own, other, stranger) = (ca.client("agent"), ca.client("other"), Ca::new().client("agent"));
    let good = value(&own);
    assert_eq!(token(&provider, &[("client-cert", &good)]).await.status, 200);
    let chain = format!("{}, {}", value(&other), value(&other));
    let with_chain = [("client-cert", good.as_str()), ("client-cert-chain", &chain)];
    assert_eq!(token(&provider, &with_chain).await.status, 200);
    let (other, stranger) = (value(&other), value(&stranger));
    let bare = good.trim_matches(':').to_owned();
    let huge = format!(":{}:", Base64::encode_string(&[0x30; 9 * 1024]));
    for wrong in [
        &[][..],
        &[("client-cert", &*other)],
        &[("client-cert", &stranger)],
        &[("client-cert", &bare)],
        &[("client-cert", ":AAAA:")],
        &[("client-cert", "")],
        &[("client-cert", &huge)],
        &[("client-cert", &good), ("client-cert", &good)],
        &[("client-cert", &good), ("client-cert-chain", "junk")],
    ] {
        let refused = token(&provider, wrong).await;
        assert_eq!(refused.refusal(), (401, "invalid_client"), "{wrong:?}");
    }
    let metadata =
        Answer::of(crate::kit::browser::http().get(provider.url("/.well-known/openid-configuration"))).await;
    assert!(metadata.body.get("mtls_endpoint_aliases").is_none());
    provider.server.stop().await;
}

#[tokio::test]
async fn c_081_without_the_switch_a_header_says_nothing() {
    let ca = Ca::new();
    let free = client(
        "named",
        "client_secret_post",
        "client_secret = \"a-secret-of-no-use\"",
    );
    let provider = provider(&ca, "", &free).await;
    let own = ca.client("agent");
    let refused = token(&provider, &[("client-cert", &value(&own))]).await;
    assert_eq!(refused.refusal(), (401, "invalid_client"));
    let metadata =
        Answer::of(crate::kit::browser::http().get(provider.url("/.well-known/openid-configuration"))).await;
    for member in [
        "tls_client_certificate_bound_access_tokens",
        "mtls_endpoint_aliases",
    ] {
        assert!(metadata.body.get(member).is_none(), "{member}");
    }
    provider.server.stop().await;
}
