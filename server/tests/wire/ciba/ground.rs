//! What holds for every request of a client: methods, bodies, answers, and the order of the checks (C-001 … C-014).

use base64ct::{Base64, Encoding as _};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::browser::http;
use crate::kit::ciba::{
    ASK, ASKING, Answer, NO_LIMITS, Provider, SECRET, Table, client, signing_client, site,
};
use crate::kit::signer::Signer;

const BAD: (u16, &str) = (400, "invalid_request");
const GOOD: (u16, &str) = (200, "");
const FORM: &str = "application/x-www-form-urlencoded";

async fn open() -> Provider {
    Provider::start(site(NO_LIMITS)).await
}

/// A body as it is, from `agent`.
fn raw(provider: &Provider, content_type: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let request = provider.post(ASKING).basic_auth("agent", Some(SECRET));
    request.header("content-type", content_type).body(body)
}

/// A form of exactly so many bytes.
fn form_of(bytes: usize) -> String {
    let form = "scope=openid&login_hint=alice%40example.com&x=";
    format!("{form}{}", "x".repeat(bytes - form.len()))
}

#[tokio::test]
async fn c_001_c_005_the_paths_are_fixed_and_take_their_method_alone() {
    let provider = open().await;
    let others = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let (mut table, posts) = (
        Table::default(),
        [ASKING, "/oauth2/token", "/ciba/authorize", "/ciba/reject"],
    );
    for path in posts {
        let posted = Answer::of(provider.post(path)).await;
        assert!(
            ![404, 405].contains(&posted.status.as_u16()),
            "{path}: {posted:?}"
        );
        for method in &others {
            let answer = Answer::of(http().request(method.clone(), provider.url(path))).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers["allow"], "POST", "{method} {path}");
            if method != Method::HEAD {
                table.row(&format!("{method} {path}"), &answer, (405, "invalid_request"));
            }
        }
    }
    let verify = Answer::of(provider.post("/ciba/verify")).await;
    table.row("POST /ciba/verify", &verify, (405, "invalid_request"));
    assert_eq!(verify.headers["allow"], "GET,HEAD");
    table.row("GET /ciba/verify", &provider.verify("").await, BAD);
    table.end();
}

#[tokio::test]
async fn c_006_a_form_is_utf_8_and_has_at_most_64_kib() {
    let provider = open().await;
    let (fits, too_large) = (form_of(64 * 1024), form_of(64 * 1024 + 1));
    let mut table = Table::default();
    let hint = "login_hint=alice%40example.com";
    for (what, content_type, body, expected) in [
        (
            "a charset",
            "application/x-www-form-urlencoded; charset=UTF-8",
            format!("scope=openid&{hint}"),
            GOOD,
        ),
        (
            "an odd charset",
            "application/x-www-form-urlencoded;charset=\"x y\"",
            format!("scope=openid&{hint}"),
            GOOD,
        ),
        (
            "capitals",
            "Application/X-WWW-Form-URLencoded",
            format!("scope=openid&{hint}"),
            GOOD,
        ),
        (
            "UTF-8",
            FORM,
            format!("scope=openid&{hint}&binding_message=%C3%A9"),
            GOOD,
        ),
        ("the largest", FORM, fits, GOOD),
        ("one byte more", FORM, too_large.clone(), (413, "invalid_request")),
        ("a broken escape", FORM, format!("scope=openid&{hint}&x=%4"), BAD),
        ("no escape", FORM, format!("scope=openid&{hint}&x=%zz"), BAD),
        (
            "Latin-1",
            FORM,
            format!("scope=openid&{hint}&binding_message=%E9"),
            BAD,
        ),
        (
            "Latin-1 that says so",
            "application/x-www-form-urlencoded; charset=iso-8859-1",
            format!("scope=openid&{hint}&binding_message=%E9"),
            BAD,
        ),
        (
            "a surrogate",
            FORM,
            format!("scope=openid&{hint}&binding_message=%ED%A0%80"),
            BAD,
        ),
        ("a broken name", FORM, format!("scope=openid&{hint}&%ff=x"), BAD),
    ] {
        let answer = Answer::of(raw(&provider, content_type, body)).await;
        table.row(what, &answer, expected);
    }
    let bytes = b"scope=openid&login_hint=\xff".to_vec();
    table.row("bytes", &Answer::of(raw(&provider, FORM, bytes)).await, BAD);
    table.end();
    // In chunks: the server does not know how many there are.
    let mut connection = TcpStream::connect(&provider.server.address).await.unwrap();
    let credentials = Base64::encode_string(format!("agent:{SECRET}").as_bytes());
    let head = format!(
        "POST {ASKING} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {credentials}\r\nContent-Type: {FORM}\r\n\
         Transfer-Encoding: chunked\r\n\r\n10000\r\n{}\r\n1\r\nx\r\n0\r\n\r\n",
        form_of(64 * 1024)
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn c_007_json_has_texts_and_three_other_members_each_once() {
    let resources = "[oauth]\nresources = [\"https://a.example\", \"https://b.example\"]\n";
    let provider = Provider::start(site(NO_LIMITS).and(resources)).await;
    let start = r#"{"scope":"openid","login_hint":"alice@example.com""#;
    let mut table = Table::default();
    for (rest, expected) in [
        ("}", GOOD),
        (r#","requested_expiry":60}"#, GOOD),
        (r#","requested_expiry":"60"}"#, GOOD),
        (r#","requested_expiry":60.5}"#, BAD),
        (r#","requested_expiry":-1}"#, BAD),
        (r#","requested_expiry":[60]}"#, BAD),
        (r#","authorization_details":[{"type":"pay"}]}"#, GOOD),
        (r#","authorization_details":"[{\"type\":\"pay\"}]"}"#, GOOD),
        (
            r#","authorization_details":{"type":"pay"}}"#,
            (400, "invalid_authorization_details"),
        ),
        (
            r#","authorization_details":5}"#,
            (400, "invalid_authorization_details"),
        ),
        (r#","resource":"https://a.example"}"#, GOOD),
        (r#","resource":["https://a.example","https://b.example"]}"#, GOOD),
        (r#","resource":[]}"#, GOOD),
        (r#","resource":[1]}"#, BAD),
        (r#","agent_claims":{"agent":"bot"}}"#, GOOD),
        (r#","unknown":"x"}"#, GOOD),
        (r#","unknown":1}"#, BAD),
        (r#","user_code":null}"#, BAD),
        (r#","scope":"openid"}"#, BAD),
        (r#","\u0073cope":"openid"}"#, BAD),
        (r#","binding_message":"","binding_message":"x"}"#, BAD),
        (r#","authorization_details":[{"type":"pay","type":"look"}]}"#, BAD),
        (
            r#","authorization_details":[{"type":"pay","x":{"sum":1,"sum":2}}]}"#,
            BAD,
        ),
        ("} {}", BAD),
        ("", BAD),
    ] {
        let answer = Answer::of(raw(
            &provider,
            "application/json; charset=utf-8",
            format!("{start}{rest}"),
        ))
        .await;
        table.row(rest, &answer, expected);
    }
    for body in ["", "[]", "null", "\u{feff}{}", "{\"scope\":\"\u{0}\"}"] {
        let answer = Answer::of(raw(&provider, "application/json", body)).await;
        table.row(body, &answer, BAD);
    }
    let invalid = Answer::of(raw(
        &provider,
        "application/json",
        b"{\"scope\":\"\xff\"}".to_vec(),
    ))
    .await;
    table.row("no UTF-8", &invalid, BAD);
    table.end();
    let in_body = json!({ "client_id": "agent", "client_secret": SECRET, "scope": "openid", "login_hint": "alice@example.com" });
    let answer = Answer::of(provider.post(ASKING).json(&in_body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn c_008_other_content_types_are_refused() {
    let provider = open().await;
    let mut table = Table::default();
    for other in [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/json5",
        "application/x-www-form-urlencoded2",
        "x; application/json",
        "",
    ] {
        let answer = Answer::of(raw(&provider, other, form_of(100))).await;
        table.row(other, &answer, BAD);
    }
    let none = provider
        .post(ASKING)
        .basic_auth("agent", Some(SECRET))
        .body(form_of(100));
    table.row("none", &Answer::of(none).await, BAD);
    table.end();
}

#[tokio::test]
async fn c_009_c_010_c_011_parameters_come_once_empty_ones_are_absent_and_unknown_ones_ignored() {
    let provider = open().await;
    provider
        .table(&[
            (
                "C-009: twice the same",
                &[("scope", "openid"), ("scope", "openid")],
                BAD,
            ),
            (
                "C-009: one of them empty",
                &[("user_code", ""), ("user_code", "x")],
                BAD,
            ),
            ("C-009: an unknown one", &[("x", "1"), ("x", "2")], BAD),
            (
                "C-010: an empty hint beside",
                &[("login_hint_token", ""), ("id_token_hint", "")],
                GOOD,
            ),
            (
                "C-010: all others empty",
                &[
                    ("request", ""),
                    ("request_uri", ""),
                    ("requested_expiry", ""),
                    ("authorization_details", ""),
                    ("acr_values", ""),
                    ("resource", ""),
                    ("agent_claims", ""),
                    ("client_notification_uri", ""),
                    ("client_secret", ""),
                ],
                GOOD,
            ),
            ("C-010: an empty scope", &[("scope", "")], BAD),
            ("C-010: an empty hint", &[("login_hint", "")], BAD),
            (
                "C-011: unknown",
                &[("nonce", "x"), ("prompt", "none"), ("", "x")],
                GOOD,
            ),
        ])
        .await;
    let in_query = provider.post(&format!(
        "{ASKING}?scope=openid&login_hint=alice@example.com&requested_expiry=x"
    ));
    let in_query = in_query.basic_auth("agent", Some(SECRET));
    let mut table = Table::default();
    table.row(
        "C-011: in the query",
        &Answer::of(in_query.try_clone().unwrap().form(&[("x", "y")])).await,
        BAD,
    );
    table.row(
        "C-011: beside the body",
        &Answer::of(in_query.form(&ASK)).await,
        GOOD,
    );
    table.end();
}

#[tokio::test]
async fn c_012_when_the_store_is_away_the_client_may_come_again() {
    let provider = open().await;
    let lock = provider.site.lock_database();
    let answer = provider.ask(&[]).await;
    let mut table = Table::default();
    table.row("locked", &answer, (503, "temporarily_unavailable"));
    table.end();
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    drop(lock);
    assert_eq!(provider.ask(&[]).await.status, 200);
}

/// All that can be wrong at once is put right step by step: each answer names the first thing that still is wrong.
#[tokio::test]
async fn c_014_the_first_check_that_fails_is_the_answer() {
    let signer = Signer::new(jsonwebtoken::Algorithm::ES256);
    let signing = signing_client(
        "signing",
        &signer,
        "backchannel_authentication_request_signing_alg = \"ES256\"",
    )
    .replace(
        "token_endpoint_auth_method = \"private_key_jwt\"",
        &format!("client_secret = \"{SECRET}\""),
    );
    let machine = format!(
        "[[client]]\nclient_id = \"machine\"\nclient_secret = \"{SECRET}\"\ngrant_types = [\"client_credentials\"]\n"
    );
    let ping = client(
        "ping",
        "backchannel_token_delivery_mode = \"ping\"\nbackchannel_user_code_parameter = true\n\
         backchannel_client_notification_endpoint = \"http://127.0.0.1:9/cb\"",
    );
    let coded = crate::ciba::user_code::person("carol", "the-code");
    let clients = [signing, machine, ping, coded].concat();
    let limited = async |limit: u32| {
        let settings = format!(
            "modes = [\"poll\", \"ping\"]\nuser_codes = true\n[ciba.limits]\nrequests_per_minute = {limit}\n"
        );
        Provider::start(site(&settings).and(clients.as_str())).await
    };
    let provider = limited(0).await;
    let mut form: Form = vec![
        ("user_code", "wrong"),
        ("binding_message", "a\nb"),
        ("login_hint", "nobody@example.com"),
        ("id_token_hint", "x.y.z"),
        ("scope", "openid admin"),
        ("scope", "openid admin"),
    ];
    let (mut client, mut secret) = ("machine", "wrong");
    let mut table = Table::default();
    let get = Answer::of(
        http()
            .get(provider.url(ASKING))
            .header("content-type", "text/plain"),
    )
    .await;
    table.row("method", &get, (405, "invalid_request"));
    // The server closes a connection whose body it does not read: no later request may be on it.
    let apart = || http().post(provider.url(ASKING));
    let typed = apart().header("content-type", "text/plain").body(form_of(99_999));
    table.row("content type", &Answer::of(typed).await, BAD);
    let large = apart()
        .header("content-type", FORM)
        .body(format!("{}&x=", form_of(99_999)));
    table.row("size", &Answer::of(large).await, (413, "invalid_request"));
    let steps: [(&str, Step<'_>, (u16, &str)); 10] = [
        ("duplicates", &|_| (), BAD),
        (
            "client authentication",
            &|form| {
                form.pop();
            },
            (401, "invalid_client"),
        ),
        ("grant", &|_| (), (400, "unauthorized_client")),
        ("signed request", &|_| (), BAD),
        ("scope", &|_| (), (400, "invalid_scope")),
        ("notification token", &|form| set(form, "scope", "openid"), BAD),
        (
            "hints",
            &|form| form.push(("client_notification_token", "a-token-of-22-characters")),
            BAD,
        ),
        (
            "other parameters",
            &|form| form.retain(|(name, _)| *name != "id_token_hint"),
            (400, "invalid_binding_message"),
        ),
        (
            "hint resolution",
            &|form| set(form, "binding_message", "1"),
            (400, "unknown_user_id"),
        ),
        (
            "user code",
            &|form| set(form, "login_hint", "carol@example.com"),
            (400, "invalid_user_code"),
        ),
    ];
    for (what, mend, expected) in steps {
        mend(&mut form);
        match what {
            "grant" => secret = SECRET,
            "signed request" => client = "signing",
            "scope" => client = "ping",
            _ => {}
        }
        let request = provider.post(ASKING).basic_auth(client, Some(secret)).form(&form);
        table.row(what, &Answer::of(request).await, expected);
    }
    set(&mut form, "user_code", "the-code");
    let busy = limited(1).await;
    // The limit counts guesses at people and codes, so it comes before them.
    for (what, hint, expected) in [
        ("creation", "carol@example.com", GOOD),
        (
            "rate limit",
            "nobody@example.com",
            (429, "temporarily_unavailable"),
        ),
    ] {
        set(&mut form, "login_hint", hint);
        let request = busy.post(ASKING).basic_auth(client, Some(secret)).form(&form);
        table.row(what, &Answer::of(request).await, expected);
    }
    // Of refusals with one code, the words tell which.
    let says =
        |answer: &Answer, word: &str| assert!(answer.text("error_description").contains(word), "{answer:?}");
    let ask = async |form: &[(&str, &str)]| provider.form_as("ping", ASKING, form).await;
    says(&ask(&[("scope", "openid")]).await, "client_notification_token");
    says(
        &ask(&[
            ("scope", "openid"),
            ("client_notification_token", "x"),
            ("requested_expiry", "x"),
        ])
        .await,
        "login_hint",
    );
    table.end();
}

/// What is sent, while it is put right.
type Form = Vec<(&'static str, &'static str)>;

/// Changes a form for the next step.
type Step<'a> = &'a dyn Fn(&mut Form);

fn set(form: &mut Form, name: &str, value: &'static str) {
    form.iter_mut()
        .filter(|(own, _)| *own == name)
        .for_each(|pair| pair.1 = value);
}

#[tokio::test]
async fn c_003_c_004_c_407_an_error_never_repeats_what_was_sent() {
    let provider = open().await;
    let mark = "a-mark-that-must-not-come-back";
    let mut table = Table::default();
    for (name, expected) in [
        ("scope", (400, "invalid_scope")),
        ("login_hint", (400, "unknown_user_id")),
        ("id_token_hint", BAD),
        ("login_hint_token", BAD),
        ("requested_expiry", BAD),
        ("authorization_details", (400, "invalid_authorization_details")),
        ("resource", (400, "invalid_target")),
        ("agent_claims", BAD),
        ("client_notification_uri", BAD),
        ("request", BAD),
        ("client_id", BAD),
        ("client_secret", BAD),
    ] {
        let mut form = vec![(name, mark)];
        if name != "scope" {
            form.push(("scope", "openid"));
        }
        if !name.contains("hint") {
            form.push(("login_hint", "alice@example.com"));
        }
        let answer = provider.form_as("agent", ASKING, &form).await;
        table.row(name, &answer, expected);
        assert!(!answer.body.to_string().contains(mark), "{answer:?}");
        assert_ne!(answer.body, Value::Null);
    }
    table.end();
    let log = provider.server.stop().await;
    assert!(!log.contains(mark), "{log}");
}
