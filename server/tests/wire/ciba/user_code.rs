//! The code that proves that the client speaks with the person (C-200, C-201).

use argon2::{Argon2, PasswordHasher as _};

use crate::kit::ciba::{NO_LIMITS, Provider, Table, client, site};

const CODE: &str = "the-code-of-carol";

/// Returns TOML of a person with a code.
pub(crate) fn person(name: &str, code: &str) -> String {
    let hash = Argon2::default().hash_password(code.as_bytes()).unwrap();
    format!("[[user]]\nsub = \"{name}-3\"\nemail = \"{name}@example.com\"\nuser_code = \"{hash}\"\n")
}

async fn provider(settings: &str) -> Provider {
    let asks = client("asks", "backchannel_user_code_parameter = true");
    let settings = format!("{settings}\n{NO_LIMITS}");
    let people = person("carol", CODE);
    let site = site(&settings).and(if settings.contains("user_codes") {
        asks
    } else {
        String::new()
    });
    Provider::start(site.and(people)).await
}

#[tokio::test]
async fn c_107_c_200_a_code_is_needed_of_clients_that_ask_for_it_and_people_who_have_one() {
    let provider = provider("user_codes = true").await;
    let mut table = Table::default();
    for (client, person, code, expected) in [
        ("asks", "carol@example.com", "", (400, "missing_user_code")),
        ("asks", "carol@example.com", "wrong", (400, "invalid_user_code")),
        ("asks", "carol@example.com", CODE, (200, "")),
        ("asks", "alice@example.com", "", (200, "")),
        ("asks", "alice@example.com", "anything", (200, "")),
        ("agent", "carol@example.com", "", (200, "")),
        ("agent", "carol@example.com", "wrong", (200, "")),
    ] {
        let with = [("login_hint", person), ("user_code", code)];
        let answer = provider.ask_as(client, &with).await;
        table.row(&format!("{client}, {person}, {code}"), &answer, expected);
    }
    table.end();
}

#[tokio::test]
async fn c_200_without_user_codes_the_parameter_is_ignored_and_discovery_says_so() {
    let provider = provider("").await;
    let with = [("login_hint", "carol@example.com"), ("user_code", "wrong")];
    assert_eq!(provider.ask(&with).await.status, 200);
    let url = provider.url("/.well-known/openid-configuration");
    let metadata = crate::kit::ciba::Answer::of(crate::kit::browser::http().get(url)).await;
    assert_eq!(metadata.body["backchannel_user_code_parameter_supported"], false);
}

#[tokio::test]
async fn c_201_after_five_wrong_codes_not_even_the_right_one_is_looked_at() {
    let provider = provider("user_codes = true").await;
    let with = |code| [("login_hint", "carol@example.com"), ("user_code", code)];
    for _ in 0..3 {
        assert_eq!(
            provider.ask_as("asks", &with(CODE)).await.status,
            200,
            "a right one does not count"
        );
    }
    for _ in 0..5 {
        assert_eq!(
            provider.ask_as("asks", &with("wrong-code")).await.refusal(),
            (400, "invalid_user_code")
        );
    }
    let mut table = Table::default();
    for code in ["wrong-code", CODE] {
        table.row(
            code,
            &provider.ask_as("asks", &with(code)).await,
            (403, "access_denied"),
        );
    }
    table.end();
    assert_eq!(provider.ask_as("asks", &[]).await.status, 200, "another person");
    let log = provider.server.stop().await;
    assert!(!log.contains(CODE) && !log.contains("wrong-code"), "{log}");
}

/// Guesses that come at the same time are not one guess.
#[tokio::test]
async fn c_201_guesses_at_the_same_time_are_limited_too() {
    let provider = provider("user_codes = true").await;
    let with = [("login_hint", "carol@example.com"), ("user_code", "wrong-code")];
    let guesses = (0..20).map(|_| provider.ask_as("asks", &with));
    let answers = futures_util::future::join_all(guesses).await;
    let looked = answers
        .iter()
        .filter(|answer| answer.refusal() == (400, "invalid_user_code"));
    assert_eq!(looked.count(), 5);
    let refused = answers
        .iter()
        .filter(|answer| answer.refusal() == (403, "access_denied"));
    assert_eq!(refused.count(), 15);
}

/// Otherwise a client could look for people, or try codes, as fast as it likes.
#[tokio::test]
async fn c_405_guesses_at_people_and_codes_count_as_requests() {
    let site = site("user_codes = true\n[ciba.limits]\nrequests_per_minute = 3");
    let asks = client("asks", "backchannel_user_code_parameter = true");
    let provider = Provider::start(site.and(asks).and(person("carol", CODE))).await;
    let guesses = [
        (("login_hint", "nobody@example.com"), (400, "unknown_user_id")),
        (("login_hint_token", "x"), (400, "invalid_request")),
        (("login_hint", "carol@example.com"), (400, "invalid_user_code")),
        (
            ("login_hint", "alice@example.com"),
            (429, "temporarily_unavailable"),
        ),
    ];
    let mut table = Table::default();
    for (hint, expected) in guesses {
        let form = [("scope", "openid"), hint, ("user_code", "wrong-code")];
        let answer = provider.form_as("asks", "/oauth2/bc-authorize", &form).await;
        table.row(hint.1, &answer, expected);
    }
    table.end();
}

/// Where clients are not to know who is known here, a code does not tell them either.
#[tokio::test]
async fn c_190_a_code_that_is_missing_or_wrong_says_nothing_of_the_person() {
    let provider = provider("user_codes = true\nhide_unknown_users = true").await;
    let mut table = Table::default();
    for person in ["carol@example.com", "alice@example.com", "nobody@example.com"] {
        let missing = provider.ask_as("asks", &[("login_hint", person)]).await;
        table.row(person, &missing, (400, "missing_user_code"));
        let with = [("login_hint", person), ("user_code", "wrong-code")];
        for _ in 0..5 {
            let wrong = provider.ask_as("asks", &with).await;
            table.row(person, &wrong, (400, "invalid_user_code"));
        }
        table.row(
            person,
            &provider.ask_as("asks", &with).await,
            (403, "access_denied"),
        );
    }
    table.end();
}
