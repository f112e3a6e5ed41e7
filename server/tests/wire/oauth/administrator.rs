//! `ciba-server client` and `ciba-server user`, beside a server that runs (C-054, C-201).

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::site;
use crate::kit::browser::http;
use crate::kit::in_time;
use crate::kit::server::Server;
use crate::kit::site::Site;

/// A configured person and a configured client.
const NAMED: &str = r#"
[[user]]
sub = "a-1"
email = "alice@example.com"
name = "Alice"

[[client]]
client_id = "reports"
client_secret = "the-secret-of-reports"
client_name = "Reports"
grant_types = ["client_credentials"]
"#;

/// Runs a command to its end, with `input` on its standard input.
async fn run(site: &Site, name: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = site.command(name);
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that fails early reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    in_time(child.wait_with_output()).await.unwrap()
}

async fn done(site: &Site, name: &str, arguments: &[&str]) -> String {
    let output = run(site, name, arguments, "").await;
    assert!(output.status.success(), "{name}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(site: &Site, name: &str, arguments: &[&str]) -> String {
    let output = run(site, name, arguments, "").await;
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{name}: {}",
        said(&output)
    );
    said(&output)
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

async fn listed(site: &Site, name: &str) -> Vec<Value> {
    let text = done(site, name, &["--json"]).await;
    serde_json::from_str(&text).unwrap()
}

/// Asks for a backchannel authentication; returns the error.
async fn asked(server: &Server, id: &str, secret: &str) -> Value {
    let request = http().post(format!("{}/oauth2/token", server.url));
    let form = [
        ("grant_type", "urn:openid:params:grant-type:ciba"),
        ("auth_req_id", "x"),
    ];
    let response = request
        .basic_auth(id, Some(secret))
        .form(&form)
        .send()
        .await
        .unwrap();
    response.json::<Value>().await.unwrap()["error"].take()
}

#[tokio::test]
async fn c_054_a_client_that_is_added_works_at_once_and_fails_at_once_when_it_is_disabled() {
    let mut site = site().and(NAMED);
    let server = site.start().await;
    let name = "Zoë’s agent";
    let added = done(&site, "client add", &["--name", name, "--mode", "poll", "--json"]).await;
    let added: Value = serde_json::from_str(&added).unwrap();
    let [id, secret] = ["client_id", "client_secret"].map(|member| added[member].as_str().unwrap());
    assert_eq!(added["grant_types"], json!(["urn:openid:params:grant-type:ciba"]));
    assert_eq!(asked(&server, id, "another").await, "invalid_client");
    assert_eq!(asked(&server, id, secret).await, "invalid_grant");
    let table = done(&site, "client list", &[]).await;
    assert!(
        table.lines().count() == 3 && table.contains(name) && table.contains("Reports"),
        "{table}"
    );
    done(&site, "client disable", &[id]).await;
    assert_eq!(asked(&server, id, secret).await, "invalid_client");
    let client = |clients: Vec<Value>| clients.into_iter().find(|client| client["client_id"] == id);
    let client_now = client(listed(&site, "client list").await).unwrap();
    assert_eq!(
        (&client_now["disabled"], &client_now["from"]),
        (&json!(true), &json!("store"))
    );
    assert!(client_now.get("secret").is_none() && client_now.get("client_secret").is_none());
    done(&site, "client enable", &[id]).await;
    assert_eq!(asked(&server, id, secret).await, "invalid_grant");
    done(&site, "client remove", &[id]).await;
    assert_eq!(asked(&server, id, secret).await, "invalid_client");
    assert!(client(listed(&site, "client list").await).is_none());
    assert!(
        refused(&site, "client disable", &[id])
            .await
            .contains("no such client")
    );
    server.stop().await;
}

#[tokio::test]
async fn c_074_the_secret_is_printed_once_and_only_its_hash_is_kept() {
    let mut site = site();
    let server = site.start().await;
    let output = run(
        &site,
        "client add",
        &["--name", "Agent", "--mode", "poll", "--id", "agent"],
        "",
    )
    .await;
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let secret = printed
        .lines()
        .find_map(|line| line.strip_prefix("client_secret  "))
        .unwrap();
    assert!(
        printed.starts_with("client_id      agent\n") && secret.len() == 43,
        "{printed}"
    );
    assert!(said(&output).contains("shown only now") && !said(&output).contains(secret));
    assert_eq!(asked(&server, "agent", secret).await, "invalid_grant");
    let again = refused(&site, "client add", &["--mode", "poll", "--id", "agent"]).await;
    assert!(again.contains("a client of this id"), "{again}");
    server.stop().await;
    for (file, bytes) in site.dump() {
        let holds = bytes
            .windows(secret.len())
            .any(|window| window == secret.as_bytes());
        assert!(!holds, "the secret is in {file}");
    }
}

#[tokio::test]
async fn c_042_a_client_of_an_administrator_keeps_to_the_rules_and_may_have_terms() {
    let mut site = site().and(NAMED);
    let server = site.start().await;
    let file = site.config().with_file_name("client.json");
    let add = async |metadata: Value, arguments: &[&str]| {
        std::fs::write(&file, metadata.to_string()).unwrap();
        let file = ["--metadata", file.to_str().unwrap(), "--json"];
        run(&site, "client add", &[&file[..], arguments].concat(), "").await
    };
    for (metadata, arguments, told) in [
        (
            json!({}),
            &["--mode", "ping"][..],
            "backchannel_client_notification_endpoint: is needed",
        ),
        (json!({ "grant_type": [] }), &[], "unknown member `grant_type`"),
        (
            json!({ "terms": { "refresh": true } }),
            &["--mode", "poll"],
            "unknown field `refresh`",
        ),
        (
            json!({}),
            &["--mode", "poll", "--id", "two words"],
            "the id must have",
        ),
        (
            json!({}),
            &["--mode", "poll", "--id", "reports"],
            "a client of this id",
        ),
        (json!([]), &[], "is not a JSON object"),
    ] {
        let output = add(metadata, arguments).await;
        assert!(
            !output.status.success() && said(&output).contains(told),
            "{}",
            said(&output)
        );
    }
    let terms = json!({ "client_name": "From the file", "terms": { "refresh_tokens": true } });
    let output = add(
        terms,
        &["--mode", "poll", "--name", "From the option", "--id", "agent"],
    )
    .await;
    assert!(output.status.success(), "{}", said(&output));
    let clients = listed(&site, "client list").await;
    let agent = clients
        .iter()
        .find(|client| client["client_id"] == "agent")
        .unwrap();
    assert_eq!(
        (&agent["client_name"], &agent["terms"]["refresh_tokens"]),
        (&json!("From the option"), &json!(true))
    );
    let configured = refused(&site, "client remove", &["reports"]).await;
    assert!(configured.contains("is in the configuration"), "{configured}");
    server.stop().await;
}

#[tokio::test]
async fn c_267_a_configured_person_is_changed_in_the_configuration() {
    let mut site = site().and(NAMED);
    let server = site.start().await;
    let people = listed(&site, "user list").await;
    assert_eq!(people.len(), 1);
    assert_eq!(
        (&people[0]["sub"], &people[0]["from"]),
        (&json!("a-1"), &json!("configuration"))
    );
    let told = refused(&site, "user disable", &["alice@example.com"]).await;
    assert!(told.contains("write `disabled = true` there"), "{told}");
    assert!(
        refused(&site, "user disable", &["bob"])
            .await
            .contains("no such person")
    );
    server.stop().await;
}

#[tokio::test]
async fn c_201_a_code_is_read_from_standard_input_and_kept_as_a_slow_hash() {
    let mut site = site().and(NAMED);
    let server = site.start().await;
    let output = run(&site, "user set-code", &["a-1"], "1234\n").await;
    assert!(output.status.success(), "{}", said(&output));
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(
        line.starts_with("user_code = '$argon2id$") && !line.contains("1234"),
        "{line}"
    );
    let short = run(&site, "user set-code", &["a-1"], "123\n").await;
    assert!(
        !short.status.success() && said(&short).contains("4 characters"),
        "{}",
        said(&short)
    );
    server.stop().await;
    // The line is one of the configuration.
    let with_code = NAMED.replace("name = \"Alice\"", &format!("name = \"Alice\"\n{line}"));
    let mut site = super::site().and(with_code);
    let server = site.start().await;
    assert_eq!(listed(&site, "user list").await[0]["user_code"], true);
    server.stop().await;
}

#[tokio::test]
async fn c_201_ctrl_c_at_the_prompt_leaves_a_terminal_that_shows_what_is_typed() {
    let mut site = site().and(NAMED);
    let server = site.start().await;
    let inner = site.command("user set-code");
    let inner = inner.as_std();
    let words = inner.get_args().map(|word| word.to_str().unwrap());
    let words: Vec<_> = words.chain(["a-1"]).collect();
    let program = inner.get_program().to_str().unwrap();
    let line = format!("{program} {}; echo status $?; stty -a", words.join(" "));
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut script = script.spawn().unwrap();
    let (mut keys, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let mut shown = String::new();
    while !shown.contains("User code: ") {
        let mut bytes = [0; 1024];
        let count = in_time(screen.read(&mut bytes)).await.unwrap();
        assert!(count > 0, "{shown}");
        shown.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    keys.write_all(b"12\x03").await.unwrap();
    let rest = screen.read_to_string(&mut shown);
    in_time(rest).await.unwrap();
    script.wait().await.unwrap();
    assert!(shown.contains("ciba-server: interrupted"), "{shown}");
    assert!(shown.contains("status 1"), "{shown}");
    assert!(
        shown.split([' ', ';', '\n']).any(|mode| mode == "echo"),
        "{shown}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_made_by_looking() {
    let mut site = site();
    site.start().await.stop().await;
    std::fs::remove_file(site.database()).unwrap();
    for name in ["client list", "user list"] {
        assert!(refused(&site, name, &[]).await.contains("opening /"), "{name}");
    }
    assert!(!site.database().exists());
}
