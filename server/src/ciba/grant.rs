//! Grant `urn:openid:params:grant-type:ciba`: a client asks whether the person has decided, and gets its tokens once
//! (CIBA Core §10.1, §11; C-260 … C-278).

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::decide::No;
use super::name::Name;
use super::open::Held;
use super::provider::Ciba;
use super::request::{Fixed, Request, Stage, Standing};
use super::requests::RequestsError;
use crate::cause::chain;
use crate::clock::now;
use crate::config::Mode;
use crate::oauth::allowed::may_have;
use crate::oauth::client::{CIBA_GRANT, Client};
use crate::oauth::grants::Grant;
use crate::oauth::issue::{Delivery, IssueError, TokenResponse};
use crate::oauth::parameters::Parameters;
use crate::oauth::token_endpoint::GrantType;
use crate::refusal::Refusal;

const NO_ID: Refusal = Refusal::invalid_request("auth_req_id is missing");
const UNKNOWN: Refusal = Refusal::invalid_grant("the auth_req_id is unknown, or its tokens were handed out");
const PUSHED: Refusal = Refusal::unauthorized_client("the tokens are sent to the client");
const NO_USER: Refusal = Refusal::invalid_grant("the user is gone");
const EXPIRED: Refusal = Refusal::expired_token("the request has expired");
const REJECTED: Refusal = Refusal::rejected("the user said no");
const PENDING: Refusal = Refusal::authorization_pending();
const SLOW_DOWN: Refusal = Refusal::slow_down("the client polls too fast");
const BAD_RESOURCE: Refusal = Refusal::invalid_target("a resource is not among those of the request");
const NOT_READ: Refusal = Refusal::unavailable("the request cannot be read now");
const NOT_ISSUED: Refusal = Refusal::server_error("the tokens could not be made");
const LEAVING: Refusal = Refusal::unavailable("the server restarts");

/// How a poll goes on.
enum Next<'a> {
    Answer(Box<Request>),
    /// At most until the request expires.
    Hold(Held<'a>, Duration),
}

impl GrantType for Ciba {
    /// A push client never asks, but where its delivery may have failed (C-262, C-374).
    fn admits(&self, client: &Client) -> bool {
        match client.metadata.backchannel_token_delivery_mode {
            Some(Mode::Push) => client.metadata.terms.poll_after_push,
            _ => client.has_grant(CIBA_GRANT),
        }
    }

    fn redeem<'a>(
        &'a self,
        client: &'a Client,
        request: &'a Parameters,
        certificate: Option<String>,
    ) -> BoxFuture<'a, Result<TokenResponse, Refusal>> {
        self.poll(client, request, certificate).boxed()
    }
}

impl Ciba {
    /// What a poll needs before and after it is held is in boxes of its own: thousands may be held.
    async fn poll(
        &self,
        client: &Client,
        parameters: &Parameters,
        certificate: Option<String>,
    ) -> Result<TokenResponse, Refusal> {
        let name = Name::of(parameters.get("auth_req_id").ok_or(NO_ID)?);
        let request = match Box::pin(self.looked_up(&name, client)).await? {
            Next::Answer(request) => request,
            Next::Hold(held, left) => {
                self.wait(held, left).await?;
                Box::pin(self.alive(&name, client)).await.map(Box::new)?
            }
        };
        Box::pin(self.answer(&name, client, (*request, certificate), parameters)).await
    }

    /// Reads the request. A poll that is too soon ends here.
    async fn looked_up(&self, name: &Name, client: &Client) -> Result<Next<'_>, Refusal> {
        let request = self.alive(name, client).await?;
        // Only a request that is still pending tells a client to slow down (C-273).
        if request.stage != Stage::Pending {
            return Ok(Next::Answer(Box::new(request)));
        }
        let is_held = !self.config.long_poll.is_zero();
        let polled = self.open.poll(name, is_held).map_err(|_| SLOW_DOWN)?;
        if !is_held {
            return Ok(Next::Answer(Box::new(request)));
        }
        // The decision may have come before the poll was held.
        let request = self.alive(name, client).await?;
        Ok(match polled {
            Some(held) if request.stage == Stage::Pending => Next::Hold(held, left(&request)),
            _ => Next::Answer(Box::new(request)),
        })
    }

    /// Waits until the request is decided or has expired, or until a poll is held no longer (C-277).
    async fn wait(&self, held: Held<'_>, left: Duration) -> Result<(), Refusal> {
        tokio::select! {
            () = held.rung(self.config.long_poll.min(left)) => Ok(()),
            () = self.shutdown.begun().cancelled() => Err(LEAVING),
        }
    }

    async fn answer(
        &self,
        name: &Name,
        client: &Client,
        (mut request, certificate): (Request, Option<String>),
        parameters: &Parameters,
    ) -> Result<TokenResponse, Refusal> {
        match request.stage {
            Stage::Pending => Err(PENDING),
            Stage::Rejected => Err(REJECTED),
            Stage::Approved(_) => {
                // What is polled for is bound to the certificate of the poll, not of the request.
                request.certificate = certificate;
                self.hand_out(name, client, request, parameters).await
            }
            Stage::Redeemed | Stage::Delivered | Stage::Failed => Err(UNKNOWN),
        }
    }

    /// Returns the request, if it is this client's and not over in one of the ways that come first (C-264 … C-267).
    async fn alive(&self, name: &Name, client: &Client) -> Result<Request, Refusal> {
        let found = self.requests.find(name).await.map_err(|error| unread(&error))?;
        // Another client's looks like none (C-264).
        let own = found.filter(|request| request.is_of(client));
        let request = own.ok_or(UNKNOWN)?;
        if request.mode == Mode::Push && !may_poll(&request) {
            return Err(PUSHED);
        }
        match request.standing(now().seconds()) {
            Standing::Over => Err(UNKNOWN),
            Standing::Expired => Err(EXPIRED),
            Standing::Pending | Standing::Rejected | Standing::Approved(_) => {
                self.person_of(&request).await.map_err(unpersoned)?;
                Ok(request)
            }
        }
    }

    /// Makes the tokens, then marks the request as redeemed, then lets them out (C-274). So a failure before the mark leaves
    /// the request as it was, and one after it costs the answer at most.
    async fn hand_out(
        &self,
        name: &Name,
        client: &Client,
        request: Request,
        parameters: &Parameters,
    ) -> Result<TokenResponse, Refusal> {
        let resources = self.resources(client, &request, parameters)?;
        let grant = granted(&request, resources);
        let made = self.issuer.begin(client, grant, Delivery::Asked).await;
        let (grant, response) = made.map_err(|error| unissued(&error))?;
        let redeemed = self
            .requests
            .edit(name, |request| request.redeem(now().seconds()))
            .await;
        let refused = match redeemed {
            Ok(Some(Ok(_))) => return Ok(response),
            Ok(Some(Err(Fixed::Expired))) => EXPIRED,
            Ok(Some(Err(Fixed::Elsewhere)) | None) => UNKNOWN,
            Err(error) => unread(&error),
        };
        if let Err(error) = self.issuer.grants.revoke(&grant).await {
            tracing::warn!(
                error = chain(&error),
                "a grant that was not handed out could not be taken back"
            );
        }
        Err(refused)
    }

    /// C-272: what the client asks for now is among what the person approved; where the request named none, what the client
    /// may have.
    fn resources(
        &self,
        client: &Client,
        request: &Request,
        parameters: &Parameters,
    ) -> Result<Vec<String>, Refusal> {
        let asked: Vec<String> = parameters.all("resource").map(str::to_owned).collect();
        let is_good = |resource: &String| match &*request.resources {
            [] => may_have(client, &self.oauth, resource),
            granted => granted.contains(resource),
        };
        if !asked.iter().all(is_good) {
            return Err(BAD_RESOURCE);
        }
        Ok(if asked.is_empty() {
            request.resources.clone()
        } else {
            asked
        })
    }
}

/// What a person granted (C-301, C-303, C-304).
pub(super) fn granted(request: &Request, resources: Vec<String>) -> Grant {
    let mut grant = Grant::new(&request.client_id, request.sub.as_deref(), request.scope.clone());
    grant.resources = resources;
    grant.authorization_details = request.authorization_details.clone();
    grant.agent = request
        .agent_claims
        .as_ref()
        .and_then(|claims| claims.get("agent").cloned());
    grant.certificate = request.certificate.clone();
    if let Stage::Approved(approval) = &request.stage {
        grant.auth_time = Some(approval.auth_time);
        grant.acr = approval.acr.clone();
        grant.amr = approval.amr.clone();
    }
    grant
}

/// Returns how long a request has left.
fn left(request: &Request) -> Duration {
    Duration::from_secs(request.expires_at.saturating_sub(now().seconds()))
}

/// Whether a push client, whose delivery has failed, may ask for the tokens (C-374).
fn may_poll(request: &Request) -> bool {
    matches!(&request.stage, Stage::Approved(approval) if approval.may_poll)
        || matches!(request.stage, Stage::Redeemed)
}

fn unpersoned(no: No) -> Refusal {
    match no {
        No::PersonGone => NO_USER,
        _ => NOT_READ,
    }
}

fn unread(error: &RequestsError) -> Refusal {
    tracing::error!(error = chain(error), "a request could not be read or changed");
    NOT_READ
}

fn unissued(error: &IssueError) -> Refusal {
    tracing::error!(error = chain(error), "tokens could not be made");
    NOT_ISSUED
}
