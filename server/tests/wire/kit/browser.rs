//! A browser without a browser: pages, cookies and redirects, one step at a time.

use std::collections::BTreeMap;

use ciba_tests::PATIENCE;
use reqwest::header::{COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect};
use tokio::task::JoinHandle;
use url::Url;

use crate::kit::session::Session;

/// Redirects a browser follows before it gives up.
const MAX_REDIRECTS: usize = 10;

/// A person's browser.
pub(crate) struct Browser {
    http: Client,
    cookies: BTreeMap<String, String>,
}

/// What a browser shows.
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self {
            http: http(),
            cookies: BTreeMap::new(),
        }
    }

    /// Opens one address and follows nothing.
    pub(crate) async fn get(&mut self, url: &str) -> Page {
        let request = self.http.get(url);
        self.send(request).await
    }

    /// Posts one form, as a page of the same site does, and follows nothing.
    pub(crate) async fn post(&mut self, url: &str, form: &[(&str, &str)]) -> Page {
        let origin = Url::parse(url).unwrap().origin().ascii_serialization();
        let request = self.http.post(url).header(ORIGIN, origin).form(form);
        self.send(request).await
    }

    /// Returns a cookie's value.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Plants a cookie, as an attacker may.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Opens one address and follows every redirect.
    pub(crate) async fn open(&mut self, url: &str) -> Page {
        let page = self.get(url).await;
        self.follow(page).await
    }

    async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = page.redirect() else { return page };
            page = self.get(&next).await;
        }
        panic!("redirected in circles");
    }

    /// Opens the page with the code and says yes; ends where that leads.
    pub(crate) async fn confirm(&mut self, url: &str) -> Page {
        let page = self.get(url).await;
        self.open(&page.continue_url()).await
    }

    /// Begins to do so, and leaves the test free to do something meanwhile.
    pub(crate) fn confirming(session: &Session) -> JoinHandle<Page> {
        let url = session.url().to_owned();
        tokio::spawn(async move { Self::new().confirm(&url).await })
    }

    /// Says yes, and stops where the provider sends the browser back to us; returns that address.
    pub(crate) async fn confirm_until_callback(&mut self, url: &str) -> String {
        let mut next = self.get(url).await.continue_url();
        while !next.contains("/auth/callback") {
            next = self
                .get(&next)
                .await
                .redirect()
                .expect("on the way to the provider and back");
        }
        next
    }

    /// Goes through the whole login at the built-in provider; returns the last page.
    pub(crate) async fn sign_in(&mut self, url: &str) -> Page {
        let page = self.fill_in_login(url).await;
        self.follow(page).await
    }

    /// Goes through the login at the built-in provider up to the redirect back to us.
    pub(crate) async fn fill_in_login(&mut self, url: &str) -> Page {
        let login = self.confirm(url).await;
        let (action, id) = (
            between(&login.body, "action=\"", "\""),
            between(&login.body, "name=\"login\" value=\"", "\""),
        );
        let form = [
            ("login", id),
            ("username", "alice"),
            ("password", "demo"),
            ("action", "sign_in"),
        ];
        let request = self
            .http
            .post(login.url.join(action).unwrap())
            .header(ORIGIN, login.url.origin().ascii_serialization())
            .form(&form);
        self.send(request).await
    }

    async fn send(&mut self, request: RequestBuilder) -> Page {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await.unwrap();
        self.take_cookies(&response);
        Page::of(response).await
    }

    fn take_cookies(&mut self, response: &Response) {
        for cookie in response.headers().get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match value {
                "" => self.cookies.remove(name),
                value => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
    }
}

impl Page {
    pub(crate) async fn of(response: Response) -> Self {
        Self {
            url: response.url().clone(),
            status: response.status(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    /// Returns where the page sends the browser, if it does.
    pub(crate) fn redirect(&self) -> Option<String> {
        let to = self.headers.get(LOCATION)?.to_str().unwrap();
        Some(self.url.join(to).unwrap().to_string())
    }

    /// Returns where "Yes, continue" leads.
    pub(crate) fn continue_url(&self) -> String {
        let href = between(&self.body, "id=\"continue\" class=\"button\" href=\"", "\"");
        self.url.join(&href.replace("&#38;", "&")).unwrap().to_string()
    }

    /// Returns what a hidden field of the page's form has.
    pub(crate) fn hidden(&self, name: &str) -> &str {
        between(&self.body, &format!("name=\"{name}\" value=\""), "\"")
    }

    /// Returns how a login ended.
    pub(crate) fn outcome(&self) -> &str {
        between(&self.body, "data-outcome=\"", "\"")
    }
}

/// An HTTP client that follows nothing and uses no proxy.
pub(crate) fn http() -> Client {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before} in {text}"))
        .1;
    rest.split_once(after).unwrap().0
}
