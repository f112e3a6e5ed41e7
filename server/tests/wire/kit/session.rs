//! A device session as its device knows it: the secret, what it proves, and what it opens.

use device_proto::frame::{self, EMPTY_STATE_VECTOR, Frame, Message, Sync};
use device_proto::seal::{Key, KeyUse, NONCE_LEN, Sealed};
use device_proto::{Challenge, RequestId};
use serde_json::{Value, json};

use crate::kit::browser::http;
use crate::kit::server::Server;

/// The resource of every login here; its token is the login's own.
pub(crate) const RESOURCE: &str = "urn:d:unified-gateway";

/// Another destination of the same login.
pub(crate) const OTHER: &str = "urn:d:other";

/// Exchanged for an audience, by the default rules.
pub(crate) const API: &str = "urn:sap:identity:api:name:my-api";

/// Of no rule.
pub(crate) const UNKNOWN: &str = "urn:other:x";

/// A session as its device knows it.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) secret: [u8; 32],
    pub(crate) id: RequestId,
    /// What the server answered.
    pub(crate) begun: Value,
}

impl Session {
    /// Begins a session (D-002).
    pub(crate) async fn begin(server: &Server) -> Self {
        Self::begin_for(server, RESOURCE).await
    }

    /// Begins a session whose first token is for this resource.
    pub(crate) async fn begin_for(server: &Server, resource: &str) -> Self {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).unwrap();
        let verifier = Challenge::new(&secret).verifier().to_string();
        let body = json!({ "verifier": verifier, "deviceName": "laptop", "resource": resource });
        let url = format!("{}/auth/par/authorize", server.url);
        let response = http().post(url).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Self::of(secret, response.json().await.unwrap())
    }

    pub(crate) fn of(secret: [u8; 32], begun: Value) -> Self {
        let id = begun["requestId"].as_str().unwrap().parse().unwrap();
        Self { secret, id, begun }
    }

    pub(crate) fn url(&self) -> &str {
        self.begun["url"].as_str().unwrap()
    }

    pub(crate) fn challenge(&self) -> Challenge<'_> {
        Challenge::new(&self.secret)
    }

    pub(crate) fn challenge_text(&self) -> String {
        self.challenge().expose().to_string()
    }

    /// Opens a sealed token; returns the plaintext.
    pub(crate) fn open(&self, sealed: &str) -> Vec<u8> {
        self.open_for(RESOURCE, sealed)
    }

    /// Opens the sealed token of another resource.
    pub(crate) fn open_for(&self, resource: &str, sealed: &str) -> Vec<u8> {
        let sealed = Sealed::try_from(sealed.to_owned()).unwrap();
        let mut buffer = vec![0; sealed.plaintext_len()];
        let key = Key::of_challenge(self.challenge(), &self.id, KeyUse::Token);
        key.open(resource, &sealed, &mut buffer).unwrap().to_vec()
    }

    /// Seals a text as the session's token of a resource; `n` is different for each.
    pub(crate) fn seal_for(&self, resource: &str, n: usize, text: &[u8]) -> String {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&n.to_le_bytes());
        let key = Key::of_challenge(self.challenge(), &self.id, KeyUse::Token);
        key.seal(resource, nonce, text).to_string()
    }

    /// Returns the proof and the question for the doc, as a device sends them.
    pub(crate) fn handshake(&self) -> [Vec<u8>; 2] {
        handshake(self.id.as_str(), &self.challenge_text())
    }
}

/// Returns the frames a device begins with.
pub(crate) fn handshake(document: &str, token: &str) -> [Vec<u8>; 2] {
    [
        frame::auth(document, token, "ciba/test").to_vec(),
        framed(document, Message::Sync(Sync::Step1(EMPTY_STATE_VECTOR))),
    ]
}

pub(crate) fn framed(document: &str, message: Message<'_>) -> Vec<u8> {
    Frame { document, message }.encode()
}
