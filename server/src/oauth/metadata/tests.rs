//! What may be registered, and what is answered otherwise: a table for each requirement.

use serde_json::json;

use super::*;
use crate::config::Config;
use crate::oauth::client::Alg;

const CIBA: &str = CIBA_GRANT;

/// A server with everything that registration asks about.
fn offer() -> Offer {
    Offer {
        scopes: ["openid", "profile", "payments"].map(String::from).to_vec(),
        grant_types: vec![CIBA, "refresh_token", "client_credentials"],
        auth_methods: vec![
            AuthMethod::ClientSecretBasic,
            AuthMethod::ClientSecretPost,
            AuthMethod::PrivateKeyJwt,
            AuthMethod::TlsClientAuth,
            AuthMethod::SelfSignedTlsClientAuth,
        ],
        modes: vec![Mode::Poll, Mode::Ping, Mode::Push],
        user_codes: true,
        acr_values: Vec::new(),
        details_types: Some(vec!["payment".into()]),
        registration: true,
        loopback: false,
        mtls_origin: None,
    }
}

/// A polling client, with members on top; `null` takes one away.
fn poll(members: Value) -> Map<String, Value> {
    let mut client = json!({ "grant_types": [CIBA], "backchannel_token_delivery_mode": "poll" });
    let (client_members, Value::Object(members)) = (client.as_object_mut().unwrap(), members) else {
        panic!("members are an object")
    };
    client_members.extend(members);
    client_members.clone()
}

fn read(members: Value) -> Result<Metadata, Refusal> {
    checked(poll(members), "the-id", &offer())
}

fn refused(members: Value) -> &'static str {
    let shown = members.to_string();
    match read(members) {
        Ok(_) => panic!("{shown} is taken"),
        Err(refusal) => refusal.description().split(':').next().unwrap(),
    }
}

fn public_keys() -> Value {
    json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "kid": "1", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
        { "kty": "EC", "crv": "P-256", "kid": "2", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
    ] })
}

#[test]
fn c_042_a_client_of_ciba_has_one_of_the_modes_that_are_on() {
    for (mode, member) in [
        (json!(null), "backchannel_token_delivery_mode"),
        (json!("carrier pigeon"), "backchannel_token_delivery_mode"),
        (json!(["poll"]), "backchannel_token_delivery_mode"),
        (json!(""), "backchannel_token_delivery_mode"),
    ] {
        assert_eq!(
            refused(json!({ "backchannel_token_delivery_mode": mode })),
            member
        );
    }
    let mut only_ping = offer();
    only_ping.modes = vec![Mode::Ping];
    assert_eq!(checked(poll(json!({})), "", &only_ping), Err(MODE));
    let mut without_ciba = offer();
    (without_ciba.modes, without_ciba.grant_types) = (Vec::new(), vec!["client_credentials"]);
    assert_eq!(checked(poll(json!({})), "", &without_ciba), Err(GRANTS));
    let machine = json!({ "grant_types": ["client_credentials"] });
    let machine = checked(machine.as_object().unwrap().clone(), "", &without_ciba).unwrap();
    assert_eq!(machine.backchannel_token_delivery_mode, None);
    assert_eq!(checked(Map::new(), "", &without_ciba), Err(NO_GRANT));
}

#[test]
fn c_043_who_polls_has_the_grant_and_a_push_client_need_not() {
    let endpoint = "https://client.example/hook";
    for mode in ["poll", "ping"] {
        for grants in [json!(null), json!([]), json!(["refresh_token"])] {
            let client = json!({
                "backchannel_token_delivery_mode": mode, "grant_types": grants,
                "backchannel_client_notification_endpoint": endpoint,
            });
            assert_eq!(refused(client), "grant_types");
        }
    }
    let push = |grants: Value| {
        json!({
            "backchannel_token_delivery_mode": "push", "grant_types": grants,
            "backchannel_client_notification_endpoint": endpoint,
        })
    };
    for grants in [json!(null), json!([]), json!([CIBA])] {
        assert!(read(push(grants)).is_ok());
    }
    for grants in [json!(CIBA), json!(["password"]), json!([CIBA, 1]), json!([""])] {
        assert_eq!(refused(json!({ "grant_types": grants })), "grant_types");
    }
}

#[test]
fn c_043_grant_types_are_compared_without_the_spaces_around_them() {
    let spaced = json!({ "grant_types": [format!("  {CIBA} "), CIBA, " refresh_token"] });
    assert_eq!(read(spaced).unwrap().grant_types, [CIBA, "refresh_token"]);
    for other in [
        "\trefresh_token",
        "refresh_token\n",
        "refresh\u{a0}token",
        "refresh token",
    ] {
        assert_eq!(refused(json!({ "grant_types": [CIBA, other] })), "grant_types");
    }
}

#[test]
fn c_044_ping_and_push_have_an_endpoint_and_a_poll_clients_is_dropped() {
    let endpoint = "backchannel_client_notification_endpoint";
    let with = |mode: &str, url: Value| json!({ "backchannel_token_delivery_mode": mode, endpoint: url });
    for mode in ["ping", "push"] {
        let read = read(with(mode, json!("https://client.example/hook"))).unwrap();
        assert_eq!(
            read.backchannel_client_notification_endpoint.unwrap().as_str(),
            "https://client.example/hook"
        );
        let long = format!("https://client.example/{}", "x".repeat(2048));
        for wrong in [
            json!(null),
            json!(7),
            json!("client.example"),
            json!("http://client.example/"),
            json!("http://localhost/"),
            json!("https://client.example/#x"),
            json!("https://user@client.example/"),
            json!(long),
        ] {
            assert_eq!(refused(with(mode, wrong)), endpoint);
        }
    }
    let dropped = read(with("poll", json!("https://client.example/hook"))).unwrap();
    assert_eq!(dropped.backchannel_client_notification_endpoint, None);
    let mut on_loopback = offer();
    on_loopback.loopback = true;
    let local = poll(with("ping", json!("http://localhost:1/hook")));
    assert!(checked(local, "", &on_loopback).is_ok());
}

#[test]
fn c_045_signed_requests_need_an_asymmetric_algorithm_and_keys() {
    let member = "backchannel_authentication_request_signing_alg";
    for alg in ["RS256", "PS256", "ES256", "EdDSA"] {
        assert!(
            read(json!({ member: alg, "jwks": public_keys() })).is_ok(),
            "{alg}"
        );
    }
    for alg in [
        json!("none"),
        json!("HS256"),
        json!("ES384"),
        json!("es256"),
        json!(1),
    ] {
        assert_eq!(refused(json!({ member: alg, "jwks": public_keys() })), member);
    }
    assert_eq!(refused(json!({ member: "ES256" })), "jwks");
    assert!(read(json!({ member: "ES256", "jwks_uri": "https://client.example/jwks" })).is_ok());
}

#[test]
fn c_046_a_user_code_is_asked_for_only_where_there_are_some() {
    let member = "backchannel_user_code_parameter";
    assert!(
        read(json!({ member: true }))
            .unwrap()
            .backchannel_user_code_parameter
    );
    for wrong in [json!("true"), json!(1)] {
        assert_eq!(refused(json!({ member: wrong })), member);
    }
    let mut without = offer();
    without.user_codes = false;
    assert_eq!(
        checked(poll(json!({ member: true })), "", &without),
        Err(USER_CODE)
    );
    assert!(checked(poll(json!({ member: false })), "", &without).is_ok());
}

#[test]
fn c_047_a_client_authenticates_in_a_way_that_is_on_and_none_is_refused() {
    let member = "token_endpoint_auth_method";
    let read_method = |members| read(members).unwrap().token_endpoint_auth_method;
    assert_eq!(read_method(json!({})), AuthMethod::ClientSecretBasic);
    assert_eq!(
        read_method(json!({ member: "client_secret_post" })),
        AuthMethod::ClientSecretPost
    );
    for wrong in [
        json!("none"),
        json!("client_secret_jwt"),
        json!(""),
        json!(["client_secret_basic"]),
    ] {
        assert_eq!(refused(json!({ member: wrong })), member);
    }
    let (config, url) = plainest();
    let mut without_tls = Offer::of(&config, &url);
    without_tls.grant_types.push(CIBA);
    without_tls.modes.push(Mode::Poll);
    let tls = poll(json!({ member: "tls_client_auth", "tls_client_auth_subject_dn": "CN=client" }));
    assert_eq!(checked(tls.clone(), "", &without_tls), Err(AUTH_METHOD));
    assert!(checked(tls, "", &offer()).is_ok());
    let nameless = refused(json!({ member: "tls_client_auth" }));
    assert_eq!(nameless, "tls_client_auth_subject_dn");
}

#[test]
fn c_080_a_client_of_an_authority_registers_one_name_of_its_certificate() {
    use CertificateName::{SanDns, SanIp, SubjectDn};
    let tls = |members: Value| {
        let mut client = json!({ "token_endpoint_auth_method": "tls_client_auth" });
        let client_members = client.as_object_mut().unwrap();
        client_members.extend(members.as_object().unwrap().clone());
        client
    };
    let [dn, dns, ip] = ["subject_dn", "san_dns", "san_ip"].map(|kind| format!("tls_client_auth_{kind}"));
    for (members, name) in [
        (json!({ &dn: "CN=a,O=b" }), SubjectDn("CN=a,O=b".into())),
        (json!({ &dns: "a.example" }), SanDns("a.example".into())),
        (json!({ &ip: "192.0.2.1" }), SanIp("192.0.2.1".into())),
    ] {
        let metadata = read(tls(members.clone())).unwrap();
        assert_eq!(metadata.certificate_name, Some(name));
        // What is told and kept has the member as it was registered.
        let kept = serde_json::to_value(&metadata).unwrap();
        let (member, value) = members.as_object().unwrap().iter().next().unwrap();
        assert_eq!(&kept[member], value);
        assert_eq!(serde_json::from_value::<Metadata>(kept).unwrap(), metadata);
    }
    assert_eq!(refused(tls(json!({ &dn: "CN=a", &dns: "a.example" }))), dn);
    assert_eq!(refused(tls(json!({ &dn: "no subject" }))), dn);
    assert_eq!(refused(tls(json!({ &dns: "" }))), dns);
    assert_eq!(refused(tls(json!({ &ip: "a.example" }))), ip);
}

/// A configuration with nothing but an identity provider.
fn plainest() -> (Config, Url) {
    let login = crate::config::Login {
        issuer: "https://idp.example".into(),
        client_id: "ciba".into(),
        client_secret: None,
        scopes: Vec::new(),
        resource: None,
        confirm: crate::config::Confirm::Code,
    };
    (Config::around(login), Url::parse("https://ciba.example").unwrap())
}

#[test]
fn c_048_c_050_algorithms_are_the_asymmetric_ones_and_id_tokens_are_rs256_by_default() {
    let [assertion, id_token] = ["token_endpoint_auth_signing_alg", "id_token_signed_response_alg"];
    let read_both = read(json!({ assertion: "PS256", id_token: "EdDSA" })).unwrap();
    assert_eq!(read_both.token_endpoint_auth_signing_alg, Some(Alg::PS256));
    assert_eq!(read_both.id_token_signed_response_alg, Alg::EdDsa);
    assert_eq!(read(json!({})).unwrap().id_token_signed_response_alg, Alg::RS256);
    for member in [assertion, id_token] {
        for alg in ["none", "HS256", "RS512", ""] {
            assert_eq!(refused(json!({ member: alg })), member);
        }
    }
}

#[test]
fn c_049_keys_are_public_have_different_names_and_come_in_one_way() {
    let jwt = |members: Value| {
        let mut client = json!({ "token_endpoint_auth_method": "private_key_jwt" });
        client
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        client
    };
    let uri = "https://client.example/jwks";
    assert!(read(jwt(json!({ "jwks": public_keys() }))).is_ok());
    assert!(read(jwt(json!({ "jwks_uri": uri }))).is_ok());
    assert_eq!(refused(jwt(json!({}))), "jwks");
    let self_signed = json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" });
    assert_eq!(refused(self_signed), "jwks");
    assert_eq!(refused(json!({ "jwks": public_keys(), "jwks_uri": uri })), "jwks");
    assert_eq!(
        refused(json!({ "jwks_uri": "http://client.example/jwks" })),
        "jwks_uri"
    );
    for private in ["d", "p", "q", "k"] {
        let mut keys = public_keys();
        keys["keys"][1][private] = json!("AQAB");
        assert_eq!(refused(json!({ "jwks": keys })), "jwks", "{private}");
    }
    let mut repeated = public_keys();
    repeated["keys"][1]["kid"] = json!("1");
    let symmetric = json!({ "keys": [{ "kty": "oct" }] });
    for wrong in [
        repeated,
        symmetric,
        json!({ "keys": [] }),
        json!({ "keys": [1] }),
        json!({ "keys": [{ "kid": "1" }] }),
        json!({ "keys": [{ "kty": "EC", "kid": "1" }] }),
        json!({ "keys": [{ "kty": "RSA", "n": "AQAB", "e": "AQAB" }] }),
        json!({}),
        json!([]),
        json!("{}"),
        json!({ "keys": vec![json!({ "kty": "EC" }); MAX_LISTED + 1] }),
    ] {
        assert_eq!(refused(json!({ "jwks": wrong })), "jwks");
    }
}

#[test]
fn c_051_a_name_is_shown_as_it_is_and_without_one_the_id_is() {
    assert_eq!(read(json!({})).unwrap().client_name, "the-id");
    for name in ["A", "支払い 👧", &"é".repeat(MAX_NAME)] {
        assert_eq!(read(json!({ "client_name": name })).unwrap().client_name, name);
    }
    for name in [
        json!(""),
        json!("  "),
        json!("x".repeat(MAX_NAME + 1)),
        json!("two\nlines"),
        json!("\u{202e}gro.knab"),
        json!("Bank\u{200b}"),
        json!("\u{3164}"),
        json!(7),
    ] {
        assert_eq!(refused(json!({ "client_name": name })), "client_name");
    }
}

#[test]
fn c_051_scopes_and_types_are_known_ones() {
    let read_scope = |scope: &str| read(json!({ "scope": scope })).unwrap().scope;
    assert_eq!(
        read_scope("openid  payments openid").as_deref(),
        Some("openid payments")
    );
    assert_eq!(read(json!({})).unwrap().scope, None);
    for scope in [
        json!("openid admin"),
        json!(""),
        json!(["openid"]),
        json!("openid\tprofile"),
    ] {
        assert_eq!(refused(json!({ "scope": scope })), "scope");
    }
    let types = "authorization_details_types";
    assert_eq!(
        read(json!({ types: ["payment"] }))
            .unwrap()
            .authorization_details_types,
        Some(vec!["payment".to_owned()])
    );
    for wrong in [json!(["transfer"]), json!("payment"), json!([""])] {
        assert_eq!(refused(json!({ types: wrong })), types);
    }
    let mut any_type = offer();
    any_type.details_types = None;
    assert!(checked(poll(json!({ types: ["transfer"] })), "", &any_type).is_ok());
}

#[test]
fn c_051_pages_and_redirect_uris_are_urls_and_may_be_absent() {
    for member in ["client_uri", "logo_uri"] {
        assert!(read(json!({ member: "https://client.example" })).is_ok());
        for wrong in ["client.example", "javascript:alert(1)", "data:image/png,x", ""] {
            assert_eq!(refused(json!({ member: wrong })), member);
        }
    }
    let uris = |uris: Value| read(json!({ "redirect_uris": uris, "response_types": ["code"] }));
    assert_eq!(
        uris(json!(["https://client.example/cb", "com.example:/cb"]))
            .unwrap()
            .redirect_uris
            .len(),
        2
    );
    assert!(uris(json!([])).is_ok());
    let many = vec!["https://client.example"; MAX_LISTED + 1];
    for wrong in [
        json!("https://client.example"),
        json!(["/cb"]),
        json!(["https://client.example/#x"]),
        json!(many),
    ] {
        assert_eq!(uris(wrong), Err(REDIRECT_URIS));
    }
    assert_eq!(refused(json!({ "response_types": "code" })), "response_types");
}

#[test]
fn c_052_subjects_are_public_and_pairwise_is_refused() {
    assert!(read(json!({ "subject_type": "public" })).is_ok());
    for wrong in ["pairwise", "", "PUBLIC"] {
        assert_eq!(refused(json!({ "subject_type": wrong })), "subject_type");
    }
}

#[test]
fn c_081_bound_tokens_are_for_a_server_that_reads_certificates() {
    let member = "tls_client_certificate_bound_access_tokens";
    assert!(read(json!({ member: true })).is_ok());
    let (config, url) = plainest();
    let mut without_tls = Offer::of(&config, &url);
    without_tls.grant_types.push(CIBA);
    without_tls.modes.push(Mode::Poll);
    assert_eq!(
        checked(poll(json!({ member: true })), "", &without_tls),
        Err(BOUND_TOKENS)
    );
    assert!(checked(poll(json!({ member: false })), "", &without_tls).is_ok());
}

#[test]
fn what_no_rule_names_is_ignored_and_the_operators_terms_cannot_be_registered() {
    let members = json!({ "terms": { "refresh_tokens": true }, "contacts": ["a@b"], "client_name#ja": "名", "client_uri": null });
    assert_eq!(read(members).unwrap(), read(json!({})).unwrap());
}
