//! How clients prove who they are, at bc-authorize and at the token endpoint (C-070 … C-083).

use base64ct::{Base64, Encoding as _};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::kit::ciba::{
    ASK, ASKING, Answer, NO_LIMITS, Provider, SECRET, Table, client, signing_client, site,
};
use crate::kit::signer::{ASSERTION_TYPE, Signer, assertion, seconds, unsigned};
use crate::kit::site::Site;

const TOKEN: &str = "/oauth2/token";
const NO: (u16, &str) = (401, "invalid_client");
const BAD: (u16, &str) = (400, "invalid_request");

/// A server that counts no failures.
fn open() -> Site {
    site(NO_LIMITS).with("OAUTH__FAILURES_PER_MINUTE", "0")
}

/// Returns what a known client is answered at these paths: at the token endpoint the grant is missing.
fn known(path: &str) -> (u16, &'static str) {
    if path == TOKEN {
        (400, "invalid_grant")
    } else {
        (200, "")
    }
}

/// Sends a request that is good but for who it is from.
async fn sent(provider: &Provider, path: &str, header: Option<&str>, with: &[(&str, &str)]) -> Answer {
    let token = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", "unknown"),
    ];
    let mut form = if path == TOKEN {
        token.to_vec()
    } else {
        ASK.to_vec()
    };
    form.extend(with);
    let request = provider.post(path).form(&form);
    let request = match header {
        Some(header) => request.header("authorization", header),
        None => request,
    };
    Answer::of(request).await
}

fn basic(text: &str) -> String {
    format!("Basic {}", Base64::encode_string(text.as_bytes()))
}

#[tokio::test]
async fn c_070_c_071_c_072_a_client_proves_itself_with_its_secret_in_one_of_two_ways() {
    let signer = Signer::new(Algorithm::ES256);
    let post = client("post", "token_endpoint_auth_method = \"client_secret_post\"");
    let odd = client("odd:id", "").replace(SECRET, "a secret/with:&+%25");
    let disabled = client("disabled", "disabled = true");
    let clients = [post, odd, disabled, signing_client("signing", &signer, "")].concat();
    let provider = Provider::start(open().and(clients)).await;
    let of = |id: &str, secret: &str| basic(&format!("{id}:{secret}"));
    let good = of("agent", SECRET);
    let mut table = Table::default();
    for path in [ASKING, TOKEN] {
        for (what, header, form, expected) in [
            ("Basic", Some(good.clone()), vec![], known(path)),
            (
                "Basic in small letters",
                Some(good.replace("Basic", "bAsIc")),
                vec![],
                known(path),
            ),
            (
                "Basic, with the id beside",
                Some(good.clone()),
                vec![("client_id", "agent")],
                known(path),
            ),
            (
                "Basic, of a client that registered post",
                Some(of("post", SECRET)),
                vec![],
                known(path),
            ),
            (
                "form-encoded",
                Some(of("odd%3Aid", "a+secret%2Fwith%3A%26%2B%2525")),
                vec![],
                known(path),
            ),
            (
                "post",
                None,
                vec![("client_id", "post"), ("client_secret", SECRET)],
                known(path),
            ),
            (
                "post, of a client that registered Basic",
                None,
                vec![("client_id", "agent"), ("client_secret", SECRET)],
                known(path),
            ),
            ("C-070: nothing", None, vec![], NO),
            ("C-070: an id alone", None, vec![("client_id", "agent")], NO),
            ("C-070: an unknown client", Some(of("nobody", SECRET)), vec![], NO),
            ("C-070: a wrong secret", Some(of("agent", "wrong")), vec![], NO),
            (
                "C-070: a longer secret",
                Some(of("agent", &format!("{SECRET}&x"))),
                vec![],
                NO,
            ),
            ("C-070: an empty secret", Some(of("agent", "")), vec![], NO),
            (
                "C-070: a disabled client",
                Some(of("disabled", SECRET)),
                vec![],
                NO,
            ),
            (
                "C-070: another client's secret",
                Some(of("odd%3Aid", SECRET)),
                vec![],
                NO,
            ),
            ("C-071: no colon", Some(basic("agent")), vec![], NO),
            ("C-071: no base64", Some("Basic !".into()), vec![], NO),
            (
                "C-071: no UTF-8",
                Some(format!("Basic {}", Base64::encode_string(b"\xff:x"))),
                vec![],
                NO,
            ),
            (
                "C-071: another scheme",
                Some(format!("Bearer {SECRET}")),
                vec![],
                NO,
            ),
            (
                "C-071: nothing behind the scheme",
                Some("Basic".into()),
                vec![],
                NO,
            ),
            (
                "C-072: wrong, in the body",
                None,
                vec![("client_id", "agent"), ("client_secret", "wrong")],
                NO,
            ),
            (
                "C-072: a client that signs, Basic",
                Some(of("signing", "")),
                vec![],
                NO,
            ),
            (
                "C-072: a client that signs, post",
                None,
                vec![("client_id", "signing"), ("client_secret", SECRET)],
                NO,
            ),
            ("C-072: a secret alone", None, vec![("client_secret", SECRET)], NO),
        ] {
            let answer = sent(&provider, path, header.as_deref(), &form).await;
            table.row(&format!("{path}: {what}"), &answer, expected);
            if expected == NO {
                let challenge = answer
                    .headers
                    .get("www-authenticate")
                    .map(|value| value.to_str().unwrap());
                assert!(
                    challenge.is_some_and(|it| it.starts_with("Basic realm=")),
                    "{what}: {answer:?}"
                );
            }
        }
    }
    table.end();
    // Not even the words tell them apart.
    let none = sent(&provider, ASKING, None, &[]).await;
    for header in [of("nobody", SECRET), of("agent", "wrong"), of("disabled", SECRET)] {
        assert_eq!(sent(&provider, ASKING, Some(&header), &[]).await.body, none.body);
    }
}

#[tokio::test]
async fn c_073_two_ways_at_once_and_two_ids_are_refused() {
    let signer = Signer::new(Algorithm::ES256);
    let provider = Provider::start(open().and(signing_client("signing", &signer, ""))).await;
    let good = basic(&format!("agent:{SECRET}"));
    let issuer = provider.server.url.clone();
    let signed = || signer.sign(&assertion("signing", &issuer, &[]));
    let mut table = Table::default();
    for path in [ASKING, TOKEN] {
        let jwt = signed();
        let proof = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &*jwt),
        ];
        for (what, header, form) in [
            (
                "header and body secret",
                Some(&*good),
                vec![("client_secret", SECRET)],
            ),
            ("header and assertion", Some(&*good), proof.to_vec()),
            (
                "header and half an assertion",
                Some(&*good),
                vec![("client_assertion_type", ASSERTION_TYPE)],
            ),
            (
                "secret and assertion",
                None,
                [&proof[..], &[("client_id", "signing"), ("client_secret", SECRET)]].concat(),
            ),
            (
                "another id beside the header",
                Some(&*good),
                vec![("client_id", "signing")],
            ),
            (
                "another id beside the assertion",
                None,
                [&proof[..], &[("client_id", "agent")]].concat(),
            ),
        ] {
            let answer = sent(&provider, path, header, &form).await;
            table.row(&format!("{path}: {what}"), &answer, BAD);
        }
        let twice = provider
            .post(path)
            .header("authorization", &good)
            .header("authorization", &good);
        table.row("two headers", &Answer::of(twice.form(&ASK)).await, BAD);
    }
    table.end();
}

#[tokio::test]
async fn c_075_c_076_c_077_c_078_an_assertion_is_of_its_client_for_us_for_now_and_for_once() {
    let [signer, other] = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256)];
    let rsa = Signer::new(Algorithm::PS256);
    let clients = [
        signing_client("signing", &signer, ""),
        signing_client("other", &other, ""),
        signing_client("ps256", &rsa, "token_endpoint_auth_signing_alg = \"PS256\""),
    ];
    let provider = Provider::start(open().and(clients.concat())).await;
    let issuer = provider.server.url.clone();
    let (asking, token) = (format!("{issuer}{ASKING}"), format!("{issuer}{TOKEN}"));
    let now = seconds();
    let mut table = Table::default();
    let claims = |with: &[(&str, Value)]| assertion("signing", &issuer, with);
    for path in [ASKING, TOKEN] {
        let yes = known(path);
        let own = if path == ASKING { yes } else { NO };
        for (what, jwt, expected) in [
            ("C-076: the issuer", signer.sign(&claims(&[])), yes),
            (
                "C-076: the token endpoint",
                signer.sign(&claims(&[("aud", json!(token))])),
                yes,
            ),
            (
                "C-076: bc-authorize",
                signer.sign(&claims(&[("aud", json!(asking))])),
                own,
            ),
            (
                "C-076: a list",
                signer.sign(&claims(&[("aud", json!(["https://them", issuer]))])),
                yes,
            ),
            (
                "C-076: others",
                signer.sign(&claims(&[("aud", json!(["https://them"]))])),
                NO,
            ),
            ("C-076: none", signer.sign(&claims(&[("aud", Value::Null)])), NO),
            (
                "C-076: a slash more",
                signer.sign(&claims(&[("aud", json!(format!("{issuer}/")))])),
                NO,
            ),
            ("C-075: another client's key", other.sign(&claims(&[])), NO),
            (
                "C-075: HS256 with the key set",
                Signer::hmac(signer.set().to_string().as_bytes()).sign(&claims(&[])),
                NO,
            ),
            ("C-075: none", unsigned(&claims(&[])), NO),
            (
                "C-075: another iss",
                signer.sign(&claims(&[("iss", json!("other"))])),
                NO,
            ),
            (
                "C-075: another sub",
                signer.sign(&claims(&[("sub", json!("other"))])),
                NO,
            ),
            ("C-075: no iss", signer.sign(&claims(&[("iss", Value::Null)])), NO),
            ("C-075: no sub", signer.sign(&claims(&[("sub", Value::Null)])), NO),
            ("C-075: no JWT", "nonsense".into(), NO),
            ("C-077: no exp", signer.sign(&claims(&[("exp", Value::Null)])), NO),
            (
                "C-077: just expired",
                signer.sign(&claims(&[("exp", json!(now - 10))])),
                yes,
            ),
            (
                "C-077: expired",
                signer.sign(&claims(&[("exp", json!(now - 60))])),
                NO,
            ),
            (
                "C-077: in an hour",
                signer.sign(&claims(&[("exp", json!(now + 3600))])),
                yes,
            ),
            (
                "C-077: too far ahead",
                signer.sign(&claims(&[("exp", json!(now + 3700))])),
                NO,
            ),
            (
                "C-077: the end of time",
                signer.sign(&claims(&[("exp", json!(u64::MAX))])),
                NO,
            ),
            (
                "C-077: begins soon",
                signer.sign(&claims(&[("nbf", json!(now + 20))])),
                yes,
            ),
            (
                "C-077: begins later",
                signer.sign(&claims(&[("nbf", json!(now + 90))])),
                NO,
            ),
            (
                "C-077: from the future",
                signer.sign(&claims(&[("iat", json!(now + 90))])),
                NO,
            ),
            ("C-078: no jti", signer.sign(&claims(&[("jti", Value::Null)])), NO),
            (
                "C-078: an empty jti",
                signer.sign(&claims(&[("jti", json!(""))])),
                NO,
            ),
        ] {
            let form = [
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &*jwt),
            ];
            let answer = sent(&provider, path, None, &form).await;
            table.row(&format!("{path}: {what}"), &answer, expected);
        }
        for (what, form) in [
            (
                "C-075: another type",
                vec![("client_assertion_type", "urn:x"), ("client_assertion", "x")],
            ),
            ("C-075: no type", vec![("client_assertion", "x")]),
            (
                "C-075: no assertion",
                vec![("client_assertion_type", ASSERTION_TYPE)],
            ),
        ] {
            table.row(what, &sent(&provider, path, None, &form).await, NO);
        }
    }
    // Across both endpoints, and not used up by one that another party signed.
    let once = claims(&[]);
    for (what, jwt, path, expected) in [
        ("C-078: forged", other.sign(&once), ASKING, NO),
        ("C-078: first", signer.sign(&once), ASKING, known(ASKING)),
        ("C-078: again, elsewhere", signer.sign(&once), TOKEN, NO),
        ("C-078: again", signer.sign(&once), ASKING, NO),
    ] {
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &*jwt),
        ];
        table.row(what, &sent(&provider, path, None, &form).await, expected);
    }
    let rs256 = rsa.with_header(|header| header.alg = Algorithm::RS256);
    for (what, signer, expected) in [
        ("C-048: registered", &rsa, 200),
        ("C-048: another algorithm", &rs256, 401),
    ] {
        let jwt = signer.sign(&assertion("ps256", &issuer, &[]));
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &*jwt),
        ];
        assert_eq!(
            sent(&provider, ASKING, None, &form).await.status,
            expected,
            "{what}"
        );
    }
    table.end();
}

#[tokio::test]
async fn c_079_c_400_a_clients_jwks_uri_is_fetched_and_for_an_unknown_kid_not_again_within_a_minute() {
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};
    let [old, new] = [Signer::new(Algorithm::ES256), Signer::new(Algorithm::ES256)];
    let keys = MockServer::start().await;
    let serves = async |signer: &Signer, kid: &str| {
        let mut set = signer.set();
        set["keys"][0]["kid"] = json!(kid);
        keys.reset().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_json(set))
            .mount(&keys)
            .await;
    };
    let at = signing_client("signing", &old, "").replace(
        &format!("jwks = {}", old.toml()),
        &format!("jwks_uri = \"{}\"", keys.uri()),
    );
    let provider = Provider::start(open().and(at)).await;
    let issuer = provider.server.url.clone();
    let prove = async |signer: &Signer, kid: &str| {
        let signer = signer.with_header(|header| header.kid = Some(kid.to_owned()));
        let jwt = signer.sign(&assertion("signing", &issuer, &[]));
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &*jwt),
        ];
        sent(&provider, ASKING, None, &form).await.refusal().0
    };
    serves(&old, "old").await;
    assert_eq!(prove(&old, "old").await, 200);
    serves(&new, "new").await;
    // Not yet: the keys were fetched less than 60 seconds ago.
    assert_eq!(prove(&new, "new").await, 401);
    assert_eq!(prove(&old, "old").await, 200);
    assert!(keys.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn c_080_c_081_without_certificates_their_methods_are_not_offered() {
    let provider = Provider::start(open()).await;
    let url = provider.url("/.well-known/openid-configuration");
    let answer = Answer::of(crate::kit::browser::http().get(url)).await;
    assert!(!answer.body.to_string().contains("tls_client"), "{answer:?}");
}

#[tokio::test]
async fn c_082_a_client_without_the_grant_is_refused_once_it_is_known() {
    let machine = format!(
        "[[client]]\nclient_id = \"machine\"\nclient_secret = \"{SECRET}\"\ngrant_types = [\"client_credentials\"]\n\
         [[client]]\nclient_id = \"push\"\nclient_secret = \"{SECRET}\"\nbackchannel_token_delivery_mode = \"push\"\n\
         backchannel_client_notification_endpoint = \"http://127.0.0.1:9/cb\"\n"
    );
    let modes = format!("modes = [\"poll\", \"push\"]\n{NO_LIMITS}");
    let provider = Provider::start(site(&modes).and(machine)).await;
    let mut table = Table::default();
    table.row(
        "without",
        &provider.ask_as("machine", &[]).await,
        (400, "unauthorized_client"),
    );
    let wrong = basic("machine:wrong");
    table.row(
        "not proven",
        &sent(&provider, ASKING, Some(&wrong), &[]).await,
        NO,
    );
    let token = [("client_notification_token", "a-token-of-many-characters")];
    table.row("push", &provider.ask_as("push", &token).await, (200, ""));
    table.end();
}

#[tokio::test]
async fn c_083_a_switch_makes_the_issuer_the_only_audience() {
    let signer = Signer::new(Algorithm::ES256);
    let site = open().with("OAUTH__ISSUER_IS_ONLY_AUDIENCE", "true");
    let provider = Provider::start(site.and(signing_client("signing", &signer, ""))).await;
    let issuer = provider.server.url.clone();
    let mut table = Table::default();
    for path in [ASKING, TOKEN] {
        for (aud, expected) in [
            (issuer.clone(), known(path)),
            (format!("{issuer}{TOKEN}"), NO),
            (format!("{issuer}{ASKING}"), NO),
        ] {
            let jwt = signer.sign(&assertion("signing", &aud, &[]));
            let form = [
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &*jwt),
            ];
            table.row(
                &format!("{path}: {aud}"),
                &sent(&provider, path, None, &form).await,
                expected,
            );
        }
    }
    table.end();
}
