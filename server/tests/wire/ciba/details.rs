//! Rich authorization requests (C-130 … C-133).

use serde_json::{Value, json};

use crate::kit::browser::http;
use crate::kit::ciba::{Answer, NO_LIMITS, Provider, Table, client, site};

const BAD: (u16, &str) = (400, "invalid_authorization_details");
const GOOD: (u16, &str) = (200, "");

async fn compared(provider: &Provider, client: &str, rows: &[(&str, String, (u16, &str))]) {
    let mut table = Table::default();
    for (what, details, expected) in rows {
        let with = [("authorization_details", &**details)];
        table.row(what, &provider.ask_as(client, &with).await, *expected);
    }
    table.end();
}

#[tokio::test]
async fn c_110_c_130_details_are_a_small_array_of_objects_with_a_type() {
    let provider = Provider::start(site(NO_LIMITS)).await;
    let many = |count: usize| format!("[{}]", vec![r#"{"type":"a"}"#; count].join(","));
    let long = |bytes: usize| format!(r#"[{{"type":"a","x":"{}"}}]"#, "x".repeat(bytes - 21));
    let deep = |depth: usize| {
        format!(
            r#"[{{"type":"a","x":{}{}}}]"#,
            "[".repeat(depth - 2),
            "]".repeat(depth - 2)
        )
    };
    assert_eq!(long(16 * 1024).len(), 16 * 1024);
    let plain = [
        ("an object", r#"{"type":"a"}"#),
        ("empty", "[]"),
        ("a number inside", "[1]"),
        ("no type", "[{}]"),
        ("an empty type", r#"[{"type":""}]"#),
        ("a type that is no text", r#"[{"type":1}]"#),
        ("the second has no type", r#"[{"type":"a"},{"x":1}]"#),
        ("no JSON", "[{"),
        ("null", "null"),
        ("a type named twice", r#"[{"type":"a","type":"b"}]"#),
        ("a member named twice", r#"[{"type":"a","x":[{"y":1,"y":2}]}]"#),
    ];
    let mut rows: Vec<_> = plain
        .iter()
        .map(|(what, text)| (*what, (*text).to_owned(), BAD))
        .collect();
    rows.extend([
        ("one", many(1), GOOD),
        ("sixteen", many(16), GOOD),
        ("seventeen", many(17), BAD),
        ("the longest", long(16 * 1024), GOOD),
        ("too long", long(16 * 1024 + 1), BAD),
        ("the deepest", deep(16), GOOD),
        ("too deep", deep(17), BAD),
        ("far too deep", deep(8000), BAD),
    ]);
    compared(&provider, "agent", &rows).await;
}

#[tokio::test]
async fn c_131_a_type_is_known_and_the_clients_or_refused() {
    let of = |kind: &str| format!(r#"[{{"type":"{kind}"}}]"#);
    let known = format!("[ciba.details.pay]\n[ciba.details.look]\n{NO_LIMITS}");
    let looker = client("looker", "authorization_details_types = [\"look\"]");
    let provider = Provider::start(site(&known).and(looker)).await;
    let rows = [
        ("known", of("pay"), GOOD),
        ("known too", of("look"), GOOD),
        ("unknown", of("sign"), BAD),
        ("another case", of("Pay"), BAD),
    ];
    compared(&provider, "agent", &rows).await;
    let two = r#"[{"type":"look"},{"type":"pay"}]"#.to_owned();
    let rows = [
        ("its own", of("look"), GOOD),
        ("another's", of("pay"), BAD),
        ("one of two", two, BAD),
    ];
    compared(&provider, "looker", &rows).await;
    assert_eq!(advertised(&provider).await, json!(["look", "pay"]));
    let provider = Provider::start(site(NO_LIMITS)).await;
    compared(&provider, "agent", &[("any type", of("anything"), GOOD)]).await;
    assert!(advertised(&provider).await.is_null());
}

async fn advertised(provider: &Provider) -> Value {
    let url = provider.url("/.well-known/openid-configuration");
    let mut metadata = Answer::of(http().get(url)).await.body;
    metadata["authorization_details_types_supported"].take()
}

#[tokio::test]
async fn c_132_what_breaks_the_schema_of_its_type_is_refused() {
    let types = format!(
        "[ciba.details.pay.schema]\ntype = \"object\"\nrequired = [\"amount\"]\nadditionalProperties = false\n\
         [ciba.details.pay.schema.properties.type]\n\
         [ciba.details.pay.schema.properties.amount]\nrequired = [\"value\", \"currency\"]\n\
         [ciba.details.pay.schema.properties.amount.properties]\n\
         value = {{ type = \"string\", pattern = '^[0-9]+\\.[0-9]{{2}}$' }}\n\
         currency = {{ enum = [\"EUR\", \"USD\"] }}\n\
         [ciba.details.look.schema]\nrequired = [\"at\"]\n{NO_LIMITS}"
    );
    let provider = Provider::start(site(&types)).await;
    let pay = |amount: Value| json!([{ "type": "pay", "amount": amount }]).to_string();
    let rows = [
        ("right", pay(json!({ "value": "10.00", "currency": "EUR" })), GOOD),
        ("no amount", r#"[{"type":"pay"}]"#.to_owned(), BAD),
        ("no currency", pay(json!({ "value": "10.00" })), BAD),
        (
            "another currency",
            pay(json!({ "value": "10.00", "currency": "XYZ" })),
            BAD,
        ),
        ("a number", pay(json!({ "value": 10, "currency": "EUR" })), BAD),
        ("a pattern", pay(json!({ "value": "10", "currency": "EUR" })), BAD),
        (
            "one member more",
            json!([{ "type": "pay", "amount": { "value": "1.00", "currency": "EUR" }, "to": "x" }])
                .to_string(),
            BAD,
        ),
        ("the other type", r#"[{"type":"look","at":1}]"#.to_owned(), GOOD),
        ("the other type, broken", r#"[{"type":"look"}]"#.to_owned(), BAD),
        (
            "the second is broken",
            r#"[{"type":"look","at":1},{"type":"look"}]"#.to_owned(),
            BAD,
        ),
    ];
    compared(&provider, "agent", &rows).await;
}

#[tokio::test]
async fn c_133_details_are_stored_shown_returned_and_in_the_token() {
    let provider = Provider::start(site(NO_LIMITS)).await;
    let details = json!([{ "type": "pay", "amount": { "value": "1.5", "n": 1.25e3 }, "to": ["é", null, true] }, { "type": "look" }]);
    let id = provider
        .asked(&[("authorization_details", &details.to_string())])
        .await;
    let provider = provider.crash().await;
    assert_eq!(provider.verify(&id).await.body["authorization_details"], details);
    provider.allow(&id).await;
    let tokens = provider.poll(&id).await;
    assert_eq!(tokens.body["authorization_details"], details);
    assert_eq!(tokens.claims("access_token")["authorization_details"], details);
}
