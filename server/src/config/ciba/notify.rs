//! `[ciba.notify]`: how people are told that a client asks for their consent (C-210).

use std::path::PathBuf;

use ::url::Url;
use base64ct::{Base64, Encoding as _};
use lettre::message::Mailbox;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::config::secret::{self, Inline, Places};
use crate::config::{Error, url};

/// The ways to tell people; each one that is there is used.
#[derive(Clone, Default)]
pub(crate) struct Notify {
    /// A program and its arguments.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) mail: Option<Mail>,
}

/// A server of the operator's that is told.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) url: Url,
    /// The key of the signatures (Standard Webhooks).
    pub(crate) secret: Zeroizing<Vec<u8>>,
}

/// A mail server that passes mail on.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: MailSecurity,
    /// User name and password there.
    pub(crate) login: Option<(String, Zeroizing<String>)>,
    pub(crate) from: Mailbox,
}

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MailSecurity {
    /// TLS from the first byte (RFC 8314), port 465.
    #[default]
    Tls,
    /// TLS after STARTTLS, which must succeed; port 587.
    StartTls,
    /// None, to a mail server on this machine; port 25.
    None,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    command: Option<Vec<String>>,
    webhook: Option<WebhookSection>,
    mail: Option<MailSection>,
}

/// `[ciba.notify.webhook]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
struct WebhookSection {
    url: String,
    secret: Option<Inline>,
    secret_file: Option<PathBuf>,
}

/// `[ciba.notify.mail]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
struct MailSection {
    host: String,
    port: Option<u16>,
    #[serde(default)]
    security: MailSecurity,
    username: Option<String>,
    password: Option<Inline>,
    password_file: Option<PathBuf>,
    from: String,
}

/// What a secret of Standard Webhooks begins with; its key follows in base64.
const SECRET_PREFIX: &str = "whsec_";

/// Bytes of a webhook's key (Standard Webhooks, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

impl Section {
    pub(super) fn understand(self, places: &Places<'_>) -> Result<Notify, Error> {
        if self.command.as_ref().is_some_and(Vec::is_empty) {
            let problem = "must be a program and its arguments: [\"/usr/local/bin/tell\", \"--now\"]";
            return Err(Error::value("ciba.notify.command", problem));
        }
        let webhook = self.webhook.map(|webhook| webhook.understand(places));
        let mail = self.mail.map(|mail| mail.understand(places));
        Ok(Notify {
            command: self.command,
            webhook: webhook.transpose()?,
            mail: mail.transpose()?,
        })
    }
}

impl WebhookSection {
    fn understand(self, places: &Places<'_>) -> Result<Webhook, Error> {
        let key = "ciba.notify.webhook.secret";
        let text = secret::of(key, self.secret, self.secret_file, places)?;
        let text = text.ok_or_else(|| Error::value(key, "is needed, or secret_file"))?;
        let problem = "must be whsec_ and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32)";
        Ok(Webhook {
            url: url::secure("ciba.notify.webhook.url", &self.url)?,
            secret: webhook_key(&text).ok_or_else(|| Error::value(key, problem))?,
        })
    }
}

fn webhook_key(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let encoded = text.strip_prefix(SECRET_PREFIX)?;
    let key = Base64::decode_vec(encoded).map(Zeroizing::new).ok()?;
    SECRET_BYTES.contains(&key.len()).then_some(key)
}

impl MailSection {
    fn understand(self, places: &Places<'_>) -> Result<Mail, Error> {
        let wrong = |key: &str, problem: &str| Error::value(&format!("ciba.notify.mail.{key}"), problem);
        let is_here = ["localhost", "127.0.0.1", "::1"].contains(&self.host.as_str());
        if self.security == MailSecurity::None && !is_here {
            return Err(wrong("security", "can be none only for a host on loopback"));
        }
        let given = (self.password, self.password_file);
        let password = secret::of("ciba.notify.mail.password", given.0, given.1, places)?;
        let login = match (self.username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            _ => return Err(wrong("username", "and password belong together")),
        };
        let from = self.from.parse();
        Ok(Mail {
            host: self.host,
            port: self.port.unwrap_or(self.security.port()),
            security: self.security,
            login,
            from: from.map_err(|_| wrong("from", "must be an address such as Ciba <ciba@example.com>"))?,
        })
    }
}

impl MailSecurity {
    /// Returns the port of the IANA registry.
    fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn understood(text: &str) -> Result<Notify, String> {
        let section: Section = toml::from_str(text).map_err(|error| error.to_string())?;
        let places = Places {
            base: Path::new("/nowhere"),
            credentials: None,
        };
        section.understand(&places).map_err(|error| error.to_string())
    }

    fn refused(text: &str) -> String {
        understood(text).err().expect(text)
    }

    #[test]
    fn c_210_nothing_is_told_unless_the_operator_says_how() {
        let nothing = understood("").unwrap();
        assert!(nothing.command.is_none() && nothing.webhook.is_none() && nothing.mail.is_none());
        assert!(refused("command = []").starts_with("ciba.notify.command: "));
        assert!(refused("comand = [\"x\"]").contains("unknown field"));
    }

    #[test]
    fn c_210_a_webhook_has_a_url_and_a_key() {
        let webhook = |url: &str, secret: &str| format!("[webhook]\nurl = \"{url}\"\nsecret = \"{secret}\"");
        let secret = |bytes: usize| format!("whsec_{}", Base64::encode_string(&vec![7; bytes]));
        let good = "https://hooks.example.com/ciba";
        for bytes in [24, 64] {
            let read = understood(&webhook(good, &secret(bytes)))
                .unwrap()
                .webhook
                .unwrap();
            assert_eq!((read.url.as_str(), read.secret.len()), (good, bytes));
        }
        for wrong in [
            secret(23),
            secret(65),
            "whsec_".into(),
            "whsec_???".into(),
            "c2VjcmV0".into(),
        ] {
            let error = refused(&webhook(good, &wrong));
            assert!(
                error.starts_with("ciba.notify.webhook.secret: must be"),
                "{error}"
            );
        }
        let plain = refused(&webhook("http://hooks.example.com/", &secret(32)));
        assert!(plain.starts_with("ciba.notify.webhook.url: "), "{plain}");
        let none = refused(&format!("[webhook]\nurl = \"{good}\""));
        assert_eq!(none, "ciba.notify.webhook.secret: is needed, or secret_file");
    }

    #[test]
    fn c_210_mail_goes_over_tls_or_stays_on_this_machine() {
        let mail = |host: &str, more: &str| {
            format!("[mail]\nhost = \"{host}\"\nfrom = \"Ciba <ciba@example.com>\"\n{more}")
        };
        for (host, more, port) in [
            ("mail.example.com", "", 465),
            ("mail.example.com", "security = \"starttls\"", 587),
            ("localhost", "security = \"none\"", 25),
            ("::1", "security = \"none\"\nport = 2525", 2525),
        ] {
            let read = understood(&mail(host, more)).unwrap().mail.unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, port));
        }
        let read = understood(&mail("m", "username = \"u\"\npassword = \"p\""));
        let (username, password) = read.unwrap().mail.unwrap().login.unwrap();
        assert_eq!((username.as_str(), password.as_str()), ("u", "p"));
        for (host, more, key) in [
            ("mail.example.com", "security = \"none\"", "security"),
            ("127.0.0.2", "security = \"none\"", "security"),
            ("mail.example.com", "username = \"u\"", "username"),
            ("mail.example.com", "password = \"p\"", "username"),
        ] {
            let error = refused(&mail(host, more));
            assert!(error.starts_with(&format!("ciba.notify.mail.{key}: ")), "{error}");
        }
        let from = refused("[mail]\nhost = \"m\"\nfrom = \"nobody\"");
        assert!(from.starts_with("ciba.notify.mail.from: "), "{from}");
    }
}
