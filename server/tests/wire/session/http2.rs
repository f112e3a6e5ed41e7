//! HTTP/2 on the same listener: to those who begin with it, with the limits of every request.

use http::header::CONTENT_TYPE;
use http::{Request, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::http2::Http2;
use crate::kit::in_time;
use crate::kit::server::Server;

#[tokio::test]
async fn who_begins_with_http_2_is_answered_in_it() {
    let server = Server::dev().await;
    let mut client = Http2::connect(&server.address).await;
    for _ in 0..3 {
        let answer = client.get(&format!("{}/healthz", server.url)).await;
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, Version::HTTP_2)
        );
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_begins_like_http_2_is_none() {
    let server = Server::dev().await;
    for request in [
        "PRIVATE /healthz HTTP/1.1",
        "PUT /healthz HTTP/1.1",
        "GET /healthz HTTP/1.1",
    ] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        let head = format!("{request}\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // What is no HTTP/2 after all may be cut off.
        let _ = in_time(stream.read_to_end(&mut answer)).await;
        let is_http1 = answer.starts_with(b"HTTP/1.1 ");
        assert_eq!(
            is_http1,
            !request.starts_with("PRI"),
            "{request}: {}",
            answer.len()
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn a_first_byte_alone_is_http_1() {
    let server = Server::dev().await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"POST /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 405"));
    server.stop().await;
}

/// RFC 9113 §6.5.2
#[tokio::test]
async fn a_client_is_told_its_limits() {
    let server = Server::dev().await;
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    // The preface, and settings of ours: none.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut head = [0; 9];
    in_time(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], 4, "settings come first");
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    in_time(stream.read_exact(&mut settings)).await.unwrap();
    let value = |id: u8| {
        let mut all = settings.chunks(6);
        let value = all.find_map(|setting| setting.strip_prefix(&[0, id]))?;
        Some(u32::from_be_bytes(value.try_into().ok()?))
    };
    let (streams, window, head_list) = (value(3), value(4), value(6));
    assert_eq!(streams, Some(256));
    // What is not said is the default, 65,535.
    assert!(window.is_none_or(|window| window <= 64 * 1024), "{window:?}");
    assert_eq!(head_list, Some(16 * 1024));
    server.stop().await;
}

#[tokio::test]
async fn heads_and_bodies_have_the_same_limits() {
    let server = Server::dev().await;
    let mut client = Http2::connect(&server.address).await;
    let health = format!("{}/healthz", server.url);
    let long = Request::get(&health).header("x-long", "x".repeat(17 * 1024));
    let sent = client.send(long, Vec::new()).await;
    assert_eq!(in_time(sent).await.unwrap().status(), 431);
    let begin =
        Request::post(format!("{}/auth/par/authorize", server.url)).header(CONTENT_TYPE, "application/json");
    let sent = client.send(begin, vec![b' '; 65 * 1024]).await;
    assert_eq!(in_time(sent).await.unwrap().status(), 413);
    // The connection goes on.
    assert_eq!(client.get(&health).await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn idle_connections_do_not_keep_the_server() {
    let server = Server::dev().await;
    let mut client = Http2::connect(&server.address).await;
    assert_eq!(client.get(&format!("{}/healthz", server.url)).await.status(), 200);
    let silent = Http2::connect(&server.address).await;
    let mut half = TcpStream::connect(&server.address).await.unwrap();
    half.write_all(b"PRI * HT").await.unwrap();
    // The server's settings: it has begun to speak HTTP/2.
    in_time(half.read_exact(&mut [0; 9])).await.unwrap();
    let log = server.stop().await;
    assert!(!log.contains("did not end in time"), "{log}");
    for client in [client, silent] {
        let _ = in_time(client.connection).await.unwrap();
    }
}
