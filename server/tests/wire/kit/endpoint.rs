//! A client's notification endpoint on loopback: it gives the answers that the test wrote down, and keeps what it is sent.

use std::collections::VecDeque;

use serde_json::Value;

use crate::kit::ciba::client;
use crate::kit::site::Site;
use crate::kit::stand_in::{Received, Reply, StandIn};
use crate::kit::until;

/// `client_notification_token` of every request.
pub(crate) const TOKEN: &str = "the-notification-token-of-this-client";

/// The endpoint.
pub(crate) struct Endpoint {
    stand_in: StandIn,
    /// What it was sent.
    pub(crate) calls: Vec<Received>,
}

impl Endpoint {
    /// An endpoint with TLS, of an authority of its own. The last reply is given again and again.
    pub(crate) async fn https(replies: impl Into<VecDeque<Reply>>) -> Self {
        Self::of(StandIn::https(replies).await)
    }

    /// An endpoint that always says 204.
    pub(crate) async fn good() -> Self {
        Self::of(StandIn::http([Reply::Status(204)]).await)
    }

    pub(crate) async fn http(replies: impl Into<VecDeque<Reply>>) -> Self {
        Self::of(StandIn::http(replies).await)
    }

    fn of(stand_in: StandIn) -> Self {
        Self {
            stand_in,
            calls: Vec::new(),
        }
    }

    pub(crate) fn url(&self) -> String {
        self.stand_in.url.join("told").unwrap().to_string()
    }

    /// Returns TOML of a client of this mode and endpoint, whose name is the mode; `more` is more of it.
    pub(crate) fn client(&self, mode: &str, more: &str) -> String {
        let metadata = format!(
            "backchannel_token_delivery_mode = \"{mode}\"\nbackchannel_client_notification_endpoint = \"{}\"\n{more}",
            self.url()
        );
        client(mode, &metadata)
    }

    /// Lets a site's server trust the endpoint's authority.
    pub(crate) fn trusted_by(&self, site: Site) -> Site {
        let file = site.config().with_file_name("authority.pem");
        std::fs::write(&file, &self.stand_in.authority).unwrap();
        let file = file.to_str().unwrap().to_owned();
        site.with("OUTGOING__CA_FILE", &file)
    }

    /// Takes in what came meanwhile; returns how many calls there were.
    pub(crate) fn count(&mut self) -> usize {
        self.calls.extend(self.stand_in.received());
        self.calls.len()
    }

    /// Waits until there were so many calls.
    pub(crate) async fn until(&mut self, calls: usize) {
        until("calls", async || (self.count() >= calls).then_some(())).await;
    }

    /// Waits for that call; returns its body.
    pub(crate) async fn body(&mut self, call: usize) -> Value {
        self.until(call + 1).await;
        serde_json::from_slice(&self.calls[call].body).unwrap()
    }
}
