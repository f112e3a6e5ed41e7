//! A whole configuration: its defaults, what overrides what, and what is refused in which words.

use super::*;

const GOOD: &str =
    "listen = \"127.0.0.1:0\"\n[login]\nissuer = \"https://idp.example.com\"\nclient_id = \"ciba\"\n";

fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::parse(text, "test.toml", Path::new("/nowhere"), environment).map_err(|error| error.to_string())
}

fn refused(text: &str) -> String {
    parse(text, &[]).err().expect("refused")
}

#[test]
fn the_shortest_configuration_has_defaults_for_the_rest() {
    let config = parse(GOOD, &[]).unwrap();
    assert_eq!(config.store, "sqlite:ciba.db");
    assert_eq!(config.login.scopes, ["openid", "profile", "offline_access"]);
    assert_eq!(config.login.confirm, Confirm::Code);
    assert_eq!(config.limits.login_expires_in, 600);
    assert_eq!(
        config.public_url("127.0.0.1:80".parse().unwrap()).as_str(),
        "http://127.0.0.1/"
    );
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    let error = refused(&GOOD.replace("client_id", "clientid"));
    assert!(error.contains("did you mean `client_id`?"), "{error}");
    assert!(error.contains("test.toml") && error.contains("line 4"), "{error}");
    assert!(refused(&format!("lisen = \"x\"\n{GOOD}")).contains("did you mean `listen`?"));
}

#[test]
fn d_041_a_rule_with_a_wrong_key_or_kind_is_told_the_right_one() {
    let rule = |text: &str| format!("{GOOD}[[resource]]\nmatch = \"urn:x:*\"\n{text}\n");
    let error = refused(&rule("kind = \"exchange\"\naudiance = \"x\""));
    assert!(error.contains("did you mean `audience`?"), "{error}");
    let error = refused(&rule("kind = \"exchanged\""));
    assert!(
        error.contains("unknown value `exchanged`; did you mean `exchange`?"),
        "{error}"
    );
    let error = refused(&rule("kind = \"exchange\""));
    assert!(error.starts_with("resource: match = \"urn:x:*\": "), "{error}");
    let config = parse(&rule("kind = \"session\""), &[]).unwrap();
    assert_eq!(config.resources.len(), 1);
    assert_eq!(parse(GOOD, &[]).unwrap().resources, resource::defaults());
}

#[test]
fn the_environment_wins_and_is_named_when_it_is_wrong() {
    let config = parse(
        GOOD,
        &[
            ("CIBA_SERVER__LOGIN__CLIENT_ID", "other"),
            ("CIBA_SERVER__STORE__URL", "memory:"),
        ],
    )
    .unwrap();
    assert_eq!(
        (config.login.client_id.as_str(), config.store.as_str()),
        ("other", "memory:")
    );
    let error = parse(GOOD, &[("CIBA_SERVER__LOGIN__CLINT_ID", "x")])
        .err()
        .unwrap();
    assert!(
        error.contains("CIBA_SERVER__") && error.contains("client_id"),
        "{error}"
    );
    assert_eq!(
        parse(GOOD, &[("CIBA_SERVER__LIMITS__LOGINS_PER_MINUTE", "7")])
            .unwrap()
            .limits
            .logins_per_minute
            .get(),
        7
    );
}

#[test]
fn what_would_be_unsafe_is_refused() {
    let with = |line: &str| refused(&format!("{line}\n{GOOD}"));
    assert!(with("public_url = \"http://ciba.example.com\"").starts_with("public_url: "));
    assert!(with("public_url = \"https://ciba.example.com/?x=1\"").contains("query"));
    assert!(refused(&GOOD.replace("127.0.0.1:0", "0.0.0.0:80")).contains("public_url"));
    assert!(refused(&GOOD.replace("https://idp", "http://idp")).contains("login.issuer"));
    assert!(parse(&format!("public_url = \"http://127.0.0.1:1\"\n{GOOD}"), &[]).is_ok());
}

#[test]
fn a_secret_comes_from_a_file_or_the_environment_and_is_never_quoted() {
    let missing = refused(&format!("{GOOD}client_secret_file = \"none\"\n"));
    assert!(missing.starts_with("login.client_secret_file: "), "{missing}");
    let credential = format!("{GOOD}client_secret_file = \"${{CREDENTIALS_DIRECTORY}}/secret\"\n");
    assert!(refused(&credential).contains("CREDENTIALS_DIRECTORY is not set"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "hunter3\n").unwrap();
    let given = ("CREDENTIALS_DIRECTORY", folder.path().to_str().unwrap());
    let config = parse(&credential, &[given]).unwrap();
    assert_eq!(config.login.client_secret.unwrap().as_str(), "hunter3");
    let config = parse(GOOD, &[("CIBA_SERVER__LOGIN__CLIENT_SECRET", "hunter2")]).unwrap();
    assert_eq!(config.login.client_secret.unwrap().as_str(), "hunter2");
    let twice = parse(
        &credential,
        &[given, ("CIBA_SERVER__LOGIN__CLIENT_SECRET", "hunter2")],
    );
    let twice = twice.err().unwrap();
    assert_eq!(
        twice,
        "login.client_secret: is given here and as login.client_secret_file: take one away"
    );
    let wrong = refused(&format!("{GOOD}client_secret = 12345678\n"));
    assert!(!wrong.contains("12345678"), "{wrong}");
}

#[test]
fn no_value_is_in_an_error_whatever_it_was_meant_for() {
    const SECRET: &str = "hunter2, expected `x`";
    let rule = "[[resource]]\nmatch = \"urn:x:*\"\n";
    for (key, line) in [
        (
            "limits.logins_per_minute",
            format!("[limits]\nlogins_per_minute = \"{SECRET}\""),
        ),
        (
            "limits.login_expires_in",
            format!("[limits]\nlogin_expires_in = [\"{SECRET}\"]"),
        ),
        (
            "limits.login_expires_in",
            "[limits]\nlogin_expires_in = -4711".into(),
        ),
        (
            "limits.logins_per_minute",
            "[limits]\nlogins_per_minute = 4711.5".into(),
        ),
        ("login.confirm", format!("confirm = \"{SECRET}\"")),
        ("login.scopes", format!("scopes = \"{SECRET}\"")),
        ("login.client_secret", "client_secret = 4711".into()),
        ("login.resource", "resource = 4711".into()),
        ("store", "[[store]]\nurl = 4711".into()),
        ("store.url", "[store]\nurl = 4711".into()),
        ("resource.kind", format!("{rule}kind = \"{SECRET}\"")),
        (
            "resource.scope",
            format!("{rule}kind = \"session\"\nscope = 4711"),
        ),
    ] {
        let error = refused(&format!("{GOOD}{line}\n"));
        assert!(!error.contains("hunter2") && !error.contains("4711"), "{error}");
        assert!(error.contains(&format!(": {key}: ")), "{error}");
        assert!(error.starts_with("test.toml: line "), "{error}");
    }
    for line in [
        "listen = \"hunter2\"",
        "behind_tls_proxy = \"hunter2\"",
        "store = \"hunter2\"",
        "x = hunter2",
    ] {
        let error = refused(&format!(
            "{line}\n[login]\nissuer = \"https://x\"\nclient_id = \"x\"\n"
        ));
        assert!(!error.contains("hunter2"), "{error}");
    }
    let error = parse(GOOD, &[("CIBA_SERVER__LIMITS__LOGINS_PER_MINUTE", "hunter2")]);
    let error = error.err().unwrap();
    assert!(
        error.contains("limits.logins_per_minute: expected") && !error.contains("hunter2"),
        "{error}"
    );
    let error = parse(GOOD, &[("CIBA_SERVER__LISTEN__PORT", "hunter2")])
        .err()
        .unwrap();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_misspelt_key_is_repeated_whatever_it_holds() {
    for (name, shown) in [
        ("client`_id", "client`_id"),
        ("`, expected `client_id", "`, expected `client_id"),
        ("client_id\\u001b[31m", "client_id\\u{1b}[31m"),
    ] {
        let error = refused(&GOOD.replace("client_id", &format!("\"{name}\"")));
        let wanted = format!("login: unknown key `{shown}`; did you mean `client_");
        assert!(error.contains(&wanted), "{error}");
    }
}

#[test]
fn d_005_a_login_may_take_seconds_to_an_hour() {
    let with = |seconds: u64| parse(&format!("{GOOD}[limits]\nlogin_expires_in = {seconds}\n"), &[]);
    for seconds in [5, 3600] {
        assert_eq!(with(seconds).unwrap().limits.login_expires_in, seconds);
    }
    for seconds in [0, 4, 3601] {
        let error = with(seconds).err().unwrap();
        assert_eq!(error, "limits.login_expires_in: must be 5 to 3600 seconds");
    }
}

#[test]
fn a_client_has_an_id_of_its_own_and_keeps_its_metadata_as_it_is_written() {
    let client = |text: &str| format!("{GOOD}[[client]]\nclient_id = \"reports\"\n{text}\n");
    let config = parse(
        &client("client_secret = \"hunter2-of-a-client\"\ngrant_types = [\"a\"]\n[client.terms]\nrefresh_tokens = true"),
        &[],
    )
    .unwrap();
    let [read] = &config.clients[..] else {
        panic!("one client")
    };
    assert_eq!(read.id, "reports");
    assert_eq!(
        read.secret.as_deref().map(String::as_str),
        Some("hunter2-of-a-client")
    );
    assert_eq!(read.metadata["grant_types"], serde_json::json!(["a"]));
    assert!(read.terms.refresh_tokens && !read.terms.poll_after_push && read.metadata.len() == 1);
    let twice = client("[[client]]\nclient_id = \"reports\"");
    assert_eq!(refused(&twice), "client.client_id: two clients have the same one");
    assert!(
        refused(&client("[client.terms]\nrefresh_token = true")).contains("did you mean `refresh_tokens`?")
    );
    let error = refused(&client(
        "client_secret = \"hunter2-of-a-client\"\nclient_secret_file = \"x\"",
    ));
    assert!(
        error.starts_with("client.client_secret: ") && !error.contains("hunter2-of-a-client"),
        "{error}"
    );
    for id in ["", "two words", "tab\\t", "é", &"x".repeat(201)] {
        let error = refused(&format!("{GOOD}[[client]]\nclient_id = \"{id}\""));
        assert!(error.starts_with("client.client_id: must have"), "{error}");
    }
}

#[test]
fn c_181_a_name_of_a_configured_user_leads_to_one_person() {
    let users = |one: &str, other: &str| {
        format!("{GOOD}[[user]]\nsub = \"1\"\n{one}\n[[user]]\nsub = \"2\"\n{other}\n")
    };
    let config = parse(
        &users("email = \"a@example.com\"", "email = \"b@example.com\""),
        &[],
    )
    .unwrap();
    assert_eq!((config.users.len(), config.users[1].sub.as_str()), (2, "2"));
    for (one, other, key) in [
        (
            "email = \"a@example.com\"",
            "email = \"A@Example.com\"",
            "user.email",
        ),
        ("username = \"a\"", "username = \"a\"", "user.username"),
        ("phone = \"+1\"", "phone = \"+1\"", "user.phone"),
        ("email = \" \"", "", "user.email"),
    ] {
        assert!(
            refused(&users(one, other)).starts_with(&format!("{key}: ")),
            "{key}"
        );
    }
    let same = format!("{GOOD}[[user]]\nsub = \"1\"\n[[user]]\nsub = \"1\"");
    assert!(refused(&same).starts_with("user.sub: two users"));
    assert!(refused(&format!("{GOOD}[[user]]\nsub = \"1\"\nmail = \"x\"")).contains("did you mean `email`?"));
}

#[test]
fn c_002_the_public_url_is_an_origin_alone() {
    let with = |url: &str| refused(&format!("public_url = \"{url}\"\n{GOOD}"));
    for url in [
        "http://ciba.example.com",
        "https://ciba.example.com/path",
        "https://ciba.example.com/?x",
        "https://ciba.example.com/#x",
        "https://user@ciba.example.com",
        "ciba.example.com",
    ] {
        assert!(with(url).starts_with("public_url: "), "{url}");
    }
}

#[test]
fn c_013_a_listener_with_tls_may_be_open_and_is_reached_by_https() {
    let pair = "[tls]\ncertificate = \"cert.pem\"\nkey = \"${CREDENTIALS_DIRECTORY}/key.pem\"\n";
    let open = GOOD.replace("127.0.0.1:0", "0.0.0.0:443");
    let url = "public_url = \"https://ciba.example\"\n";
    let credentials = [("CREDENTIALS_DIRECTORY", "/run/credentials")];
    let config = parse(&format!("{url}{open}{pair}"), &credentials).unwrap();
    let own = config.tls.pair.unwrap();
    assert_eq!(own.certificate, Path::new("/nowhere/cert.pem"));
    assert_eq!(own.key, Path::new("/run/credentials/key.pem"));
    let plain = url.replace("https://ciba.example", "http://localhost");
    assert!(
        refused(&format!(
            "{plain}{open}{}",
            pair.replace("${CREDENTIALS_DIRECTORY}/", "")
        ))
        .starts_with("public_url: must begin with https")
    );
    let local = parse(&format!("{GOOD}{pair}"), &credentials).unwrap();
    assert_eq!(
        local.public_url("127.0.0.1:8443".parse().unwrap()).as_str(),
        "https://127.0.0.1:8443/"
    );
}

#[test]
fn c_080_certificates_of_clients_come_from_one_place() {
    let pair = "certificate = \"cert.pem\"\nkey = \"key.pem\"\n";
    let read = |tls: &str| parse(&format!("{GOOD}[tls]\n{tls}"), &[]).map(|config| config.tls);
    let behind = |tls: &str| {
        parse(&format!("behind_tls_proxy = true\n{GOOD}[tls]\n{tls}"), &[]).map(|config| config.tls)
    };
    let own = format!("{pair}[tls.client]\nlisten = \"127.0.0.1:0\"\n");
    assert!(!read(&own).unwrap().is_said_by_proxy());
    let said = "client_cert_header = true\n[tls.client]\npublic_url = \"https://mtls.ciba.example\"\n";
    assert!(behind(said).unwrap().is_said_by_proxy());
    assert!(read(pair).unwrap().clients.is_none());
    for (tls, error) in [
        ("certificate = \"cert.pem\"\n", "tls.key: is needed"),
        ("key = \"key.pem\"\n", "tls.certificate: is needed"),
        (said, "tls.client_cert_header: is for"),
        ("client_ca = \"ca.pem\"\n", "tls.client_ca: is of no use"),
        (
            "[tls.client]\nlisten = \"127.0.0.1:0\"\n",
            "tls.certificate: is needed for [tls.client]",
        ),
        (&format!("{pair}[tls.client]\n"), "tls.client.listen: is needed"),
        (
            &own.replace("127.0.0.1", "0.0.0.0"),
            "tls.client.public_url: is needed",
        ),
        (
            &format!("{own}public_url = \"http://localhost\"\n"),
            "tls.client.public_url: must begin with https",
        ),
        (
            &format!("{own}public_url = \"https://a.example/b\"\n"),
            "tls.client.public_url: must have no",
        ),
    ] {
        let told = read(tls).unwrap_err();
        assert!(told.starts_with(error), "{told}");
    }
    let both = format!("client_cert_header = true\n{own}");
    assert!(
        behind(&both)
            .unwrap_err()
            .starts_with("tls.client.listen: excludes")
    );
}

#[test]
fn c_013_plain_http_is_served_on_loopback_or_behind_a_tls_proxy() {
    let open = GOOD.replace("127.0.0.1:0", "0.0.0.0:80");
    let open = format!("public_url = \"https://ciba.example.com\"\n{open}");
    assert!(refused(&open).starts_with("behind_tls_proxy: must be true"));
    assert!(parse(&format!("behind_tls_proxy = true\n{open}"), &[]).is_ok());
}

#[test]
fn c_305_a_claims_command_names_a_program() {
    let with = |command: &str| format!("{GOOD}[oauth]\nclaims_command = {command}");
    assert!(refused(&with("[]")).starts_with("oauth.claims_command: must name a program"));
    let config = parse(&with("[\"claims\", \"--all\"]"), &[]).unwrap();
    assert_eq!(config.oauth.claims_command.unwrap(), ["claims", "--all"]);
}

#[test]
fn c_235_the_hook_that_decides_for_everybody_is_reached_from_this_machine_alone() {
    let hook = |secret: &str| format!("[ciba]\nenabled = true\ntest_hook_secret = \"{secret}\"\n");
    let long = hook(&"x".repeat(32));
    let here = format!("public_url = \"http://localhost:8787\"\n{GOOD}");
    assert!(parse(&format!("{here}{long}"), &[]).is_ok());
    let published = format!("public_url = \"https://ciba.example.com\"\n{GOOD}");
    let proxied = format!("behind_tls_proxy = true\n{GOOD}");
    let listening = format!("behind_tls_proxy = true\n{published}").replace("127.0.0.1:0", "0.0.0.0:80");
    for reached in [published, proxied, listening] {
        assert!(parse(&reached, &[]).is_ok());
        let told = refused(&format!("{reached}{long}"));
        assert!(told.starts_with("ciba.test_hook_secret: is for tests"), "{told}");
    }
    let told = refused(&format!("{GOOD}{}", hook(&"x".repeat(31))));
    assert_eq!(told, "ciba.test_hook_secret: must have at least 32 bytes");
}

#[test]
fn c_210_the_approval_page_takes_no_path_of_the_servers_own() {
    let page = |path: &str| format!("{GOOD}[ciba]\nenabled = true\napproval_page = \"{path}\"\n");
    for free in ["/ciba/approve", "/ciba/verify/it", "/logins", "/jwks/", "/auth"] {
        assert!(parse(&page(free), &[]).is_ok(), "{free}");
    }
    let routes = routes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(routes.len() >= 20, "{routes:?}");
    for route in routes {
        assert_eq!(
            refused(&page(&route.replace(['{', '}'], ""))),
            "ciba.approval_page: is a path of the server itself; choose another",
            "{route}"
        );
    }
}

/// Returns the paths of the server's routes. Its source is read as text: a path is a text that begins with a slash and a
/// name. The built-in provider has a folder of its own.
fn routes(folder: &Path) -> Vec<String> {
    let mut routes = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if !["config", "command", "dev"].contains(&&*name) {
                routes.extend(self::routes(&entry.path()));
            }
        } else if !name.ends_with("tests.rs") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let texts = code.split('"').skip(1).step_by(2);
            let is_path = |text: &&str| {
                let in_path = |c: char| c.is_ascii_alphanumeric() || "./_-{}".contains(c);
                text.starts_with('/') && text.chars().all(in_path) && text.contains(char::is_alphabetic)
            };
            routes.extend(texts.filter(is_path).map(str::to_owned));
        }
    }
    routes
}

#[test]
fn c_074_a_secret_that_is_empty_or_short_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let client = |secret: &str| refused(&format!("{GOOD}[[client]]\nclient_id = \"reports\"\n{secret}\n"));
    assert_eq!(client("client_secret = \"\""), "client.client_secret: is empty");
    assert_eq!(client("client_secret = \" \""), "client.client_secret: is empty");
    assert_eq!(
        client(&format!("client_secret_file = '{}'", file.path().display())),
        "client.client_secret_file: is empty"
    );
    let short = "x".repeat(15);
    assert_eq!(
        client(&format!("client_secret = \"{short}\"")),
        "client.client_secret: must have at least 16 bytes"
    );
    assert_eq!(
        refused(&format!("{GOOD}client_secret = \"\"")),
        "login.client_secret: is empty"
    );
    assert_eq!(
        refused(&format!("{GOOD}[oauth]\nregistration_token = \"\"")),
        "oauth.registration_token: is empty"
    );
}
