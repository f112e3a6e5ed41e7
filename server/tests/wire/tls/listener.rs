//! The listener: what it speaks, what ends a connection, and how its certificate is replaced.

use std::sync::Arc;

use reqwest::tls::Version;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Secured, put};
use crate::kit::http2::Http2;
use crate::kit::pki::{Ca, http};
use crate::kit::{in_time, until};

#[tokio::test]
async fn c_013_a_listener_with_tls_speaks_tls_1_2_and_1_3_and_nothing_in_the_clear() {
    let secured = Secured::start("").await;
    assert!(secured.server.url.starts_with("https://"));
    let health = format!("{}/healthz", secured.server.url);
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let authority = reqwest::Certificate::from_pem(secured.ca.pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .tls_version_min(version)
            .tls_version_max(version)
            .build()
            .unwrap();
        let answer = http.get(&health).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, http::Version::HTTP_11)
        );
    }
    let clear = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(clear.get(health.replace("https", "http")).send().await.is_err());
    let log = secured.server.stop().await;
    assert!(log.contains("no TLS was spoken"), "{log}");
}

#[tokio::test]
async fn c_013_a_listener_with_tls_speaks_http_2_to_those_who_offer_it() {
    let secured = Secured::start("").await;
    for (offered, agreed) in [
        (&["h2", "http/1.1"][..], &b"h2"[..]),
        (&["http/1.1"], b"http/1.1"),
    ] {
        let stream = TcpStream::connect(&secured.server.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = in_time(connector(&secured.ca, offered).connect(name, stream))
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed));
        if agreed == b"h2" {
            let mut client = Http2::over(stream).await;
            let answer = client.get(&format!("{}/jwks", secured.server.url)).await;
            assert_eq!(
                (answer.status().as_u16(), answer.version()),
                (200, http::Version::HTTP_2)
            );
        }
    }
    secured.server.stop().await;
}

fn connector(ca: &Ca, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca.pem().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn c_013_a_device_reaches_its_socket_over_tls() {
    let secured = Secured::start("").await;
    let upgrade = secured
        .http(None)
        .get(format!("{}/sync/device", secured.server.url))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let mut socket = upgrade.send().await.unwrap().upgrade().await.unwrap();
    // An empty ping, masked with zeros.
    socket.write_all(&[0x89, 0x80, 0, 0, 0, 0]).await.unwrap();
    let mut pong = [0; 2];
    in_time(socket.read_exact(&mut pong)).await.unwrap();
    assert_eq!(pong, [0x8a, 0]);
    secured.server.stop().await;
}

#[tokio::test]
async fn c_013_garbage_and_slow_handshakes_end_and_keep_nobody_waiting() {
    let secured = Secured::start("").await;
    for address in [&secured.server.address, secured.server.clients.as_ref().unwrap()] {
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        let mut garbage = TcpStream::connect(address).await.unwrap();
        garbage.write_all(&[0xff; 512]).await.unwrap();
        let mut answer = Vec::new();
        let _ = in_time(garbage.read_to_end(&mut answer)).await;
        // An alert at most.
        assert!(answer.len() <= 7, "{answer:?}");
        let url = format!("https://{address}/jwks");
        // Meanwhile others are served; the listener for clients has no such page.
        let status = secured
            .http(None)
            .get(url)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16();
        assert!([200, 404].contains(&status));
        for stream in [&mut silent, &mut half] {
            let mut rest = Vec::new();
            let _ = in_time(stream.read_to_end(&mut rest)).await;
        }
    }
    let log = secured.server.stop().await;
    assert!(log.contains("a TLS handshake took too long"), "{log}");
}

#[tokio::test]
async fn c_013_a_new_certificate_is_shown_after_sighup_and_a_broken_one_is_not() {
    let mut secured = Secured::start("").await;
    let health = format!("{}/healthz", secured.server.url);
    let (new, stranger) = (Ca::new(), Ca::new());
    let serves = async |ca: &Ca| http(&ca.pem(), None).get(&health).send().await.is_ok();
    assert!(serves(&secured.ca).await && !serves(&new).await);
    put(&secured.site, &new.server());
    secured.server.hang_up();
    until("the new certificate", async || serves(&new).await.then_some(())).await;
    assert!(!serves(&secured.ca).await);
    let certificate = secured.site.config().with_file_name("server.pem");
    std::fs::write(&certificate, stranger.server().certificate).unwrap();
    secured.server.hang_up();
    secured
        .server
        .until_said("the new TLS files cannot be used")
        .await;
    assert!(serves(&new).await);
    secured.server.stop().await;
}

#[tokio::test]
async fn c_013_check_and_start_refuse_a_certificate_with_another_key() {
    let secured = Secured::start("").await;
    let good = secured.site.run("check").await;
    assert!(good.stdout.contains("tls: ok"), "{good:?}");
    secured.server.stop().await;
    let certificate = secured.site.config().with_file_name("server.pem");
    std::fs::write(&certificate, secured.ca.server().certificate).unwrap();
    for command in ["check", "serve"] {
        let refused = secured.site.run(command).await;
        assert!(!refused.status.success());
        assert!(
            refused
                .stderr
                .contains("server.key is not the key of the certificate"),
            "{refused:?}"
        );
    }
    std::fs::write(&certificate, "no PEM").unwrap();
    let refused = secured.site.run("check").await;
    assert!(
        refused.stderr.contains("server.pem has no certificate in PEM"),
        "{refused:?}"
    );
}
