//! Sealed tokens are opened and made by a JOSE library that is not ours (D-030): npm's jose.

use anyhow::{Context, Result, ensure};
use ciba_tests::{PATIENCE, Process};
use device_proto::seal::{Key, KeyUse, Sealed};
use device_proto::token::Token;
use device_proto::{Challenge, RequestId};
use serde_json::{Value, json};
use tokio::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/jose-check");
const SECRET: [u8; 32] = [42; 32];
const RESOURCE: &str = "urn:sap:identity:api:name:my-api";
const PURPOSE: &str = "ciba device-doc v1 token";

fn session() -> RequestId {
    "req-7Q2m".parse().expect("a good name")
}

fn key(session: &RequestId) -> Key<'_> {
    Key::of_challenge(Challenge::new(&SECRET), session, KeyUse::Token)
}

fn token() -> Token<'static> {
    Token {
        access_token: "ey.ä\"\\.b".into(),
        token_type: "Bearer".into(),
        expires_at: 1_700_000_000,
        scope: Some("openid".into()),
        issued_token_type: None,
        resource: RESOURCE.into(),
    }
}

/// The library's answer to one question; the keys are derived on its side, by node's own HKDF.
async fn jose(mut question: Value) -> Result<Value> {
    ensure!(
        std::path::Path::new(FOLDER).join("node_modules").is_dir(),
        "{FOLDER}/node_modules is missing: run tests/setup.sh"
    );
    question["challenge"] = json!(*Challenge::new(&SECRET).expose());
    question["session"] = json!(session().as_str());
    let mut command = Command::new("node");
    command.arg("jose-check.mjs").current_dir(FOLDER);
    let mut process = Process::spawn(command)?;
    process.write_line(&question.to_string()).await?;
    process.wait_json("an answer", PATIENCE, |_| true).await
}

#[tokio::test]
async fn d_030_a_jose_library_opens_what_we_seal() -> Result<()> {
    let session = session();
    let sealed = key(&session).seal(RESOURCE, [1; 12], &token().encode());
    let question = json!({ "do": "open", "purpose": PURPOSE, "jwe": sealed });
    let opened = jose(question).await?;
    let header = json!({ "alg": "dir", "enc": "A256GCM", "rid": "req-7Q2m", "res": RESOURCE });
    assert_eq!(opened["header"], header);
    let plaintext = opened["plaintext"].as_str().context("a plaintext")?;
    assert_eq!(
        serde_json::from_str::<Value>(plaintext)?,
        serde_json::to_value(token())?
    );

    let refresh = json!({ "do": "open", "purpose": "ciba device-doc v1 refresh", "jwe": sealed });
    assert_eq!(
        jose(refresh).await?,
        json!({ "error": "ERR_JWE_DECRYPTION_FAILED" })
    );
    Ok(())
}

#[tokio::test]
async fn d_030_we_open_what_a_jose_library_seals() -> Result<()> {
    let session = session();
    let seal = async |header: Value| -> Result<Sealed> {
        let plaintext = serde_json::to_string(&token())?;
        let question = json!({ "do": "seal", "purpose": PURPOSE, "header": header, "plaintext": plaintext });
        Ok(serde_json::from_value(jose(question).await?["jwe"].take())?)
    };
    let sealed = seal(json!({ "res": RESOURCE, "rid": "req-7Q2m", "enc": "A256GCM", "alg": "dir" })).await?;
    let mut buffer = vec![0; sealed.plaintext_len()];
    let opened = Token::decode(key(&session).open(RESOURCE, &sealed, &mut buffer)?)?;
    assert_eq!(opened.access_token, token().access_token);
    assert_eq!(opened.expires_at, token().expires_at);

    for (header, why) in [
        (
            json!({ "alg": "dir", "enc": "A256GCM", "rid": "req-other", "res": RESOURCE }),
            "another session's",
        ),
        (
            json!({ "alg": "dir", "enc": "A256GCM", "rid": "req-7Q2m", "res": "urn:d:x" }),
            "another resource's",
        ),
        (
            json!({ "alg": "dir", "enc": "A256GCM", "res": RESOURCE }),
            "nobody's",
        ),
    ] {
        let sealed = seal(header).await?;
        assert!(
            key(&session).open(RESOURCE, &sealed, &mut buffer).is_err(),
            "{why}"
        );
    }
    Ok(())
}
