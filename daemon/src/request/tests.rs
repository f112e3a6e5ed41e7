//! Requests at providers that break the rules: what goes out, what is believed, and what ends the wait.

use std::collections::BTreeSet;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding as _};
use ipc_proto::{ClientCredential, ClientMethod, ErrorCode, Failure, Hint};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PublicKeyData as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

/// Nothing here takes this long.
const DEADLINE: Duration = Duration::from_secs(30);

/// A provider that a test tells what to answer.
struct Peer(MockServer);

impl Peer {
    async fn new() -> Self {
        crate::tls::install();
        let peer = Self(MockServer::start().await);
        let url = peer.0.uri();
        peer.answers(
            "GET",
            "/.well-known/openid-configuration",
            200,
            &json!({
                "issuer": url, "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/jwks"),
                "backchannel_authentication_endpoint": format!("{url}/ciba"),
                "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256"],
            }),
        )
        .await;
        peer.answers("GET", "/jwks", 200, &json!({ "keys": [{ "kty": "from 2030" }] }))
            .await;
        peer
    }

    /// Answers at the last place that is asked first.
    async fn answers(&self, verb: &str, place: &str, status: u16, body: &Value) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        Mock::given(method(verb))
            .and(path(place))
            .respond_with(answer)
            .mount(&self.0)
            .await;
    }

    async fn acknowledges(&self) {
        let body = json!({ "auth_req_id": "the-id", "expires_in": 60, "interval": 1 });
        self.answers("POST", "/ciba", 200, &body).await;
    }

    fn asked(&self) -> Backchannel {
        let credential = ClientCredential {
            method: ClientMethod::ClientSecretBasic,
            secret: "p:w ü".to_owned().into(),
        };
        Backchannel {
            issuer: self.0.uri(),
            client_id: "agent".into(),
            credential: Some(credential),
            hint: Hint::LoginHint("ada".into()),
            scope: "openid".into(),
            binding_message: None,
            requested_expiry: None,
            acr_values: None,
            resource: Vec::new(),
            authorization_details: None,
            user_code: None,
            ping_listen: None,
        }
    }

    async fn request(&self, asked: &Backchannel) -> Result<Granted, Failure> {
        let (sender, mut events) = mpsc::channel(1);
        let keychains = Keychains::new([]);
        let decided = async {
            let decided = request(asked, &keychains, &sender).await;
            drop(sender);
            decided
        };
        let told = async { while events.recv().await.is_some() {} };
        let (decided, ()) = timeout(DEADLINE, async { tokio::join!(decided, told) })
            .await
            .unwrap();
        decided.map_err(Failure::from)
    }

    async fn fails(&self, asked: &Backchannel) -> Failure {
        self.request(asked).await.err().expect("nothing is granted")
    }

    async fn forms(&self, place: &str) -> Vec<String> {
        let requests = self.0.received_requests().await.unwrap();
        let there = requests.into_iter().filter(|request| request.url.path() == place);
        there
            .map(|request| String::from_utf8(request.body).unwrap())
            .collect()
    }
}

fn tokens() -> Value {
    json!({ "access_token": "at", "token_type": "bearer", "expires_in": 300, "scope": "openid" })
}

#[tokio::test]
async fn every_parameter_goes_out_under_its_own_name() {
    let peer = Peer::new().await;
    peer.acknowledges().await;
    peer.answers("POST", "/token", 200, &tokens()).await;
    let asked = Backchannel {
        binding_message: Some("a&b".into()),
        requested_expiry: Some(120),
        acr_values: Some("1 2".into()),
        resource: vec!["urn:a".into(), "urn:b".into()],
        authorization_details: Some("[]".into()),
        user_code: Some("1234".to_owned().into()),
        ..peer.asked()
    };
    let granted = peer.request(&asked).await.unwrap();
    assert_eq!(granted.fields().access_token, "at");
    assert_eq!(
        peer.forms("/ciba").await,
        [
            "scope=openid&login_hint=ada&binding_message=a%26b&requested_expiry=120&acr_values=1+2\
          &authorization_details=%5B%5D&user_code=1234&resource=urn%3Aa&resource=urn%3Ab"
        ]
    );
    assert_eq!(
        peer.forms("/token").await,
        ["grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id=the-id"]
    );
    let requests = peer.0.received_requests().await.unwrap();
    let basic = requests.last().unwrap().headers["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    // agent:p%3Aw+%C3%BC
    assert_eq!(basic, "Basic YWdlbnQ6cCUzQXcrJUMzJUJD");
}

#[tokio::test]
async fn a_secret_in_the_body_and_a_signed_assertion_prove_the_client() {
    let key = KeyPair::generate().unwrap();
    for (method, secret, wanted) in [
        (
            ClientMethod::ClientSecretPost,
            "pw".to_owned(),
            "&client_id=agent&client_secret=pw",
        ),
        (
            ClientMethod::PrivateKeyJwt,
            key.serialize_pem(),
            "&client_assertion=ey",
        ),
    ] {
        let peer = Peer::new().await;
        peer.acknowledges().await;
        let answer = ResponseTemplate::new(200).set_body_json(tokens());
        Mock::given(path("/token"))
            .and(body_string_contains(wanted))
            .respond_with(answer)
            .mount(&peer.0)
            .await;
        let credential = Some(ClientCredential {
            method,
            secret: secret.into(),
        });
        let asked = Backchannel {
            credential,
            ..peer.asked()
        };
        assert!(peer.request(&asked).await.is_ok(), "{method:?}");
    }
    let peer = Peer::new().await;
    let credential = Some(ClientCredential {
        method: ClientMethod::PrivateKeyJwt,
        secret: "no key".to_owned().into(),
    });
    let failure = peer
        .fails(&Backchannel {
            credential,
            ..peer.asked()
        })
        .await;
    assert_eq!(failure.code, ErrorCode::BadRequest);
    assert!(peer.forms("/ciba").await.is_empty());
}

#[tokio::test]
async fn an_acknowledgement_that_is_none_ends_the_request() {
    for (status, body, code) in [
        (200, json!({}), ErrorCode::Internal),
        (
            200,
            json!({ "auth_req_id": "x".repeat(1025), "expires_in": 60 }),
            ErrorCode::Internal,
        ),
        (
            302,
            json!({ "auth_req_id": "a", "expires_in": 60 }),
            ErrorCode::Internal,
        ),
        (
            401,
            json!({ "error": "invalid_client" }),
            ErrorCode::InvalidClient,
        ),
        (400, json!({ "error": "unknown_user_id" }), ErrorCode::BadRequest),
        (503, json!({}), ErrorCode::ServerUnreachable),
        (
            200,
            json!({ "auth_req_id": "a", "expires_in": 60, "x": "x".repeat(64 * 1024) }),
            ErrorCode::ServerUnreachable,
        ),
    ] {
        let peer = Peer::new().await;
        peer.answers("POST", "/ciba", status, &body).await;
        assert_eq!(peer.fails(&peer.asked()).await.code, code, "{status}");
        assert!(peer.forms("/token").await.is_empty());
    }
}

#[tokio::test]
async fn tokens_that_cannot_be_used_are_not_given_out() {
    for (name, value) in [
        ("access_token", json!("a\nb")),
        ("access_token", json!("")),
        ("access_token", json!(7)),
        ("token_type", json!("DPoP")),
        ("refresh_token", json!("a b")),
        ("id_token", json!("not.a.jwt")),
    ] {
        let peer = Peer::new().await;
        peer.acknowledges().await;
        let mut body = tokens();
        body[name] = value;
        peer.answers("POST", "/token", 200, &body).await;
        assert_eq!(
            peer.fails(&peer.asked()).await.code,
            ErrorCode::Internal,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_question_that_is_not_answered_yet_is_asked_again_and_a_no_is_the_end() {
    let peer = Peer::new().await;
    peer.acknowledges().await;
    for (status, body) in [
        (400, json!({ "error": "authorization_pending" })),
        (503, json!({})),
        (429, json!({ "error": "temporarily_unavailable" })),
    ] {
        let answer = ResponseTemplate::new(status).set_body_json(&body);
        Mock::given(path("/token"))
            .respond_with(answer)
            .up_to_n_times(1)
            .mount(&peer.0)
            .await;
    }
    peer.answers("POST", "/token", 400, &json!({ "error": "access_denied" }))
        .await;
    assert_eq!(peer.fails(&peer.asked()).await.code, ErrorCode::Denied);
    assert_eq!(peer.forms("/token").await.len(), 4);
}

#[tokio::test]
async fn without_openid_discovery_the_other_document_is_read() {
    let peer = Peer(MockServer::start().await);
    let url = peer.0.uri();
    let document = json!({
        "issuer": url, "token_endpoint": format!("{url}/token"), "backchannel_authentication_endpoint": format!("{url}/ciba"),
    });
    peer.answers("GET", "/.well-known/oauth-authorization-server", 200, &document)
        .await;
    peer.answers("POST", "/ciba", 400, &json!({ "error": "invalid_scope" }))
        .await;
    assert_eq!(peer.fails(&peer.asked()).await.code, ErrorCode::BadRequest);
    let nothing = Peer(MockServer::start().await);
    assert_eq!(
        nothing.fails(&nothing.asked()).await.code,
        ErrorCode::ServerUnreachable
    );
}

#[tokio::test]
async fn a_client_that_goes_away_ends_a_question_that_the_provider_holds() {
    let peer = Peer::new().await;
    peer.acknowledges().await;
    let (held, is_held) = oneshot::channel();
    let held = std::sync::Mutex::new(Some(held));
    let answer = move |_: &wiremock::Request| {
        let held = held.lock().unwrap().take();
        held.map(|held| held.send(()));
        ResponseTemplate::new(200)
            .set_body_json(tokens())
            .set_delay(DEADLINE)
    };
    Mock::given(path("/token"))
        .respond_with(answer)
        .mount(&peer.0)
        .await;
    let asked = peer.asked();
    tokio::select! {
        _ = peer.request(&asked) => panic!("the provider holds the question"),
        arrived = timeout(DEADLINE, is_held) => arrived.unwrap().unwrap(),
    }
    // The future is dropped, and with it the connection and every later question.
    assert_eq!(peer.forms("/token").await.len(), 1);
}

/// Sends raw bytes to the listener and returns the status that it answers.
async fn post(address: &str, head: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{head}\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer))
        .await
        .unwrap()
        .ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[tokio::test]
async fn only_the_provider_that_knows_the_token_can_ping() {
    let address = free_address();
    let pings = Pings::listen(address.parse().unwrap()).await.unwrap();
    assert!(pings.token().len() * 6 >= 128);
    pings.expect("the-id");
    let (right, bearer) = (
        r#"{"auth_req_id":"the-id"}"#,
        format!("authorization: Bearer {}", pings.token()),
    );
    let wrong = format!("{}x", &bearer[..bearer.len() - 1]);
    let long = format!(r#"{{"auth_req_id":"{}"}}"#, "x".repeat(8 * 1024));
    for (head, body, status) in [
        (
            format!("POST / HTTP/1.1\r\n{bearer}"),
            r#"{"auth_req_id":"other"}"#,
            400,
        ),
        (format!("POST / HTTP/1.1\r\n{bearer}"), "{}", 400),
        (format!("POST / HTTP/1.1\r\n{bearer}"), "", 400),
        (format!("POST / HTTP/1.1\r\n{bearer}"), &long, 413),
        (format!("POST / HTTP/1.1\r\n{wrong}"), right, 401),
        ("POST / HTTP/1.1\r\nx: y".into(), right, 401),
        ("POST / HTTP/1.1\r\nauthorization: Bearer".into(), right, 401),
        (format!("GET / HTTP/1.1\r\n{bearer}"), right, 405),
    ] {
        assert_eq!(
            post(&address, &head, body).await,
            Some(status),
            "{head} {body:.40}"
        );
    }
    let arrived = futures_util::FutureExt::now_or_never(pings.arrived());
    assert!(arrived.is_none(), "none of them was believed");
    let ping = post(&address, &format!("POST /any/path HTTP/1.1\r\n{bearer}"), right).await;
    assert_eq!(ping, Some(204));
    timeout(DEADLINE, pings.arrived()).await.unwrap();
    for public in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
        let refused = Pings::listen(public.parse().unwrap()).await.err();
        assert!(matches!(refused, Some(RequestError::Parameter(_))), "{public}");
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_ping_brings_the_question_forward() {
    let peer = Peer::new().await;
    let address = free_address();
    let body = json!({ "auth_req_id": "the-id", "expires_in": 600, "interval": 300 });
    peer.answers("POST", "/ciba", 200, &body).await;
    Mock::given(path("/token"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .respond_with(ResponseTemplate::new(200).set_body_json(tokens()))
        .mount(&peer.0)
        .await;
    let asked = Backchannel {
        ping_listen: Some(address.parse().unwrap()),
        ..peer.asked()
    };
    let ping = async {
        let form = loop {
            match peer.forms("/ciba").await.pop() {
                Some(form) => break form,
                None => tokio::task::yield_now().await,
            }
        };
        let token = form.rsplit("client_notification_token=").next().unwrap();
        let head = format!("POST / HTTP/1.1\r\nauthorization: Bearer {token}");
        post(&address, &head, r#"{"auth_req_id":"the-id"}"#).await
    };
    // The interval is 300 s, and the whole takes less than the deadline.
    let (granted, status) = tokio::join!(peer.request(&asked), ping);
    assert!(granted.is_ok());
    assert_eq!(status, Some(204));
}

#[test]
fn an_id_token_is_believed_only_from_its_provider_for_its_client_and_in_time() {
    crate::tls::install();
    let (ours, theirs) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let name = kept::name("https://op.example", "agent").unwrap();
    let keys = Keys::read(jwks(&ours).to_string().as_bytes()).unwrap();
    let now = now();
    let claims =
        json!({ "iss": "https://op.example", "sub": "ada", "aud": "agent", "exp": now + 60, "iat": now });
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let good = [
        claims.clone(),
        with("aud", json!(["agent"])),
        with("azp", json!("agent")),
    ];
    for claims in good {
        assert_eq!(
            keys.check(&signed(&claims, &ours, "k"), &name),
            Ok(()),
            "{claims}"
        );
    }
    let mut for_both = with("aud", json!(["agent", "other"]));
    assert_eq!(
        keys.check(&signed(&for_both, &ours, "k"), &name),
        Err(IdTokenError::OtherParty)
    );
    for_both["azp"] = json!("agent");
    assert_eq!(keys.check(&signed(&for_both, &ours, "k"), &name), Ok(()));
    for wrong in [
        with("iss", json!("https://op.example/")),
        with("aud", json!("other")),
        with("exp", json!(now - 60)),
        with("exp", json!("soon")),
        with("nbf", json!(now + 60)),
        with("sub", Value::Null),
    ] {
        assert_eq!(
            keys.check(&signed(&wrong, &ours, "k"), &name),
            Err(IdTokenError::Wrong),
            "{wrong}"
        );
    }
    assert_eq!(
        keys.check(&signed(&claims, &theirs, "k"), &name),
        Err(IdTokenError::Wrong)
    );
    assert_eq!(
        keys.check(&signed(&claims, &ours, "other"), &name),
        Err(IdTokenError::UnknownKey)
    );
    let symmetric = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &claims,
        &EncodingKey::from_secret(b"k"),
    );
    assert_eq!(
        keys.check(&symmetric.unwrap(), &name),
        Err(IdTokenError::Algorithm)
    );
    for garbage in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert_eq!(
            keys.check(garbage, &name),
            Err(IdTokenError::Unreadable),
            "{garbage}"
        );
    }
}

/// A number of 32 bytes begins with a zero byte once in 256: `x` and `y` of a key, `r` and `s` of a signature.
#[test]
fn a_number_that_begins_with_a_zero_byte_is_read_and_written_with_all_its_bytes() {
    crate::tls::install();
    let name = kept::name("https://op.example", "agent").unwrap();
    let claims = json!({ "iss": "https://op.example", "sub": "ada", "aud": "agent", "exp": now() + 600 });
    let mut unseen = BTreeSet::from(["x", "y", "r", "s"]);
    while !unseen.is_empty() {
        let key = KeyPair::generate().unwrap();
        let keys = Keys::read(jwks(&key).to_string().as_bytes()).unwrap();
        let token = signed(&claims, &key, "k");
        assert_eq!(keys.check(&token, &name), Ok(()), "{}", jwks(&key));
        let (_, signature) = token.rsplit_once('.').unwrap();
        let signature = Base64UrlUnpadded::decode_vec(signature).unwrap();
        let numbers = [&key.der_bytes()[1..], &signature].concat();
        for (name, number) in ["x", "y", "r", "s"].iter().zip(numbers.chunks(32)) {
            if number[0] == 0 {
                unseen.remove(name);
            }
        }
    }
}

fn jwks(key: &KeyPair) -> Value {
    // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
    let (x, y) = key.der_bytes()[1..].split_at(32);
    let [x, y] = [x, y].map(Base64UrlUnpadded::encode_string);
    json!({ "keys": [
        { "kty": "from 2030", "kid": "k" },
        { "kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", "x": x, "y": y },
    ] })
}

fn signed(claims: &Value, key: &KeyPair, kid: &str) -> String {
    let header = Header {
        kid: Some(kid.into()),
        ..Header::new(Algorithm::ES256)
    };
    let key = EncodingKey::from_ec_pem(key.serialize_pem().as_bytes()).unwrap();
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}
