//! A real mail server, aiosmtpd, takes the mail over each kind of connection. `tests/setup.sh` installs it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use ciba_tests::{PATIENCE, Process};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::ciba::notify::tests::{Bench, notice};
use crate::config::{Mail, MailSecurity, Notify};

const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tools");

/// A mail server with a certificate for `localhost`.
struct Sink {
    process: Process,
    port: u16,
    /// The certificate's authority as PEM.
    authority: String,
    _folder: tempfile::TempDir,
}

impl Sink {
    /// `user` has the password `password`.
    async fn start(security: &str, user: Option<&str>) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let files = ["certificate.pem", "key.pem"].map(|name| folder.path().join(name));
        std::fs::write(&files[0], certificate.pem()).unwrap();
        std::fs::write(&files[1], key.serialize_pem()).unwrap();
        let mut command = tokio::process::Command::new(format!("{TOOLS}/python/bin/python"));
        command
            .arg(format!("{TOOLS}/smtp_sink.py"))
            .arg(security)
            .args(&files);
        if let Some(user) = user {
            command.args([user, "password"]);
        }
        let mut process = Process::spawn(command).unwrap();
        let listening = process.wait_json("its port", PATIENCE, |line| line["event"] == "listening");
        let port = listening.await.unwrap()["port"].as_u64().unwrap();
        Self {
            process,
            port: port.try_into().unwrap(),
            authority: authority.pem(),
            _folder: folder,
        }
    }

    fn settings(&self, security: MailSecurity, user: Option<&str>) -> Notify {
        let login = user.map(|user| (user.to_owned(), Zeroizing::new("password".to_owned())));
        Notify {
            mail: Some(Mail {
                host: "localhost".into(),
                port: self.port,
                security,
                login,
                from: "Ciba <ciba@example.com>".parse().unwrap(),
            }),
            ..Notify::default()
        }
    }

    async fn mail(&mut self) -> Value {
        let mail = self
            .process
            .wait_json("a mail", PATIENCE, |line| line["event"] == "mail");
        mail.await.unwrap()
    }

    fn has_mail(&self) -> bool {
        self.process.stdout().contains("\"event\": \"mail\"")
    }
}

#[tokio::test]
async fn c_210_a_mail_server_takes_the_mail_in_plain_and_over_tls_with_a_login() {
    for (name, security, user) in [
        ("none", MailSecurity::None, None),
        ("starttls", MailSecurity::StartTls, Some("ciba")),
        ("tls", MailSecurity::Tls, Some("ciba")),
    ] {
        let mut sink = Sink::start(name, user).await;
        let bench = Bench::new(&sink.settings(security, user), &sink.authority);
        assert_eq!(bench.told(notice()).await, 0, "{name}");
        let mail = sink.mail().await;
        assert_eq!(
            (&mail["tls"], &mail["user"]),
            (&(name != "none").into(), &user.into())
        );
        assert_eq!(mail["from"], "ciba@example.com");
        assert_eq!(mail["to"], serde_json::json!(["ada@example.com"]));
        let content = mail["content"].as_str().unwrap();
        assert!(content.contains("Auto-Submitted: auto-generated"), "{content}");
        // A name may not be ASCII; Subject and body are then encoded.
        assert!(content.contains("multipart/alternative") && content.contains("text/html"));
    }
}

#[tokio::test]
async fn c_210_a_person_without_a_verified_address_gets_no_mail() {
    let sink = Sink::start("none", None).await;
    let bench = Bench::new(&sink.settings(MailSecurity::None, None), "");
    let mut unverified = notice();
    unverified.email = None;
    assert_eq!(bench.told(unverified).await, 0);
    assert!(!sink.has_mail());
}

#[tokio::test]
async fn c_210_no_mail_goes_to_a_server_that_is_not_the_right_one() {
    // Its certificate is of an authority that is not trusted.
    for (name, security) in [("tls", MailSecurity::Tls), ("starttls", MailSecurity::StartTls)] {
        let sink = Sink::start(name, None).await;
        let bench = Bench::new(&sink.settings(security, None), "");
        assert_eq!(bench.told(notice()).await, 1, "{name}");
        assert!(!sink.has_mail());
    }
    // It does not offer STARTTLS: neither mail nor password is sent in plain.
    let sink = Sink::start("none", None).await;
    let bench = Bench::new(&sink.settings(MailSecurity::StartTls, Some("ciba")), "");
    assert_eq!(bench.told(notice()).await, 1);
    assert!(!sink.has_mail());
    // The password is wrong.
    let sink = Sink::start("starttls", Some("other")).await;
    let bench = Bench::new(
        &sink.settings(MailSecurity::StartTls, Some("ciba")),
        &sink.authority,
    );
    assert_eq!(bench.told(notice()).await, 1);
    assert!(!sink.has_mail());
}
