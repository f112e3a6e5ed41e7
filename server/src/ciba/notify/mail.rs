//! Telling a person by e-mail: a short mail with the approval link, handed to the operator's mail server.

use std::time::Duration;

use askama::Template;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use lettre::address::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{self, AsyncSmtpTransport};
use lettre::{AsyncTransport as _, Tokio1Executor};

use super::error::NotifyError;
use super::notice::Notice;
use crate::config::{self, MailSecurity};
use crate::oauth::plain::plain;
use crate::outgoing::Authorities;
use crate::random::random;

/// The mail server.
pub(super) struct Mail {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mail {
    pub(super) fn new(
        settings: &config::Mail,
        authorities: &Authorities,
        within: Duration,
    ) -> Result<Self, smtp::Error> {
        let tls = || tls(&settings.host, authorities);
        let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .timeout(Some(within))
            .tls(match settings.security {
                MailSecurity::Tls => Tls::Wrapper(tls()?),
                MailSecurity::StartTls => Tls::Required(tls()?),
                MailSecurity::None => Tls::None,
            });
        if let Some((username, password)) = &settings.login {
            let (username, password) = (username.clone(), password.to_string());
            server = server.credentials(Credentials::new(username, password));
        }
        Ok(Self {
            server: server.build(),
            from: settings.from.clone(),
        })
    }

    /// Sends the mail, if the person has a verified address.
    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), NotifyError> {
        let Some(email) = &notice.email else {
            tracing::debug!(request = %notice.handle, "no mail: the person has no verified address");
            return Ok(());
        };
        let mail = message(&self.from, email, notice)?;
        self.server.send(mail).await?;
        Ok(())
    }
}

fn tls(host: &str, authorities: &Authorities) -> Result<TlsParameters, smtp::Error> {
    let own = Certificate::from_pem(authorities.pem().as_bytes())?;
    TlsParameters::builder(host.to_owned())
        .add_root_certificate(own)
        .build()
}

/// The words of a mail, as text and as HTML.
#[derive(Template)]
#[template(path = "approval_mail.txt")]
struct Text<'a>(Words<'a>);

#[derive(Template)]
#[template(path = "approval_mail.html")]
struct Html<'a>(Words<'a>);

#[derive(Clone, Copy)]
struct Words<'a> {
    client_name: &'a str,
    binding_message: Option<&'a str>,
    scope: &'a str,
    /// Empty: none.
    resources: &'a str,
    has_details: bool,
    until: &'a str,
    approval_url: &'a str,
}

fn message(from: &Mailbox, email: &str, notice: &Notice) -> Result<Message, NotifyError> {
    let to: Address = email.parse().map_err(|_| NotifyError::Mail)?;
    let question = &notice.question;
    let client_name = plain(&question.client_name);
    let scope = question.scope.join(" ");
    let resources = question.resources.iter().map(|resource| plain(resource));
    let resources = resources.collect::<Vec<_>>().join(", ");
    let until = until(question.expires_at);
    let words = Words {
        client_name: &client_name,
        binding_message: question.binding_message.as_deref(),
        scope: &scope,
        resources: &resources,
        has_details: question.authorization_details.is_some(),
        until: &until,
        approval_url: notice.approval_url.as_str(),
    };
    let text = Text(words).render().map_err(|_| NotifyError::Mail)?;
    let html = Html(words).render().map_err(|_| NotifyError::Mail)?;
    let id = Base64UrlUnpadded::encode_string(&random::<16>());
    // RFC 3834: no automatic answers, please.
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(format!("\"{client_name}\" asks for your approval"))
        .raw_header(HeaderValue::new(automatic, "auto-generated".into()))
        .multipart(MultiPart::alternative_plain_html(text, html))
        .map_err(|_| NotifyError::Mail)
}

/// Returns until when the person can answer: a mail may be read late.
fn until(expires_at: u64) -> String {
    let seconds = i64::try_from(expires_at).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%H:%M:%S UTC").to_string()
}

#[cfg(all(test, feature = "real"))]
mod real_tests;
#[cfg(test)]
mod tests;
