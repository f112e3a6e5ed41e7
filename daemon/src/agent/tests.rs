//! The whole session side against a server of a few lines, over real sockets.

use std::time::Duration;

use device_proto::ResourceUrn;
use device_proto::ask::Ask;
use ipc_proto::{DEFAULT_RESOURCE, ErrorCode, Link, SessionState};
use tokio::time::{Instant, timeout};

use super::supply::FALLBACK_AFTER;
use super::*;
use crate::fake::{self, Fake, OnAsk};
use crate::keychain::fake::{Fake as Keyring, Trouble};
use crate::keychain::{Item, Keychain as _, KeychainError};
use crate::request::kept;
use crate::session::now;

/// Only ever reached by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

const OTHER: &str = "urn:sap:identity:api:name:other";

fn agent() -> Agent {
    crate::tls::install();
    Agent::new(Shutdown::default(), Keychains::new([]), Settings::of_nobody())
}

fn ask(fake: &Fake) -> StartAsk {
    StartAsk::of(&fake.url(), None, None, false, None).unwrap()
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}

async fn step(login: &mut Login) -> Step {
    soon("the login's next step", login.next()).await
}

/// Takes a login to where only the person is missing.
async fn connected(agent: &Agent, ask: StartAsk) -> Login {
    let mut login = agent.start(ask).await.unwrap();
    assert!(matches!(
        step(&mut login).await,
        Step::Event(Event::Authorize { .. })
    ));
    assert!(matches!(
        step(&mut login).await,
        Step::Event(Event::Connected { .. })
    ));
    login
}

async fn logged_in(agent: &Agent, fake: &Fake, lifetime: u64) {
    let mut login = connected(agent, ask(fake)).await;
    fake.log_in(DEFAULT_RESOURCE, now() + lifetime);
    let Step::Started(started) = step(&mut login).await else {
        panic!("not started")
    };
    assert_eq!(started.subject.as_deref(), Some("Ada"));
}

async fn token(agent: &Agent, resource: &str, min_valid: Option<u64>) -> Result<String, Failure> {
    let ask = TokenAsk::of(None, Some(resource), min_valid, false)?;
    let token = soon("a token", agent.token(&ask)).await?;
    Ok(token.access_token().into())
}

fn token_ask(resource: &str, min_valid: Option<u64>) -> TokenAsk {
    TokenAsk::of(None, Some(resource), min_valid, false).unwrap()
}

/// Waits until the default profile's status is as wanted.
async fn status(agent: &Agent, wanted: impl Fn(&ipc_proto::ProfileStatus) -> bool) {
    let mut state = agent.listed(&ProfileName::default()).unwrap().follow();
    let reached = async {
        while !wanted(&agent.status(None).await.unwrap().profiles[0]) {
            state.changed().await.unwrap();
        }
    };
    soon("a state", reached).await;
}

async fn failed(login: &mut Login) -> Failure {
    loop {
        match step(login).await {
            Step::Event(_) => {}
            Step::Failed(failure) => return failure,
            Step::Started(_) | Step::Token(_) => panic!("it should have failed"),
        }
    }
}

fn urn(text: &str) -> ResourceUrn {
    text.parse().unwrap()
}

#[tokio::test]
async fn the_road_from_a_login_to_a_token_and_its_end() {
    let (agent, fake) = (agent(), Fake::new().await);
    let mut login = agent.start(ask(&fake)).await.unwrap();
    let Step::Event(Event::Authorize { url, user_code, .. }) = step(&mut login).await else {
        panic!()
    };
    assert_eq!((url.as_str(), user_code.as_str()), (fake::PAGE, "ABCD-EFGH"));
    assert!(matches!(
        step(&mut login).await,
        Step::Event(Event::Connected { .. })
    ));
    let early = token(&agent, DEFAULT_RESOURCE, None).await.unwrap_err();
    assert_eq!(
        (early.code, early.message.as_str()),
        (ErrorCode::NotLoggedIn, "a login is under way")
    );

    fake.log_in(DEFAULT_RESOURCE, now() + 600);
    assert!(matches!(step(&mut login).await, Step::Started(_)));
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    assert_eq!(fake.state().asks, [], "the table answered");

    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert_eq!((stopped.profiles.len(), stopped.server_not_told.len()), (1, 0));
    assert!(stopped.daemon_leaves);
    assert_eq!(fake.state().asks, [Ask::End { id: "end".into() }]);
    let gone = token(&agent, DEFAULT_RESOURCE, None).await.unwrap_err();
    assert_eq!(gone.code, ErrorCode::NotLoggedIn);
}

#[tokio::test]
async fn two_starts_share_one_login_and_it_lasts_until_both_are_gone() {
    let (agent, fake) = (agent(), Fake::new().await);
    let first = connected(&agent, ask(&fake)).await;
    let mut second = agent.start(ask(&fake)).await.unwrap();
    assert!(matches!(
        step(&mut second).await,
        Step::Event(Event::Authorize { url, .. }) if url == fake::PAGE
    ));
    assert_eq!(fake.state().posts, 1);
    drop(first);
    fake.log_in(DEFAULT_RESOURCE, now() + 600);
    assert!(matches!(
        step(&mut second).await,
        Step::Event(Event::Connected { .. }) | Step::Started(_)
    ));
}

#[tokio::test]
async fn a_login_nobody_waits_for_is_cancelled_here_and_on_the_server() {
    let (agent, fake) = (agent(), Fake::new().await);
    let mut events = agent.watch();
    let login = connected(&agent, ask(&fake)).await;
    drop(login);
    let ended = async {
        loop {
            if let Event::Session { state, .. } = events.recv().await.unwrap() {
                return state;
            }
        }
    };
    assert_eq!(soon("the end", ended).await, SessionState::Ended);
    agent.0.tasks.close();
    soon("its task's end", agent.0.tasks.wait()).await;
    assert!(agent.status(None).await.unwrap().profiles.is_empty());
    assert_eq!(fake.state().asks, [Ask::End { id: "end".into() }]);
}

#[tokio::test]
async fn a_login_that_is_cancelled_makes_room_for_the_next_at_once() {
    let (agent, fake) = (agent(), Fake::new().await);
    let mut events = agent.watch();
    drop(connected(&agent, ask(&fake)).await);
    let ended = async { while !matches!(events.recv().await.unwrap(), Event::Session { .. }) {} };
    soon("the end", ended).await;
    let _next = connected(&agent, ask(&fake)).await;
    assert_eq!(fake.state().posts, 2);
}

#[tokio::test]
async fn a_profile_belongs_to_one_server() {
    let (agent, fake, other) = (agent(), Fake::new().await, Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    let mut again = agent.start(ask(&fake)).await.unwrap();
    assert!(matches!(step(&mut again).await, Step::Started(_)), "at once");
    let Err(failure) = agent.start(ask(&other)).await else {
        panic!()
    };
    assert_eq!(failure.code, ErrorCode::BadRequest);
    assert!(failure.hint.unwrap().starts_with("ciba stop --profile default"));
    assert_eq!((fake.state().posts, other.state().posts), (1, 0));
}

#[tokio::test]
async fn who_is_not_there_is_named_rightly() {
    let (agent, fake) = (agent(), Fake::new().await);
    let Err(nobody) = agent.status(Some(&ProfileName::default())).await else {
        panic!()
    };
    assert_eq!(nobody.code, ErrorCode::NotLoggedIn);
    assert_eq!(nobody.hint.as_deref(), Some("ciba start --url URL"));
    logged_in(&agent, &fake, 600).await;
    let Err(unknown) = agent.status(Some(&"work".parse().unwrap())).await else {
        panic!()
    };
    assert_eq!(unknown.code, ErrorCode::UnknownProfile);
    assert!(
        unknown.message.ends_with("there is default"),
        "{}",
        unknown.message
    );
    let Err(bad) = token(&agent, "file:///x", None).await else {
        panic!()
    };
    assert_eq!(bad.code, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_one_shot_yields_the_token_and_leaves_nothing() {
    let (agent, fake) = (agent(), Fake::new().await);
    let one_shot = StartAsk {
        one_shot: true,
        ..ask(&fake)
    };
    let mut login = connected(&agent, one_shot).await;
    fake.log_in(DEFAULT_RESOURCE, now() + 600);
    let Step::Token(token) = step(&mut login).await else {
        panic!()
    };
    assert_eq!(token.access_token(), "secret-1");
    assert_eq!(
        agent.status(None).await.unwrap().profiles[0].profile.as_str(),
        "one-shot-1"
    );
    drop(login);
    soon("the daemon's end", agent.0.shutdown.begun()).await;
    assert_eq!(fake.state().asks, [Ask::End { id: "end".into() }]);
    assert!(agent.status(None).await.unwrap().profiles.is_empty());
}

#[tokio::test]
async fn d_023_the_servers_no_reaches_the_waiter() {
    let (agent, fake) = (agent(), Fake::new().await);
    let mut login = connected(&agent, ask(&fake)).await;
    fake.session(&[
        ("status", "failed"),
        ("error", "access_denied"),
        ("error_description", "You said no.\x1b[2J"),
    ]);
    let failure = failed(&mut login).await;
    assert_eq!(failure, Failure::new(ErrorCode::LoginDenied, "You said no.[2J"));
    tokio::task::yield_now().await;
    assert!(
        agent.status(None).await.unwrap().profiles.is_empty(),
        "the profile is free again"
    );
}

#[tokio::test]
async fn a_pending_login_whose_link_never_stands_fails_and_says_why() {
    let (agent, fake) = (agent(), Fake::new().await);
    fake.state().upgrade = Some(fake::http("404 Not Found", ""));
    let mut login = agent.start(ask(&fake)).await.unwrap();
    assert!(matches!(
        step(&mut login).await,
        Step::Event(Event::Authorize { .. })
    ));
    status(&agent, |profile| profile.error.is_some()).await;
    tokio::time::pause();
    let failure = failed(&mut login).await;
    assert_eq!(failure.code, ErrorCode::ServerUnreachable);
    assert_eq!(failure.message, crate::sync::Lost::Refused(404).to_string());
}

#[tokio::test]
async fn a_pending_login_the_server_forgot_fails() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    let mut login = connected(&agent, ask(&fake)).await;
    fake.forget();
    fake.go_down().await;
    fake.come_back().await;
    assert_eq!(failed(&mut login).await.code, ErrorCode::LoginRequired);
}

#[tokio::test]
async fn d_034_a_restarted_server_is_found_again_and_its_fresh_doc_believed() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.go_down().await;
    status(&agent, |profile| profile.link != Link::Connected).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    fake.log_in(DEFAULT_RESOURCE, now() + 900);
    fake.come_back().await;
    status(&agent, |profile| profile.link == Link::Connected).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-2");
}

#[tokio::test]
async fn d_051_a_valid_token_outlives_the_network() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 40).await;
    fake.go_down().await;
    status(&agent, |profile| profile.link == Link::Offline).await;
    for enough in [None, Some(10)] {
        let kept = token(&agent, DEFAULT_RESOURCE, enough).await;
        assert_eq!(kept.unwrap(), "secret-1", "{enough:?}");
    }
    let asked_for = token(&agent, DEFAULT_RESOURCE, Some(60)).await.unwrap_err();
    assert_eq!(
        asked_for.code,
        ErrorCode::ServerUnreachable,
        "a minute was wanted"
    );
    let other = token(&agent, OTHER, None).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::ServerUnreachable);
    let fresh = TokenAsk {
        force: true,
        ..token_ask(DEFAULT_RESOURCE, None)
    };
    let forced = soon("an answer", agent.token(&fresh)).await;
    assert_eq!(
        forced.err().unwrap().code,
        ErrorCode::ServerUnreachable,
        "memory was not wanted"
    );
}

#[tokio::test]
async fn d_051_a_link_that_only_looks_alive_keeps_no_valid_token_back() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 15).await;
    fake.state().on_ask = OnAsk::Silence;
    tokio::time::pause();
    let asked = Instant::now();
    let enough = agent
        .token(&token_ask(DEFAULT_RESOURCE, None))
        .await
        .ok()
        .unwrap();
    assert_eq!(enough.access_token(), "secret-1");
    assert_eq!(asked.elapsed(), Duration::ZERO);

    fake.publish(DEFAULT_RESOURCE, now() + 5);
    status(&agent, |profile| profile.tokens[0].expires_at <= now() + 5).await;
    // Made as if an hour ago: nobody knows how long it lived.
    agent.listed(&ProfileName::default()).unwrap().age_tokens();
    let asked = Instant::now();
    let last = agent
        .token(&token_ask(DEFAULT_RESOURCE, None))
        .await
        .ok()
        .unwrap();
    assert_eq!(last.access_token(), "secret-2");
    assert_eq!(asked.elapsed().as_secs(), FALLBACK_AFTER.as_secs());
    let nothing_held = agent.token(&token_ask(OTHER, None)).await.err().unwrap();
    assert_eq!(nothing_held.code, ErrorCode::Timeout);
}

#[tokio::test]
async fn d_043_a_renewal_holds_up_nobody_who_has_a_valid_token() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 50).await;
    // After a restart of either end the token's age is not known, and a minute is what it should last.
    fake.go_down().await;
    status(&agent, |profile| profile.link != Link::Connected).await;
    fake.log_in(DEFAULT_RESOURCE, now() + 50);
    fake.come_back().await;
    status(&agent, |profile| profile.link == Link::Connected).await;
    fake.state().on_ask = OnAsk::Publish(now() + 600);
    let mut events = agent.watch();
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-2");
    let renewed = async { while !matches!(events.recv().await.unwrap(), Event::Token { .. }) {} };
    soon("the renewal", renewed).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-3");
}

#[tokio::test]
async fn d_051_an_ended_token_is_never_served() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.publish(DEFAULT_RESOURCE, now());
    status(&agent, |profile| profile.tokens[0].expires_at <= now()).await;
    fake.go_down().await;
    let ended = token(&agent, DEFAULT_RESOURCE, Some(0)).await.unwrap_err();
    assert_eq!(ended.code, ErrorCode::ServerUnreachable);
}

#[tokio::test]
async fn d_040_many_askers_one_ask() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.state().on_ask = OnAsk::Publish(now() + 300);
    let asks = (0..16).map(|_| token(&agent, OTHER, None));
    let tokens = join_all(asks).await;
    assert!(tokens.iter().all(|token| token.as_deref() == Ok("secret-2")));
    let asked = Ask::Token {
        id: "1".into(),
        resource: urn(OTHER),
        min_valid: Some(60),
    };
    assert_eq!(fake.state().asks, [asked]);
}

#[tokio::test]
async fn d_040_force_brings_a_newer_token() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.state().on_ask = OnAsk::Publish(now() + 900);
    let ask = TokenAsk {
        force: true,
        ..token_ask(DEFAULT_RESOURCE, None)
    };
    let token = soon("a token", agent.token(&ask)).await.unwrap();
    assert_eq!(token.access_token(), "secret-2");
    assert!(matches!(
        fake.state().asks[..],
        [Ask::Token {
            min_valid: Some(599..=601),
            ..
        }]
    ));
}

#[tokio::test]
async fn d_042_a_refusal_has_the_servers_code() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    for (error, code) in [
        ("invalid_target", ErrorCode::InvalidTarget),
        ("invalid_grant", ErrorCode::LoginRequired),
        ("server_error", ErrorCode::Internal),
    ] {
        fake.state().on_ask = OnAsk::Refuse(error);
        assert_eq!(
            token(&agent, OTHER, None).await.unwrap_err().code,
            code,
            "{error}"
        );
    }
}

#[tokio::test]
async fn d_042_a_provider_that_is_away_is_asked_again_by_the_daemon_not_by_the_user() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.state().on_ask = OnAsk::Refuse("temporarily_unavailable");
    let provider_returns = async {
        let mut state = agent.listed(&ProfileName::default()).unwrap().follow();
        while fake.state().asks.len() < 3 {
            soon("another ask", state.changed()).await.unwrap();
        }
        fake.state().on_ask = OnAsk::Publish(now() + 300);
    };
    let (token, ()) = tokio::join!(token(&agent, OTHER, None), provider_returns);
    assert_eq!(token.unwrap(), "secret-2");

    fake.state().on_ask = OnAsk::Refuse("temporarily_unavailable");
    tokio::time::pause();
    let given_up = agent.token(&token_ask("urn:d:third", None)).await.err().unwrap();
    assert_eq!(given_up.code, ErrorCode::ServerUnreachable);
}

#[tokio::test]
async fn d_043_a_used_token_is_renewed_ahead_of_need_and_an_unused_one_is_not() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 5).await;
    fake.state().on_ask = OnAsk::Publish(now() + 600);
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    let mut events = agent.watch();
    let renewed = async { while !matches!(events.recv().await.unwrap(), Event::Token { .. }) {} };
    soon("the renewal", renewed).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-2");
    let asked = fake.state().asks.clone();
    assert!(matches!(asked[..], [Ask::Token { .. }]), "{asked:?}");
}

#[tokio::test]
async fn an_ask_that_was_lost_with_its_connection_is_asked_again() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.state().on_ask = OnAsk::HangUp;
    let server_mends = async {
        status(&agent, |profile| profile.link != Link::Connected).await;
        fake.state().on_ask = OnAsk::Publish(now() + 300);
    };
    let (token, ()) = tokio::join!(token(&agent, OTHER, None), server_mends);
    assert_eq!(token.unwrap(), "secret-2");
    assert_eq!(fake.state().sockets, 2);
}

#[tokio::test]
async fn d_036_a_hostile_update_ends_the_connection_not_the_daemon() {
    let (agent, fake, calm) = (agent(), Fake::new().await, Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    let work = StartAsk {
        profile: "work".parse().unwrap(),
        ..ask(&calm)
    };
    let _login = connected(&agent, work).await;
    let hostile = [
        vec![1, 1, 7, 0, 0x28, 1, 1, b'm', 1, b'k', 1],
        [117, 1].repeat(6_300),
    ]
    .concat();
    let mut events = agent.watch();
    fake.send(device_proto::hub::Socket::update(fake::SESSION, &hostile));
    let there_and_back = async {
        assert!(matches!(events.recv().await, Ok(Event::Disconnected { .. })));
        while !matches!(events.recv().await, Ok(Event::Connected { .. })) {}
    };
    soon("the link's return", there_and_back).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    assert_eq!((fake.state().sockets, calm.state().sockets), (2, 1));
}

#[tokio::test]
async fn a_seal_for_somebody_else_is_ignored() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.publish_garbage(DEFAULT_RESOURCE);
    fake.session(&[("subject", "Grace")]);
    status(&agent, |profile| profile.subject.as_deref() == Some("Grace")).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
}

#[tokio::test]
async fn a_session_the_server_does_not_know_serves_nothing_and_asks_for_a_login() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.forget();
    fake.go_down().await;
    fake.come_back().await;
    status(&agent, |profile| profile.state == SessionState::Failed).await;
    let failure = token(&agent, DEFAULT_RESOURCE, None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::LoginRequired);
    assert_eq!(failure.hint, Some(format!("ciba start --url {}", fake.url())));
    let _new_login = connected(&agent, ask(&fake)).await;
    assert_eq!(fake.state().posts, 2);
}

#[tokio::test]
async fn d_051_what_is_not_renewed_is_served_until_it_ends_and_what_was_ended_is_not() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.session(&[("status", "failed"), ("error", "login_required")]);
    status(&agent, |profile| profile.state == SessionState::Failed).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    let other = token(&agent, OTHER, None).await.unwrap_err();
    assert_eq!(other.code, ErrorCode::LoginRequired);

    let fake = Fake::new().await;
    logged_in(&agent, &fake, 600).await;
    fake.session(&[("status", "ended")]);
    status(&agent, |profile| profile.state == SessionState::Ended).await;
    let ended = token(&agent, DEFAULT_RESOURCE, None).await.unwrap_err();
    assert_eq!(ended.code, ErrorCode::LoginRequired);
}

#[tokio::test]
async fn d_040_a_start_whose_token_has_ended_brings_a_valid_one() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.publish(DEFAULT_RESOURCE, now());
    status(&agent, |profile| profile.tokens[0].expires_at <= now()).await;
    let end = now() + 900;
    fake.state().on_ask = OnAsk::Publish(end);
    let mut again = agent.start(ask(&fake)).await.unwrap();
    let Step::Started(started) = step(&mut again).await else {
        panic!("not started")
    };
    assert_eq!(started.expires_at, end);
}

#[tokio::test]
async fn d_052_stop_wipes_this_side_when_the_server_is_away() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.go_down().await;
    status(&agent, |profile| profile.link == Link::Offline).await;
    let stopped = soon("stop", agent.stop(Which::One(ProfileName::default())))
        .await
        .unwrap();
    assert_eq!(stopped.server_not_told, [ProfileName::default()]);
    assert!(stopped.daemon_leaves);
    assert!(agent.status(None).await.unwrap().profiles.is_empty());
}

#[tokio::test]
async fn the_last_logins_end_takes_no_request_to_a_person_along() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    let request = agent.request();
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert!(!stopped.daemon_leaves);
    drop(request);
    assert!(agent.is_idle().await);
}

#[tokio::test]
async fn the_last_logins_end_leaves_the_clients_in_memory() {
    crate::tls::install();
    let memory = Arc::new(Keyring::of(KeychainKind::Memory));
    let keychains = Keychains::new([memory as _]);
    let (agent, fake) = (
        Agent::new(Shutdown::default(), keychains, Settings::of_nobody()),
        Fake::new().await,
    );
    logged_in(&agent, &fake, 600).await;
    let secret = ipc_proto::ClientCredential {
        method: ipc_proto::ClientMethod::ClientSecretBasic,
        secret: "secret".to_owned().into(),
    };
    let issuer = "http://127.0.0.1:9";
    let kept = kept::add(agent.keychains(), issuer, "agent", &secret, None).await;
    assert_eq!(kept.unwrap().keychain, KeychainKind::Memory);
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert!(!stopped.daemon_leaves);
    kept::remove(agent.keychains(), issuer, "agent").await.unwrap();
    assert!(agent.is_idle().await);
}

#[tokio::test]
async fn d_052_stopping_one_login_leaves_the_others() {
    let (agent, fake, other) = (agent(), Fake::new().await, Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    let work: ProfileName = "work".parse().unwrap();
    let _login = connected(
        &agent,
        StartAsk {
            profile: work.clone(),
            ..ask(&other)
        },
    )
    .await;
    let stopped = soon("stop", agent.stop(Which::One(work.clone()))).await.unwrap();
    assert_eq!((stopped.profiles, stopped.daemon_leaves), (vec![work], false));
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
}

#[tokio::test]
async fn leaving_keeps_the_sessions_on_the_server() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    let session = agent.listed(&ProfileName::default()).unwrap();
    soon("close", agent.close()).await;
    assert_eq!(fake.state().asks, []);
    assert!(session.held(&urn(DEFAULT_RESOURCE), 0).is_none(), "wiped");
}

#[tokio::test]
async fn d_002_the_server_is_told_the_verifier_and_nothing_secret() {
    let (agent, fake) = (agent(), Fake::new().await);
    let _login = connected(&agent, ask(&fake)).await;
    let posted: serde_json::Value = serde_json::from_str(&fake.state().posted).unwrap();
    let mut keys: Vec<_> = posted.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["deviceName", "resource", "verifier"]);
}

fn with_keychain() -> (Agent, Arc<Keyring>) {
    let keyring = Arc::new(Keyring::default());
    (on_keychain(&keyring), keyring)
}

/// Another daemon on the same machine, or the next one.
fn on_keychain(keyring: &Arc<Keyring>) -> Agent {
    crate::tls::install();
    Agent::new(
        Shutdown::default(),
        Keychains::new([Arc::clone(keyring) as _]),
        Settings::of_nobody(),
    )
}

async fn kept(agent: &Agent) {
    status(agent, |profile| {
        profile.kept.as_ref().is_some_and(|kept| kept.problem.is_none())
    })
    .await;
}

fn locked() -> Option<Trouble> {
    Some(Trouble::Error(KeychainError::Locked(KeychainKind::SecretService)))
}

#[tokio::test]
async fn d_052_a_login_is_kept_after_its_first_token_and_gone_after_stop() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    let login = connected(&agent, ask(&fake)).await;
    assert_eq!(keyring.profiles(), [], "nobody has logged in");
    drop(login);
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    assert_eq!(keyring.profiles(), [ProfileName::default()]);
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert_eq!(stopped.still_kept, []);
    assert_eq!(keyring.profiles(), []);
}

#[tokio::test]
async fn d_052_who_is_told_that_they_are_logged_in_is_kept() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    keyring.trouble(Some(Trouble::Slow(Duration::from_millis(50))));
    logged_in(&agent, &fake, 600).await;
    let profile = &agent.status(None).await.unwrap().profiles[0];
    assert!(profile.kept.as_ref().is_some_and(|kept| kept.problem.is_none()));
}

#[tokio::test]
async fn d_053_the_next_daemon_resumes_unasked_with_the_same_challenge() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    soon("close", agent.close()).await;

    let next = on_keychain(&keyring);
    assert_eq!(token(&next, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    status(&next, |profile| profile.link == Link::Connected).await;
    assert_eq!(fake.state().posts, 1, "one login");
    assert_eq!(fake.state().sockets, 2);
    let stopped = soon("stop", next.stop(Which::All)).await.unwrap();
    assert_eq!((stopped.server_not_told.len(), keyring.profiles().len()), (0, 0));
}

#[tokio::test]
async fn d_052_a_locked_keychain_is_told_from_no_login_and_waited_for() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    soon("close", agent.close()).await;

    keyring.trouble(locked());
    let next = on_keychain(&keyring);
    let failure = token(&next, DEFAULT_RESOURCE, None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::KeychainLocked);
    let failure = next.stop(Which::All).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::KeychainLocked, "more may be there");
    keyring.trouble(None);
    let mut loading = next.0.loading.subscribe();
    let unlocked = loading.wait_for(|loading| loading.problem().is_none());
    soon("the unlocking", unlocked).await.unwrap();
    assert_eq!(token(&next, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
}

#[tokio::test]
async fn d_052_a_login_is_kept_as_soon_as_the_keychain_is_open() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    keyring.trouble(locked());
    logged_in(&agent, &fake, 600).await;
    status(&agent, |profile| {
        let problem = profile.kept.as_ref().and_then(|kept| kept.problem.as_ref());
        problem.is_some_and(|problem| problem.code == ErrorCode::KeychainLocked)
    })
    .await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    keyring.trouble(None);
    kept(&agent).await;
    assert_eq!(keyring.profiles(), [ProfileName::default()]);
}

#[tokio::test]
async fn d_052_a_keychain_that_was_asked_for_and_is_not_there_is_no_login() {
    let (agent, fake) = (agent(), Fake::new().await);
    let picky = StartAsk {
        keychain: Some(KeychainKind::Kernel),
        ..ask(&fake)
    };
    let mut login = agent.start(picky).await.unwrap();
    assert_eq!(failed(&mut login).await.code, ErrorCode::KeychainUnavailable);
    assert_eq!(fake.state().posts, 0, "before anybody logs in");
}

#[tokio::test]
async fn d_052_stop_says_when_the_keychain_keeps_its_own() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    keyring.trouble(locked());
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert_eq!(stopped.still_kept, [ProfileName::default()]);
    assert_eq!(stopped.server_not_told, []);
}

/// A daemon with a login in one keychain, and another keychain that is locked and has an older login of the profile.
async fn logged_in_beside_a_locked_one() -> (Agent, Arc<Keyring>) {
    crate::tls::install();
    let older = crate::keychain::item::tests::login("default");
    let (keyring, kernel) = (
        Arc::<Keyring>::default(),
        Arc::new(Keyring::of(KeychainKind::Kernel)),
    );
    keyring.keep(&older).await.unwrap();
    keyring.trouble(locked());
    let agent = Agent::new(
        Shutdown::default(),
        Keychains::new([Arc::clone(&keyring) as _, kernel as _]),
        Settings::of_nobody(),
    );
    let fake = Fake::new().await;
    let in_the_kernel = StartAsk {
        keychain: Some(KeychainKind::Kernel),
        ..ask(&fake)
    };
    let mut login = connected(&agent, in_the_kernel).await;
    fake.log_in(DEFAULT_RESOURCE, now() + 600);
    assert!(matches!(step(&mut login).await, Step::Started(_)));
    (agent, keyring)
}

#[tokio::test]
async fn d_052_stop_is_not_all_while_a_locked_keychain_may_hold_more() {
    let (agent, _keyring) = logged_in_beside_a_locked_one().await;
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert_eq!(stopped.profiles, [ProfileName::default()]);
    assert_eq!(
        stopped.keychain.map(|problem| problem.code),
        Some(ErrorCode::KeychainLocked)
    );
    assert!(!stopped.daemon_leaves, "the locked keychain is still to be read");
    assert_eq!(
        stopped.still_kept,
        [ProfileName::default()],
        "the older login of the profile would come back"
    );
}

#[tokio::test]
async fn d_052_stop_takes_a_profile_out_of_every_keychain() {
    let (agent, keyring) = logged_in_beside_a_locked_one().await;
    keyring.opens_silently();
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert_eq!(stopped.still_kept, []);
    assert_eq!(keyring.profiles(), []);
}

#[tokio::test]
async fn d_052_a_one_shot_is_never_kept() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    let one_shot = StartAsk {
        one_shot: true,
        ..ask(&fake)
    };
    let mut login = connected(&agent, one_shot).await;
    fake.log_in(DEFAULT_RESOURCE, now() + 600);
    assert!(matches!(step(&mut login).await, Step::Token(_)));
    drop(login);
    soon("the daemon's end", agent.0.shutdown.begun()).await;
    assert_eq!(keyring.profiles(), []);
}

#[tokio::test]
async fn a_login_that_the_server_forgot_stays_in_the_keychain_until_a_new_one_takes_its_place() {
    let ((agent, keyring), mut fake) = (with_keychain(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    fake.forget();
    fake.go_down().await;
    fake.come_back().await;
    status(&agent, |profile| profile.state == SessionState::Failed).await;
    assert_eq!(
        keyring.profiles().len(),
        1,
        "the next daemon says login_required too"
    );
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    soon("close", agent.close()).await;
    let next = on_keychain(&keyring);
    assert_eq!(token(&next, DEFAULT_RESOURCE, None).await.unwrap(), "secret-2");
}

#[tokio::test]
async fn a_login_that_ends_soon_makes_way_for_a_new_one_and_serves_until_that_is_done() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    kept(&agent).await;
    let mut joined = agent.start(ask(&fake)).await.unwrap();
    assert!(matches!(step(&mut joined).await, Step::Started(_)), "it lasts");
    fake.session(&[("expires_at", &now().to_string())]);
    status(&agent, |profile| profile.expires_at.is_some()).await;

    // The server's doc is one for all; a real one has one for each login.
    fake.session(&[("status", "pending")]);
    let abandoned = connected(&agent, ask(&fake)).await;
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-1");
    drop(abandoned);
    let back = async {
        while !agent.sessions().outgoing.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    soon("the outgoing login's return", back).await;
    assert_eq!(keyring.profiles().len(), 1, "as it was");

    let mut login = connected(&agent, ask(&fake)).await;
    fake.log_in(DEFAULT_RESOURCE, now() + 900);
    assert!(matches!(step(&mut login).await, Step::Started(_)));
    agent.retire_outgoing(&ProfileName::default());
    assert_eq!(token(&agent, DEFAULT_RESOURCE, None).await.unwrap(), "secret-2");
    assert_eq!(agent.sessions().outgoing.len(), 0);
    let stopped = soon("stop", agent.stop(Which::All)).await.unwrap();
    assert!(stopped.daemon_leaves);
    assert_eq!(keyring.profiles(), []);
}

#[tokio::test]
async fn what_is_saved_for_a_successor_is_every_login_and_no_pending_one() {
    let (agent, fake, other) = (agent(), Fake::new().await, Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    let saved = soon("saving", agent.save()).await.unwrap();
    let items: Vec<_> = saved.iter().map(|item| Item::decode(item).unwrap()).collect();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0].session.as_str(), fake::SESSION);
    let work = StartAsk {
        profile: "work".parse().unwrap(),
        ..ask(&other)
    };
    let _login = connected(&agent, work).await;
    let busy = soon("saving", agent.save()).await.map(drop).unwrap_err();
    assert_eq!(Failure::from(busy).code, ErrorCode::Busy);
}

#[tokio::test]
async fn d_052_what_could_not_be_kept_is_kept_by_the_next_daemon() {
    let ((agent, keyring), fake) = (with_keychain(), Fake::new().await);
    keyring.trouble(locked());
    logged_in(&agent, &fake, 600).await;
    let saved = soon("saving", agent.save()).await.unwrap();
    soon("close", agent.close()).await;

    let next = on_keychain(&keyring);
    next.resume(HandedOver::decode(&saved[0]).ok().unwrap());
    status(&next, |profile| {
        profile.kept.as_ref().is_some_and(|kept| kept.problem.is_some())
    })
    .await;
    keyring.trouble(None);
    kept(&next).await;
    assert_eq!(keyring.profiles(), [ProfileName::default()]);
}

#[tokio::test]
async fn a_login_that_somebody_ends_is_not_for_the_next_daemon() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.state().upgrade = Some(fake::http("503 Service Unavailable", ""));
    fake.go_down().await;
    let (stopped, saved) = tokio::join!(agent.stop(Which::All), async {
        let mut state = agent.listed(&ProfileName::default()).unwrap().follow();
        soon("a turn", state.changed()).await.unwrap();
        agent.save_all().await
    });
    assert_eq!(stopped.unwrap().profiles.len(), 1);
    assert_eq!(saved.len(), 0);
}

#[tokio::test]
async fn d_052_every_client_that_ends_a_session_hears_that_its_server_is_away() {
    let (agent, mut fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.go_down().await;
    let session = agent.listed(&ProfileName::default()).unwrap();
    let (one, two) = tokio::join!(session.end(), session.end());
    assert!(!one.server_told && !two.server_told);
}

#[tokio::test]
async fn many_asks_at_once_all_get_their_answer_and_an_end_comes_through() {
    let (agent, fake) = (agent(), Fake::new().await);
    logged_in(&agent, &fake, 600).await;
    fake.state().on_ask = OnAsk::Publish(now() + 300);
    let resources: Vec<_> = (0..200).map(|n| format!("urn:d:{n}")).collect();
    let tokens = join_all(resources.iter().map(|resource| token(&agent, resource, None))).await;
    assert_eq!(tokens.iter().filter(|token| token.is_ok()).count(), 200);

    fake.state().on_ask = OnAsk::Silence;
    let more: Vec<_> = (0..200).map(|n| format!("urn:d:more-{n}")).collect();
    let waiting = join_all(more.iter().map(|resource| token(&agent, resource, None)));
    let stopping = async {
        while fake.state().asks.len() < 264 {
            tokio::task::yield_now().await;
        }
        soon("stop", agent.stop(Which::All)).await.unwrap()
    };
    let (_, stopped) = tokio::join!(waiting, stopping);
    assert_eq!(stopped.server_not_told, []);
}
