//! TLS by the server itself, and certificates of clients (RFC 8705): C-013, C-080, C-081.

mod bound;
mod clients;
mod listener;
mod proxy;

use reqwest::{Client, RequestBuilder};
use serde_json::Value;

use crate::kit::ciba::{ASK, Answer, HOOK, site};
use crate::kit::pki::{Ca, Leaf, http};
use crate::kit::server::Server;
use crate::kit::site::Site;

const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// A server with TLS on two listeners, and the authority of everyone's certificates.
struct Secured {
    site: Site,
    server: Server,
    ca: Ca,
}

/// Writes a server's certificate into a site.
fn put(site: &Site, leaf: &Leaf) {
    let folder = site.config().parent().unwrap().to_owned();
    std::fs::write(folder.join("server.pem"), &leaf.certificate).unwrap();
    std::fs::write(folder.join("server.key"), leaf.key.serialize_pem()).unwrap();
}

/// TOML of a poll client; `more` is more of it.
fn client(id: &str, method: &str, more: &str) -> String {
    let mode = if more.contains("delivery_mode") {
        ""
    } else {
        "backchannel_token_delivery_mode = \"poll\""
    };
    format!(
        "[[client]]\nclient_id = \"{id}\"\ntoken_endpoint_auth_method = \"{method}\"\n\
         grant_types = [\"{CIBA}\", \"refresh_token\", \"client_credentials\"]\n{mode}\n{more}\n"
    )
}

impl Secured {
    /// Starts a server with these clients.
    async fn start(clients: &str) -> Self {
        Self::start_with("", clients).await
    }

    /// Starts such a server; `ciba` is TOML of that section.
    async fn start_with(ciba: &str, clients: &str) -> Self {
        let ca = Ca::new();
        let mut site = site(ciba).and(clients).and(
            "[tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"ca.pem\"\n\
             [tls.client]\nlisten = \"127.0.0.1:0\"\n",
        );
        put(&site, &ca.server());
        std::fs::write(site.config().with_file_name("ca.pem"), ca.pem()).unwrap();
        let server = site.start().await;
        Self { site, server, ca }
    }

    /// Returns a client that shows this certificate to whom asks.
    fn http(&self, leaf: Option<&Leaf>) -> Client {
        http(&self.ca.pem(), leaf)
    }

    /// The endpoints as discovery tells them.
    async fn metadata(&self) -> Value {
        let url = format!("{}/.well-known/openid-configuration", self.server.url);
        Answer::of(self.http(None).get(url)).await.body
    }

    /// Where clients with certificates ask.
    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.clients.as_ref().unwrap())
    }

    /// Asks for a token of the client's own, with this certificate.
    async fn token(&self, leaf: Option<&Leaf>, id: &str) -> Answer {
        let form = [("grant_type", "client_credentials"), ("client_id", id)];
        Answer::of(self.http(leaf).post(self.url("/oauth2/token")).form(&form)).await
    }

    /// Asks for a person, with this certificate.
    async fn ask(&self, leaf: Option<&Leaf>, id: &str, with: &[(&str, &str)]) -> Answer {
        let form = [&ASK[..], &[("client_id", id)], with].concat();
        Answer::of(self.http(leaf).post(self.url("/oauth2/bc-authorize")).form(&form)).await
    }

    /// The person says yes.
    async fn allow(&self, auth_req_id: &str) {
        let path = format!("/ciba/test-hook/{HOOK}?auth_req_id={auth_req_id}&action=allow");
        let answer = Answer::of(self.http(None).post(format!("{}{path}", self.server.url))).await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    async fn poll(&self, leaf: Option<&Leaf>, id: &str, auth_req_id: &str) -> Answer {
        let form = [
            ("grant_type", CIBA),
            ("client_id", id),
            ("auth_req_id", auth_req_id),
        ];
        Answer::of(self.http(leaf).post(self.url("/oauth2/token")).form(&form)).await
    }

    fn userinfo(&self, leaf: Option<&Leaf>, token: &str) -> RequestBuilder {
        self.http(leaf)
            .get(self.url("/oauth2/userinfo"))
            .bearer_auth(token)
    }
}
