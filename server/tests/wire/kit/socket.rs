//! A raw socket to `/sync/device`, for what no device would send.

use device_proto::frame::{Auth, EMPTY_AWARENESS, EMPTY_STATE_VECTOR, Frame, Message, Packet, Sender, Sync};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message as WsMessage};

use crate::kit::in_time;
use crate::kit::server::Server;
use crate::kit::session::{Session, framed};

/// What a socket hears.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Frame(Vec<u8>),
    /// A close frame, and its code.
    Closed(u16),
    /// The end without a close frame.
    Gone,
}

/// A WebSocket to `/sync/device`.
pub(crate) struct Raw(WebSocketStream<TcpStream>);

impl Raw {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        let url = format!("ws://{}/sync/device", server.address);
        Self(tokio_tungstenite::client_async(url, stream).await.unwrap().0)
    }

    pub(crate) async fn send(&mut self, frame: impl Into<Vec<u8>>) {
        self.send_message(WsMessage::binary(frame.into())).await;
    }

    pub(crate) async fn send_all(&mut self, frames: impl IntoIterator<Item = Vec<u8>>) {
        for frame in frames {
            self.send(frame).await;
        }
    }

    pub(crate) async fn send_message(&mut self, message: WsMessage) {
        // A server that closed meanwhile says so to the next read.
        let _ = self.0.send(message).await;
    }

    /// Waits for the next thing that is no ping.
    pub(crate) async fn hear(&mut self) -> Heard {
        in_time(self.hear_ever()).await
    }

    async fn hear_ever(&mut self) -> Heard {
        loop {
            return match self.0.next().await {
                Some(Ok(WsMessage::Binary(bytes))) => Heard::Frame(bytes.to_vec()),
                Some(Ok(WsMessage::Close(frame))) => {
                    // The answer to a close is written by reading on.
                    let _ = self.0.next().await;
                    Heard::Closed(frame.map_or(1005, |frame| frame.code.into()))
                }
                Some(Ok(_)) => continue,
                Some(Err(tungstenite::Error::ConnectionClosed)) | Some(Err(_)) | None => Heard::Gone,
            };
        }
    }

    /// Waits for the next frame and returns what it says.
    pub(crate) async fn frame(&mut self) -> Vec<u8> {
        match self.hear().await {
            Heard::Frame(frame) => frame,
            other => panic!("{other:?} instead of a frame"),
        }
    }

    /// Skips frames until the socket is closed; returns the code.
    pub(crate) async fn closed(&mut self) -> u16 {
        in_time(async {
            loop {
                match self.hear().await {
                    Heard::Frame(_) => {}
                    Heard::Closed(code) => return code,
                    Heard::Gone => panic!("ended without a close frame"),
                }
            }
        })
        .await
    }

    /// Closes the socket and waits until the server has done so too.
    pub(crate) async fn leave(mut self) {
        self.send_message(WsMessage::Close(None)).await;
        in_time(async { while self.0.next().await.is_some_and(|message| message.is_ok()) {} }).await;
    }

    /// Sends a device's sign of life (D-050), and waits until the server has taken it.
    pub(crate) async fn keep_alive(&mut self, document: &str) {
        self.send(framed(document, Message::Awareness(EMPTY_AWARENESS)))
            .await;
        self.send_message(WsMessage::Ping(Vec::new().into())).await;
        in_time(async { while !matches!(self.0.next().await.unwrap().unwrap(), WsMessage::Pong(_)) {} })
            .await;
    }

    /// Asks for the doc until the answer comes: proves that the server still serves this socket.
    pub(crate) async fn round_trip(&mut self, document: &str) -> Vec<u8> {
        self.send(framed(document, Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR))))
            .await;
        loop {
            let frame = self.frame().await;
            if let Ok(Packet::Frame(Frame {
                message: Message::Sync(Sync::Step2(state)),
                ..
            })) = Packet::decode(&frame, Sender::Server)
            {
                let state = state.to_vec();
                assert_eq!(self.frame().await, framed(document, Message::SyncStatus(true)));
                return state;
            }
        }
    }

    /// Proves a session and takes its doc; the frames after it are the test's.
    pub(crate) async fn granted(server: &Server, session: &Session) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send_all(session.handshake()).await;
        let granted = framed(
            session.id.as_str(),
            Message::Auth(Auth::Granted { scope: "readonly" }),
        );
        assert_eq!(raw.frame().await, granted);
        raw.frame().await;
        assert_eq!(
            raw.frame().await,
            framed(session.id.as_str(), Message::SyncStatus(true))
        );
        raw
    }
}
