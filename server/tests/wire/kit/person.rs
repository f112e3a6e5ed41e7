//! A person who is signed in in a browser, and the calls of an approval page in it.

use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use serde_json::{Value, json};

use crate::kit::browser::{Browser, http};
use crate::kit::ciba::{Answer, Provider};
use crate::kit::idp::Idp;

/// The person.
pub(crate) struct Person {
    http: reqwest::Client,
    url: String,
    cookie: String,
}

impl Person {
    /// Signs in as this person.
    pub(crate) async fn sign_in(idp: &Idp, provider: &Provider, sub: &str) -> Self {
        let sub = json!(sub);
        idp.script(|script| script.claims = vec![("sub", sub)]);
        let mut browser = Browser::new();
        let page = browser.open(&provider.url("/login?to=/healthz")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let cookie = browser.cookie("ciba-session").unwrap();
        Self {
            http: http(),
            url: provider.server.url.clone(),
            cookie: format!("ciba-session={cookie}"),
        }
    }

    /// Returns a post without its headers of a page.
    pub(crate) fn bare(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.url)).body(body);
        request.header(COOKIE, &self.cookie)
    }

    /// Posts as a page of the server does.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.bare(path, body.to_string()).header(ORIGIN, &self.url);
        Answer::of(request.header(CONTENT_TYPE, "application/json")).await
    }

    pub(crate) async fn approve(&self, auth_req_id: &str) -> Answer {
        self.post("/ciba/authorize", &json!({ "auth_req_id": auth_req_id }))
            .await
    }

    pub(crate) async fn reject(&self, auth_req_id: &str) -> Answer {
        self.post("/ciba/reject", &json!({ "auth_req_id": auth_req_id }))
            .await
    }
}
