//! The whole session side against a server of a few lines, over real sockets.

use std::time::Duration;

use device_proto::ask::Ask;
use ipc_proto::{DEFAULT_RESOURCE, Link, SessionState};
use tokio::time::timeout;

use super::*;
use crate::fake::{self, Fake, OnAsk};

/// Only ever reached by a test that fails.
const PATIENCE: Duration = Duration::from_secs(20);

const OTHER: &str = "urn:sap:identity:api:name:other";

fn agent() -> Agent {
    crate::tls::install();
    Agent::new(Shutdown::default())
}

fn ask(fake: &Fake) -> StartAsk {
    StartAsk {
        url: fake.url(),
        profile: ProfileName::default(),
        resource: DEFAULT_RESOURCE.into(),
        one_shot: false,
    }
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
    let ask = TokenAsk {
        profile: ProfileName::default(),
        resource: resource.into(),
        min_valid,
        force: false,
    };
    let token = soon("a token", agent.token(ask)).await?;
    Ok(token.access_token().into())
}

/// Waits until the default profile's status is as wanted.
async fn status(agent: &Agent, wanted: impl Fn(&ipc_proto::ProfileStatus) -> bool) {
    let mut state = agent.find(&ProfileName::default()).unwrap().follow();
    let reached = async {
        while !wanted(&agent.status(None).unwrap().profiles[0]) {
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
