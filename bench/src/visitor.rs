//! A person at a login, without a browser, who stops where the provider sends them back to us: what happens
//! from there on is what is measured.

use anyhow::{Context, Result, ensure};
use ciba_tests::PATIENCE;
use reqwest::header::{LOCATION, ORIGIN};
use reqwest::{Client, Response, redirect};
use url::Url;

use crate::session::{PASSWORD, USERNAME};

/// Where the provider sends the browser.
const CALLBACK: &str = "/auth/callback";

/// Pages and redirects a login may have.
const MAX_STEPS: usize = 20;

/// A browser about to open the callback.
pub(crate) struct Visitor {
    client: Client,
    callback: Url,
}

impl Visitor {
    /// Goes from the page that `ciba start` prints to the redirect that ends the login at the provider.
    pub(crate) async fn sign_in(page: &str) -> Result<Self> {
        let client = Client::builder()
            .no_proxy()
            .cookie_store(true)
            .redirect(redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        let mut response = client.get(page).send().await?;
        for _ in 0..MAX_STEPS {
            let Some(next) = redirect_of(&response)? else {
                response = submit(&client, response).await?;
                continue;
            };
            if next.path() == CALLBACK {
                return Ok(Self {
                    client,
                    callback: next,
                });
            }
            response = client.get(next).send().await?;
        }
        anyhow::bail!("{MAX_STEPS} pages and no way back")
    }

    /// Opens the callback and returns when its answer has begun.
    pub(crate) async fn come_back(self) -> Result<()> {
        let response = self.client.get(self.callback).send().await?;
        ensure!(
            !response.status().is_client_error() && !response.status().is_server_error(),
            "the callback says {}",
            response.status()
        );
        Ok(())
    }
}

fn redirect_of(response: &Response) -> Result<Option<Url>> {
    if !response.status().is_redirection() {
        return Ok(None);
    }
    let location = response
        .headers()
        .get(LOCATION)
        .context("a redirect to nowhere")?;
    Ok(Some(response.url().join(location.to_str()?)?))
}

/// Fills in the page's one form, or follows its link, and returns what comes next.
async fn submit(client: &Client, response: Response) -> Result<Response> {
    let (url, status) = (response.url().clone(), response.status());
    let html = response.text().await?;
    ensure!(status.is_success(), "{} answered {status}", url.path());
    let Some(form) = tags(&html, "form").next() else {
        let link = tags(&html, "a").find(|link| attribute(link, "id").as_deref() == Some("continue"));
        let href = link.and_then(|link| attribute(link, "href"));
        return Ok(client
            .get(url.join(&href.context("a page with no way on")?)?)
            .send()
            .await?);
    };
    let target = url.join(&attribute(form, "action").unwrap_or_default())?;
    let origin = url.origin().ascii_serialization();
    Ok(client
        .post(target)
        .header(ORIGIN, origin)
        .form(&fields(&html))
        .send()
        .await?)
}

fn fields(html: &str) -> Vec<(String, String)> {
    let filled = |input| {
        let name = attribute(input, "name")?;
        let value = match name.as_str() {
            "username" => USERNAME.to_owned(),
            "password" => PASSWORD.to_owned(),
            _ => attribute(input, "value").unwrap_or_default(),
        };
        Some((name, value))
    };
    // Of the buttons the first is pressed.
    let inputs = tags(html, "input").chain(tags(html, "button").take(1));
    inputs.filter_map(filled).collect()
}

/// The insides of every such tag. Our own pages have no `>` in attributes.
fn tags<'a>(html: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    html.split('<').filter_map(move |piece| {
        let (tag, _) = piece.split_once('>')?;
        tag.strip_prefix(name).filter(|rest| rest.starts_with(' '))
    })
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("&#38;", "&").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_ours_is_read_and_filled_in() {
        let html = "<p>x < y</p><form method=\"post\" action=\"/a?b=1&#38;c=2\"><input type=\"hidden\" name=\"login\" value=\"L\"><input id=\"username\" name=\"username\" required><input name=\"password\" type=\"password\"><button name=\"action\" value=\"yes\">Yes</button><button name=\"action\" value=\"no\">No</button></form>";
        let form = tags(html, "form").next().unwrap();
        assert_eq!(attribute(form, "action").as_deref(), Some("/a?b=1&c=2"));
        let pairs = [
            ("login", "L"),
            ("username", USERNAME),
            ("password", PASSWORD),
            ("action", "yes"),
        ];
        assert_eq!(
            fields(html),
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
