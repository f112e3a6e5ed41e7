//! Goes through the pages of a login without a browser: plain HTTP, a cookie jar, and their forms.
//!
//! What needs a real browser (scripts, policies, what a person sees) is tested with [`crate::Browser`].

use anyhow::{Context, Result, ensure};
use reqwest::header::{LOCATION, ORIGIN};
use reqwest::{Client, ClientBuilder, Response, StatusCode, redirect};
use url::Url;

use crate::html::{Form, forms, tags};
use crate::wait::PATIENCE;

/// Where the provider sends the browser back to.
const CALLBACK: &str = "/auth/callback";

/// Signs in at the built-in provider of `ciba-server dev`; returns the last page.
///
/// `url` is what `ciba start` prints: the page that asks the person to compare the code.
pub async fn sign_in(url: &str, username: &str, password: &str) -> Result<String> {
    let values = [("username", username), ("password", password)];
    let login = Page::open(url).await?.follow_continue().await?;
    let last = login.submit_form_with("username", &values, "sign_in").await?;
    last.expect_success().map(|page| page.html)
}

/// A browser whose person has signed in, about to open the provider's redirect back to us.
pub struct Returning {
    client: Client,
    callback: Url,
}

impl Returning {
    /// Signs in as [`sign_in`] does, and stops there.
    pub async fn sign_in(url: &str, username: &str, password: &str) -> Result<Self> {
        let stop = redirect::Policy::custom(|next| match next.url().path() {
            CALLBACK => next.stop(),
            _ => next.follow(),
        });
        let client = browser().redirect(stop).build()?;
        let login = Page::open_in(client, url).await?.follow_continue().await?;
        let values = [("username", username), ("password", password)];
        let last = login.submit_form_with("username", &values, "sign_in").await?;
        Ok(Self {
            client: last.client,
            callback: last.redirect.context("no way back")?,
        })
    }

    /// Opens the callback; returns when its answer has begun.
    pub async fn come_back(self) -> Result<()> {
        self.client.get(self.callback).send().await?.error_for_status()?;
        Ok(())
    }
}

/// Presses Cancel at the built-in provider; returns the outcome that the last page names.
pub async fn cancel(url: &str) -> Result<String> {
    let login = Page::open(url).await?.follow_continue().await?;
    let last = login.submit_form_with("username", &[], "cancel").await?;
    last.outcome()
}

/// Confirms the code where the provider answers without a page of its own; returns the last page.
pub async fn confirm(url: &str) -> Result<String> {
    let last = Page::open(url).await?.follow_continue().await?;
    last.expect_success().map(|page| page.html)
}

/// As [`confirm`], for a login that need not end well: returns the outcome that the last page names.
pub async fn confirm_outcome(url: &str) -> Result<String> {
    Page::open(url).await?.follow_continue().await?.outcome()
}

/// Opens a page that says how a login ended; returns the outcome it names.
pub async fn outcome(url: &str) -> Result<String> {
    Page::open(url).await?.outcome()
}

/// A page, where it is, and the cookies that led to it.
struct Page {
    client: Client,
    url: Url,
    status: StatusCode,
    /// Where it leads, if the browser does not follow.
    redirect: Option<Url>,
    html: String,
}

fn browser() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .cookie_store(true)
        // Which certificates our programs trust is tested; which ones a browser trusts is not.
        .tls_danger_accept_invalid_certs(true)
        .timeout(PATIENCE)
}

impl Page {
    async fn open(url: &str) -> Result<Self> {
        Self::open_in(browser().build()?, url).await
    }

    async fn open_in(client: Client, url: &str) -> Result<Self> {
        let response = client.get(url).send().await?;
        Self::read(client, response).await
    }

    async fn read(client: Client, response: Response) -> Result<Self> {
        let (url, status) = (response.url().clone(), response.status());
        let location = response.headers().get(LOCATION);
        let redirect = location.and_then(|location| url.join(location.to_str().ok()?).ok());
        let html = response.text().await?;
        Ok(Self {
            client,
            url,
            status,
            redirect,
            html,
        })
    }

    fn expect_success(self) -> Result<Self> {
        let (path, status) = (self.url.path(), self.status);
        ensure!(status.is_success(), "{path} answered {status}: {}", self.html);
        Ok(self)
    }

    /// The word that our pages carry for programs.
    fn outcome(&self) -> Result<String> {
        let tags = tags(&self.html);
        let mut outcomes = tags.iter().filter_map(|tag| tag.attribute("data-outcome"));
        let outcome = outcomes.next().map(str::to_owned);
        outcome.with_context(|| format!("no outcome in {}", self.html))
    }

    /// Follows what carries the id `continue`: a link, or a button of a form.
    async fn follow_continue(self) -> Result<Self> {
        let page = self.expect_success()?;
        let links = tags(&page.html)
            .into_iter()
            .filter(|tag| tag.attribute("id") == Some("continue"));
        let link = links
            .filter(|tag| tag.name == "a")
            .find_map(|tag| tag.attribute("href").map(str::to_owned));
        if let Some(href) = link {
            let response = page.client.get(page.url.join(&href)?).send().await?;
            return Self::read(page.client, response).await;
        }
        let form = forms(&page.html).into_iter().find(|form| form.has_id("continue"));
        let form = form.with_context(|| format!("nothing with the id continue in {}", page.html))?;
        page.submit(form, &[], "").await
    }

    /// Fills in the form that has the field `name`, and presses the button with that value.
    async fn submit_form_with(self, name: &str, values: &[(&str, &str)], button: &str) -> Result<Self> {
        let page = self.expect_success()?;
        let form = forms(&page.html).into_iter().find(|form| form.has_field(name));
        let form = form.with_context(|| format!("no form with a field {name} in {}", page.html))?;
        page.submit(form, values, button).await
    }

    async fn submit(self, form: Form, values: &[(&str, &str)], button: &str) -> Result<Self> {
        let mut fields = form.fields;
        for (name, value) in &mut fields {
            if let Some((_, given)) = values.iter().find(|(field, _)| field == name) {
                (*given).clone_into(value);
            }
        }
        fields.extend(form.buttons.into_iter().find(|(_, value)| value == button));
        let target = self.url.join(&form.action)?;
        let request = if form.is_post {
            // As a browser would say it; a server may check.
            let origin = self.url.origin().ascii_serialization();
            self.client.post(target).header(ORIGIN, origin).form(&fields)
        } else {
            self.client.get(target).query(&fields)
        };
        let response = request.send().await?;
        Self::read(self.client, response).await
    }
}
