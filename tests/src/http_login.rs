//! Goes through the pages of a login without a browser: plain HTTP, a cookie jar, and their forms.
//!
//! What needs a real browser (scripts, policies, what a person sees) is tested with [`crate::Browser`].

use anyhow::{Context, Result, ensure};
use reqwest::header::ORIGIN;
use reqwest::{Client, Response};
use url::Url;

use crate::html::{Form, forms, tags};
use crate::wait::PATIENCE;

/// Signs in at the built-in provider of `ciba-server dev`; returns the last page.
///
/// `url` is what `ciba start` prints: the page that asks the person to compare the code.
pub async fn sign_in(url: &str, username: &str, password: &str) -> Result<String> {
    let login = Page::open(url).await?.follow_continue().await?;
    let last = login
        .submit_form_with("username", &[("username", username), ("password", password)])
        .await?;
    Ok(last.html)
}

/// Confirms the code where the provider answers without a page of its own; returns the last page.
pub async fn confirm(url: &str) -> Result<String> {
    Ok(Page::open(url).await?.follow_continue().await?.html)
}

/// A page, where it is, and the cookies that led to it.
struct Page {
    client: Client,
    url: Url,
    html: String,
}

impl Page {
    async fn open(url: &str) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .timeout(PATIENCE)
            .build()?;
        let response = client.get(url).send().await?;
        Self::read(client, response).await
    }

    async fn read(client: Client, response: Response) -> Result<Self> {
        let (url, status) = (response.url().clone(), response.status());
        let html = response.text().await?;
        ensure!(status.is_success(), "{} answered {status}: {html}", url.path());
        Ok(Self { client, url, html })
    }

    /// Follows what carries the id `continue`: a link, or a button of a form.
    async fn follow_continue(self) -> Result<Self> {
        let links = tags(&self.html)
            .into_iter()
            .filter(|tag| tag.attribute("id") == Some("continue"));
        let link = links
            .filter(|tag| tag.name == "a")
            .find_map(|tag| tag.attribute("href").map(str::to_owned));
        if let Some(href) = link {
            let response = self.client.get(self.url.join(&href)?).send().await?;
            return Self::read(self.client, response).await;
        }
        let form = forms(&self.html).into_iter().find(|form| form.has_id("continue"));
        let form = form.with_context(|| format!("nothing with the id continue in {}", self.html))?;
        self.submit(form, &[]).await
    }

    /// Fills in the form that has the field `name`, and sends it.
    async fn submit_form_with(self, name: &str, values: &[(&str, &str)]) -> Result<Self> {
        let form = forms(&self.html).into_iter().find(|form| form.has_field(name));
        let form = form.with_context(|| format!("no form with a field {name} in {}", self.html))?;
        self.submit(form, values).await
    }

    async fn submit(self, mut form: Form, values: &[(&str, &str)]) -> Result<Self> {
        for (name, value) in &mut form.fields {
            if let Some((_, given)) = values.iter().find(|(field, _)| field == name) {
                (*given).clone_into(value);
            }
        }
        let target = self.url.join(&form.action)?;
        let request = if form.is_post {
            // As a browser would say it; a server may check.
            let origin = self.url.origin().ascii_serialization();
            self.client.post(target).header(ORIGIN, origin).form(&form.fields)
        } else {
            self.client.get(target).query(&form.fields)
        };
        let response = request.send().await?;
        Self::read(self.client, response).await
    }
}
