//! npm `oidc-provider` as the peer: poll and ping.

use std::fs;

use anyhow::{Context, Result};
use ciba_tests::{Idp, Output, World, assert_nowhere, free_port};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use super::Asking;
use crate::tls::Proxy;

const BINDING: &str = "deploy-7f3a?";

/// A home whose daemon knows the client of this provider.
async fn known(idp: &Idp) -> Result<World> {
    let world = World::new()?;
    asking(&world, idp).keep(&idp.client_secret, &[]).await?;
    Ok(world)
}

fn asking<'a>(world: &'a World, idp: &'a Idp) -> Asking<'a> {
    Asking {
        world,
        issuer: &idp.issuer,
        client_id: &idp.client_id,
    }
}

#[tokio::test]
async fn a_person_approves_and_the_token_is_all_that_is_printed() -> Result<()> {
    let idp = Idp::start(&[]).await?;
    let world = known(&idp).await?;
    let asking = asking(&world, &idp);
    let mut request = asking.begin(&["--login-hint", "ada", "--binding-message", BINDING])?;
    let id = idp.asked().await?;
    idp.decide(&id, "approve").await?;
    let output = Output::of(&mut request).await?;
    assert!(output.stderr.starts_with("Waiting for approval … "), "{output:?}");
    let token = output.success();
    assert!(
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()),
        "{token}"
    );
    let polls = &idp.state().await?["requests"]["POST /token"];
    assert_eq!(polls, 1, "the first question came after the decision");
    let audit = world.ciba(&["audit"]).await?.success();
    assert!(audit.contains("  request  127.0.0.1:"), "{audit}");
    assert!(!audit.contains(&token) && !audit.contains(&id), "{audit}");
    Ok(())
}

#[tokio::test]
async fn everything_that_was_granted_is_printed_as_json_and_kept_nowhere() -> Result<()> {
    let idp = Idp::start(&["--ciba", "approve"]).await?;
    let world = known(&idp).await?;
    let sampler = world.cmdlines();
    let resource = "urn:d:unified-gateway";
    let scope = ["--scope", "openid api:read", "--resource", resource];
    let options = [&scope[..], &["--login-hint", "ada", "--json"]].concat();
    let printed = asking(&world, &idp).run(&options).await?.success();
    let granted: Value = serde_json::from_str(&printed)?;
    assert_eq!(granted["token_type"], "Bearer");
    assert!(granted["expires_at"].is_u64() && granted["refresh_token"].is_string());
    let claims = |token: &str| claims(granted[token].as_str().expect("a token"));
    assert_eq!(claims("access_token")?["aud"], resource);
    let id_token = claims("id_token")?;
    assert_eq!(
        (&id_token["sub"], &id_token["aud"]),
        (&json!("ada"), &json!(idp.client_id))
    );

    let seen = sampler.stop();
    let mut secrets = vec![idp.client_secret.as_str()];
    secrets.extend(
        ["access_token", "refresh_token", "id_token"].map(|name| granted[name].as_str().expect("a token")),
    );
    for secret in secrets {
        assert_nowhere(secret.as_bytes(), &seen);
    }
    Ok(())
}

#[tokio::test]
async fn a_no_is_exit_status_5() -> Result<()> {
    let idp = Idp::start(&["--ciba", "deny"]).await?;
    let world = known(&idp).await?;
    let denied = asking(&world, &idp).run(&["--login-hint", "ada"]).await?;
    assert_eq!(
        (denied.code(), denied.stdout.as_str()),
        (Some(5), ""),
        "{denied:?}"
    );
    assert!(denied.stderr.contains("denied"), "{denied:?}");
    Ok(())
}

#[tokio::test]
async fn a_request_that_lapses_is_exit_status_6() -> Result<()> {
    let idp = Idp::start(&[]).await?;
    let world = known(&idp).await?;
    let options = ["--login-hint", "ada", "--requested-expiry", "2s"];
    let lapsed = asking(&world, &idp).run(&options).await?;
    assert_eq!(
        (lapsed.code(), lapsed.stdout.as_str()),
        (Some(6), ""),
        "{lapsed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_the_provider_or_the_daemon_refuses_says_why() -> Result<()> {
    let idp = Idp::start(&["--ciba", "approve"]).await?;
    let world = World::new()?;
    let asking = asking(&world, &idp);
    let hint = ["--login-hint", "ada"];
    let unknown = asking.run(&hint).await?;
    assert_eq!(unknown.code(), Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("ciba client add --issuer"), "{unknown:?}");

    asking.keep("not-the-secret", &[]).await?;
    let wrong = asking.run(&hint).await?;
    assert_eq!(wrong.code(), Some(1), "{wrong:?}");
    assert!(wrong.stderr.contains("(invalid_client)"), "{wrong:?}");

    asking.keep(&idp.client_secret, &[]).await?;
    for (options, status, says) in [
        (&["--login-hint", "nobody"][..], 2, "(unknown_user_id)"),
        (&["--login-hint", "ada", "--scope", "email"], 2, "openid"),
        (
            &["--login-hint", "ada", "--authorization-details", "/dev/null"],
            2,
            "JSON array",
        ),
        (
            &["--login-hint", "ada", "--binding-message", "\u{1}"],
            2,
            "(invalid_binding_message)",
        ),
        (
            &["--login-hint", "ada", "--ping-listen", "0.0.0.0:0"],
            2,
            "127.0.0.1:PORT",
        ),
        (&[], 2, "--login-hint"),
    ] {
        let refused = asking.run(options).await?;
        assert_eq!(
            (refused.code(), refused.stdout.as_str()),
            (Some(status), ""),
            "{refused:?}"
        );
        assert!(refused.stderr.contains(says), "{refused:?}");
    }
    let other = Asking {
        issuer: &format!("{}/", idp.issuer),
        ..asking
    };
    other.keep(&idp.client_secret, &[]).await?;
    let mistyped = other.run(&hint).await?;
    assert_eq!(mistyped.code(), Some(4), "{mistyped:?}");
    assert!(
        mistyped.stderr.contains("character for character"),
        "{mistyped:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_signs_with_the_algorithm_that_the_provider_takes() -> Result<()> {
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?;
    for (algorithm, key) in [("ES256", &curve), ("RS256", &rsa), ("PS256", &rsa)] {
        let world = World::new()?;
        let public = world.home().join("client.pub");
        fs::write(&public, key.public_key_pem())?;
        let public = public.to_str().context("a path")?;
        let options = [
            "--ciba",
            "approve",
            "--client-key",
            public,
            "--client-alg",
            algorithm,
        ];
        let idp = Idp::start(&options).await?;
        let asking = asking(&world, &idp);
        asking
            .keep(&key.serialize_pem(), &["--client-key-file", "-"])
            .await?;
        let token = asking.run(&["--login-hint", "ada"]).await?.success();
        assert!(!token.is_empty(), "{algorithm}");
    }
    Ok(())
}

#[tokio::test]
async fn a_ping_arrives_through_a_front_that_ends_tls() -> Result<()> {
    let listen = format!("127.0.0.1:{}", free_port()?);
    let front = Proxy::start(listen.clone()).await?;
    let authority = NamedTempFile::new()?;
    fs::write(&authority, &front.authority)?;
    let url = format!("{}/ping", front.url);
    let idp = Idp::start_trusting(authority.path(), &["--ciba-notify-uri", &url]).await?;
    let world = known(&idp).await?;
    let options = ["--login-hint", "ada", "--mode", "ping", "--ping-listen", &listen];
    let mut request = asking(&world, &idp).begin(&options)?;
    idp.decide(&idp.asked().await?, "approve").await?;
    assert!(!Output::of(&mut request).await?.success().is_empty());
    let requests = &idp.state().await?["requests"];
    assert_eq!(
        (&requests["called out 204"], &requests["POST /token"]),
        (&json!(1), &json!(1))
    );
    Ok(())
}

#[tokio::test]
async fn a_provider_in_trouble_is_asked_again() -> Result<()> {
    let idp = Idp::start(&["--ciba", "approve"]).await?;
    let world = known(&idp).await?;
    idp.fail(&json!({ "path": "/token", "mode": "status", "status": 503, "times": 1 }))
        .await?;
    let output = asking(&world, &idp).run(&["--login-hint", "ada"]).await?;
    assert!(
        output.stderr.contains("503") && output.stderr.contains("trying again"),
        "{output:?}"
    );
    assert!(!output.success().is_empty());
    Ok(())
}

#[tokio::test]
async fn clients_are_listed_without_their_secrets_and_removed() -> Result<()> {
    let idp = Idp::start(&[]).await?;
    let world = known(&idp).await?;
    let listed = world.ciba(&["client", "list"]).await?.success();
    let line = format!("{}  {}  client_secret_basic  memory", idp.issuer, idp.client_id);
    assert_eq!(listed, line);
    let json: Value = serde_json::from_str(&world.ciba(&["client", "list", "--json"]).await?.success())?;
    assert_eq!(json["clients"][0]["client_id"], json!(idp.client_id));
    let remove = [
        "client",
        "remove",
        "--issuer",
        &idp.issuer,
        "--client-id",
        &idp.client_id,
    ];
    let _ = world.ciba(&remove).await?.success();
    assert_eq!(world.ciba(&["client", "list"]).await?.success(), "");
    let again = world.ciba(&remove).await?;
    assert_eq!(again.code(), Some(1), "{again:?}");
    assert_nowhere(idp.client_secret.as_bytes(), &world.everything_written()?);
    Ok(())
}

fn claims(token: &str) -> Result<Value> {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    let payload = token.split('.').nth(1).unwrap_or_default();
    Ok(serde_json::from_slice(
        &Base64UrlUnpadded::decode_vec(payload).map_err(anyhow::Error::msg)?,
    )?)
}
