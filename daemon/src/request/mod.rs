//! Being a client of an OpenID provider that asks a person for approval (OpenID Connect CIBA Core 1.0, poll and ping): from
//! what a program wants to the tokens that the provider gives. Needs no login at a ciba-server.

mod acknowledgement;
mod answer;
mod authenticate;
mod course;
mod discovery;
mod error;
mod http;
mod id_token;
pub(crate) mod kept;
mod parameters;
mod ping;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::time::SystemTime;

use ::http::StatusCode;
use ipc_proto::{Backchannel, Event, KeychainKind};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::info;

use self::acknowledgement::Acknowledgement;
pub(crate) use self::answer::Granted;
use self::answer::Outcome;
use self::authenticate::Prover;
use self::course::{Course, Next};
use self::discovery::{Provider, discover};
pub(crate) use self::error::RequestError;
use self::http::{Http, POLL_DEADLINE, answer};
use self::id_token::{IdTokenError, Keys};
use self::ping::Pings;
use crate::keychain::{Client, Keychains};

/// The grant (CIBA Core §10.1).
const GRANT: &str = "urn:openid:params:grant-type:ciba";

/// Asks the provider to ask a person, and waits for the decision. Dropping the future ends the wait.
pub(crate) async fn request(
    asked: &Backchannel,
    keychains: &Keychains,
    events: &mpsc::Sender<Event>,
) -> Result<Granted, RequestError> {
    let client = client(asked, keychains).await?;
    parameters::check(asked)?;
    let http = Http::with(&client.name.issuer)?;
    let provider = discover(&http, &client.name.issuer).await?;
    let pings = match asked.ping_listen {
        Some(address) => Some(Pings::listen(address).await?),
        None => None,
    };
    let conversation = Conversation {
        prover: Prover::new(&client, &provider.signing_algorithms)?,
        // Before the person is asked: an approval is not lost because keys cannot be had.
        keys: keys(&http, &provider).await?,
        client: &client,
        http,
        provider,
        pings,
        events,
    };
    conversation.run(asked).await
}

async fn client(asked: &Backchannel, keychains: &Keychains) -> Result<Client, RequestError> {
    let name = kept::name(&asked.issuer, &asked.client_id)?;
    match &asked.credential {
        Some(credential) => kept::client(name, credential, KeychainKind::Memory),
        None => kept::find(keychains, &name).await,
    }
}

async fn keys(http: &Http, provider: &Provider) -> Result<Keys, RequestError> {
    let Some(url) = provider.jwks.clone() else {
        return Ok(Keys::default());
    };
    let answer = http.get(url).await?;
    match answer.status {
        StatusCode::OK => Keys::read(&answer.body).ok_or(RequestError::Garbled),
        status => Err(RequestError::of(status, &answer.body)),
    }
}

/// One request at one provider.
struct Conversation<'a> {
    client: &'a Client,
    prover: Prover<'a>,
    http: Http,
    provider: Provider,
    keys: Keys,
    pings: Option<Pings>,
    events: &'a mpsc::Sender<Event>,
}

impl Conversation<'_> {
    async fn run(&self, asked: &Backchannel) -> Result<Granted, RequestError> {
        let acknowledgement = self.begin(asked).await?;
        let handle = acknowledgement.handle();
        info!(request = %handle, "a provider asks a person");
        let granted = self.follow(&acknowledgement, &handle).await;
        info!(request = %handle, granted = granted.is_ok(), "a request has ended");
        let granted = granted?;
        self.check(&granted).await?;
        Ok(granted)
    }

    /// Makes the request (CIBA Core §7.1).
    async fn begin(&self, asked: &Backchannel) -> Result<Acknowledgement, RequestError> {
        let post = self.http.post(self.provider.authentication.clone());
        let token = self.pings.as_ref().map(Pings::token);
        let expiry = asked.requested_expiry.map(|seconds| seconds.to_string());
        let fields = parameters::fields(asked, token, expiry.as_deref());
        let answer = answer(self.prover.prove(post, &fields)?).await?;
        if answer.status != StatusCode::OK {
            return Err(RequestError::of(answer.status, &answer.body));
        }
        Acknowledgement::read(&answer.body).ok_or(RequestError::Garbled)
    }

    /// Asks until there is a decision.
    async fn follow(&self, acknowledgement: &Acknowledgement, handle: &str) -> Result<Granted, RequestError> {
        let mut course = Course::begin(acknowledgement, self.pings.is_some(), Instant::now());
        if let Some(pings) = &self.pings {
            pings.expect(acknowledgement.auth_req_id());
        }
        self.tell(Event::Acknowledged {
            handle: handle.into(),
            expires_at: now() + acknowledgement.expires_in.as_secs(),
            interval: acknowledgement.interval.as_secs(),
        })
        .await;
        let mut next = course.first(Instant::now());
        while let Next::AskAt(at) = next {
            tokio::select! {
                () = self.pinged(), if course.may_be_pinged() => {
                    next = course.pinged(Instant::now());
                    continue;
                }
                () = sleep_until(at) => {}
            }
            match self.ask(acknowledgement).await? {
                Outcome::Granted(granted) => return Ok(granted),
                // A provider may have forgotten what has lapsed.
                Outcome::Over(error) if error.is_invalid_grant() && course.has_lapsed(Instant::now()) => {
                    return Err(RequestError::Lapsed);
                }
                Outcome::Over(error) => return Err(error),
                Outcome::Undecided(answer, problem) => {
                    next = course.undecided(answer, Instant::now());
                    self.tell(Event::Waiting {
                        handle: handle.into(),
                        problem: problem.map(|problem| problem.to_string()),
                    })
                    .await;
                }
            }
        }
        Err(RequestError::Lapsed)
    }

    /// Asks the token endpoint once.
    async fn ask(&self, acknowledgement: &Acknowledgement) -> Result<Outcome, RequestError> {
        let post = self.http.post(self.provider.token.clone()).timeout(POLL_DEADLINE);
        let fields = [
            ("grant_type", GRANT),
            ("auth_req_id", acknowledgement.auth_req_id()),
        ];
        Ok(Outcome::of(answer(self.prover.prove(post, &fields)?).await))
    }

    async fn pinged(&self) {
        match &self.pings {
            Some(pings) => pings.arrived().await,
            None => pending().await,
        }
    }

    /// Checks the ID token, if there is one. Keys may have changed while the person thought.
    async fn check(&self, granted: &Granted) -> Result<(), RequestError> {
        let Some(token) = granted.id_token() else {
            return Ok(());
        };
        let name = &self.client.name;
        match self.keys.check(token, name) {
            Err(IdTokenError::UnknownKey) => {
                Ok(keys(&self.http, &self.provider).await?.check(token, name)?)
            }
            checked => Ok(checked?),
        }
    }

    async fn tell(&self, event: Event) {
        // Without a listener the future is about to be dropped.
        let _ = self.events.send(event).await;
    }
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}
