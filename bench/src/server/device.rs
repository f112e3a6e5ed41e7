//! One device on its socket: moves bytes between [`Device`], the same state machine as in `cibad`, and the wire.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use device_proto::challenge::SECRET_LEN;
use device_proto::device::{Event, Transmit};
use device_proto::{Challenge, Device};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep_until;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::host::Pass;

/// A device and its socket.
pub(super) struct Link {
    socket: WebSocketStream<TcpStream>,
    device: Device,
    secret: [u8; SECRET_LEN],
}

impl Link {
    pub(super) fn new(socket: WebSocketStream<TcpStream>, Pass { session, secret }: Pass) -> Self {
        let device = Device::connect(session, Challenge::new(&secret), Instant::now());
        Self {
            socket,
            device,
            secret,
        }
    }

    /// Proves possession and waits for the doc.
    pub(super) async fn sync(&mut self) -> Result<()> {
        loop {
            while let Some(event) = self.device.poll_event() {
                match event {
                    Event::Synced => return Ok(()),
                    Event::Disconnected(why) => bail!("not synced: {why}"),
                    _ => {}
                }
            }
            self.step().await?;
        }
    }

    /// Sends what is to be sent and takes in one message, or the end of a wait.
    pub(super) async fn step(&mut self) -> Result<()> {
        while let Some(transmit) = self.device.poll_transmit() {
            let message = match transmit {
                Transmit::Frame(frame) => Message::Binary(frame.to_vec().into()),
                Transmit::Ping => Message::Ping(Vec::new().into()),
            };
            self.socket.feed(message).await?;
        }
        self.socket.flush().await?;
        let due = self.device.poll_timeout().context("the device has ended")?;
        tokio::select! {
            message = self.socket.next() => self.heard(message.context("the server hung up")??),
            () = sleep_until(due.into()) => self.device.handle_timeout(Instant::now()),
        }
        Ok(())
    }

    fn heard(&mut self, message: Message) {
        match message {
            Message::Binary(bytes) => self.device.handle_message(&bytes, Challenge::new(&self.secret)),
            _ => self.device.handle_sign_of_life(),
        }
    }
}
