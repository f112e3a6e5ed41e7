//! The mail itself.

use super::*;
use crate::ciba::notify::tests::notice;

fn written(notice: &Notice) -> Result<String, NotifyError> {
    let from = "Ciba <ciba@example.com>".parse().unwrap();
    let mail = message(&from, notice.email.as_deref().unwrap(), notice)?;
    Ok(String::from_utf8(mail.formatted()).unwrap())
}

fn head(mail: &str) -> Vec<&str> {
    mail.split("\r\n\r\n").next().unwrap().split("\r\n").collect()
}

#[test]
fn c_210_a_mail_says_who_asks_for_what_and_until_when() {
    let notice = notice();
    let words = Words {
        client_name: &notice.question.client_name,
        binding_message: notice.question.binding_message.as_deref(),
        scope: "openid deploy",
        resources: "https://api.example.com/",
        has_details: true,
        until: "08:00:00 UTC",
        approval_url: notice.approval_url.as_str(),
    };
    let text = Text(words).render().unwrap();
    assert_eq!(
        text,
        "Build <bot> & Söhne asks for your approval.\n\n\
         It says:\n\n    Deploy 1.4 to \"prod\" 🚀\n\n\
         It asks for: openid deploy\nAt: https://api.example.com/\nThe page shows exactly what you would approve.\n\n\
         Look at the request, and approve or deny it, until 08:00:00 UTC:\n\n\
         https://ciba.example.com/ciba/approve?auth_req_id=id-1\n\n\
         If you did not expect this, deny it, or do nothing. This link is for you alone: do not forward it."
    );
    let html = Html(words).render().unwrap();
    assert!(
        html.contains("<bdi>Build &#60;bot&#62; &#38; Söhne</bdi>"),
        "{html}"
    );
    assert!(html.contains("href=\"https://ciba.example.com/ciba/approve?auth_req_id=id-1\""));
}

#[test]
fn c_210_a_mail_without_message_and_details_has_no_gaps() {
    let words = Words {
        client_name: "Bot",
        binding_message: None,
        scope: "openid",
        resources: "",
        has_details: false,
        until: "08:00:00 UTC",
        approval_url: "https://ciba.example.com/x",
    };
    let text = Text(words).render().unwrap();
    assert!(
        text.starts_with("Bot asks for your approval.\n\nIt asks for: openid\n\nLook at"),
        "{text}"
    );
}

#[test]
fn c_210_a_mail_has_the_headers_of_an_automatic_one() {
    let mail = written(&notice()).unwrap();
    let head = head(&mail);
    for line in [
        "From: Ciba <ciba@example.com>",
        "To: ada@example.com",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(head.contains(&line), "{line}: {head:?}");
    }
    let starts = |name: &str| head.iter().any(|line| line.starts_with(name));
    assert!(
        starts("Date: ") && starts("Message-ID: <") && starts("Subject: "),
        "{head:?}"
    );
    assert!(starts("Content-Type: multipart/alternative;"), "{head:?}");
}

#[test]
fn c_210_no_name_or_address_writes_a_header_of_its_own() {
    for attack in [
        "Bot\r\nBcc: mallory@example.com",
        "Bot\nBcc: mallory@example.com",
        "Bot\rBcc: mallory@example.com",
        "Bot\r\n\r\nBcc: mallory@example.com",
        "Bot\u{0}\u{85}Bcc: mallory@example.com",
    ] {
        let mut notice = notice();
        notice.question.client_name = attack.into();
        notice.question.binding_message = Some(attack.into());
        let mail = written(&notice).unwrap();
        let head = head(&mail);
        assert!(
            !head
                .iter()
                .any(|line| line.to_ascii_lowercase().starts_with("bcc")),
            "{head:?}"
        );
        let is_whole = head
            .iter()
            .any(|line| line.starts_with("Content-Type: multipart"));
        assert!(is_whole, "the head ends where it should: {head:?}");
    }
    let mut quoted = notice();
    quoted.question.client_name = "Bot".into();
    let mail = written(&quoted).unwrap();
    let subject = "Subject: \"Bot\" asks for your approval";
    assert!(
        head(&mail).contains(&subject),
        "its name is no sentence of ours: {mail}"
    );
    for address in [
        "ada@example.com\r\nBcc: mallory@example.com",
        "ada@example.com, mallory@example.com",
        "ada@example.com>\r\nRCPT TO:<mallory@example.com",
        "\"ada\r\nBcc: x\"@example.com",
        "ada",
        "",
        "Ada <ada@example.com>",
    ] {
        let mut notice = notice();
        notice.email = Some(address.into());
        assert!(matches!(written(&notice), Err(NotifyError::Mail)), "{address:?}");
    }
}
