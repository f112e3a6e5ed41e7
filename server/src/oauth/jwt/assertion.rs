//! `private_key_jwt`: a client proves who it is with a JWT that it signed (RFC 7523 §3, OIDC Core §9).
//!
//! The assertion is read to find out which client it claims to be from; that client's keys then decide.

use store::UnixSeconds;

use super::{ClientKeys, Jws};
use crate::oauth::alg::Alg;
use crate::oauth::client::Client;
use crate::oauth::used::{Kind, Use, Used};
use crate::refusal::Refusal;

/// `client_assertion_type` (RFC 7523 §2.2).
pub(crate) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Bytes of an assertion: it may carry a chain of certificates.
const MAX_ASSERTION: usize = 16 * 1024;

/// How far ahead an assertion may end, seconds (C-077).
const LONGEST: u64 = 3600;

/// `typ` of an assertion, in any case. A signed request has one of its own, and is none.
const TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];

/// Every assertion that proves nothing gets the same answer (C-070).
const UNPROVEN: Refusal = Refusal::invalid_client();

const STORE_AWAY: Refusal = Refusal::unavailable("the store does not answer");

/// An assertion that nothing has checked yet.
pub(crate) struct Assertion<'a> {
    token: Jws<'a>,
    alg: Alg,
    client_id: String,
}

/// By which rules an assertion is judged.
pub(crate) struct AssertionRules<'a> {
    /// One of them must be in `aud` (C-076, C-083).
    pub(crate) audiences: &'a [&'a str],
    /// By how much the client's clock may differ, seconds.
    pub(crate) tolerance: u64,
}

impl<'a> Assertion<'a> {
    /// Reads an assertion as far as needed to look its client up.
    pub(crate) fn read(text: &'a str) -> Result<Self, Refusal> {
        Self::claimed(text).ok_or(UNPROVEN)
    }

    fn claimed(text: &'a str) -> Option<Self> {
        let token = Jws::read(text, MAX_ASSERTION)?;
        let is_one = |typ: &str| TYPES.iter().any(|own| own.eq_ignore_ascii_case(typ));
        token.typ().is_none_or(is_one).then_some(())?;
        let claims = token.unverified_claims()?;
        let client_id = claims.text("sub")?.to_owned();
        Some(Self {
            alg: token.alg()?,
            token,
            client_id,
        })
    }

    /// The client that the assertion claims to be from.
    pub(crate) fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Checks that the assertion is from this client, now, for us, and for the first time.
    pub(crate) async fn verify(
        &self,
        client: &Client,
        rules: &AssertionRules<'_>,
        keys: &ClientKeys,
        used: &Used,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        let registered = client.metadata.token_endpoint_auth_signing_alg;
        if registered.is_some_and(|alg| alg != self.alg) || self.client_id != client.id {
            return Err(UNPROVEN);
        }
        let signed = keys.claims_of_client(client, &self.token, self.alg).await;
        let claims = signed.ok_or(UNPROVEN)?;
        let is_from = |name| claims.text(name) == Some(&client.id);
        if !is_from("iss") || !is_from("sub") || !claims.is_for(rules.audiences) {
            return Err(UNPROVEN);
        }
        let times = claims.times().map_err(|_| UNPROVEN)?;
        let expires = times.expires.ok_or(UNPROVEN)?;
        let second = now.seconds();
        let is_timely = expires.saturating_add(rules.tolerance) > second
            && expires <= second.saturating_add(LONGEST + rules.tolerance)
            && times.have_begun(second, rules.tolerance);
        if !is_timely {
            return Err(UNPROVEN);
        }
        let jti = claims.text("jti").ok_or(UNPROVEN)?;
        let until = UnixSeconds::new(expires).plus(rules.tolerance);
        match used.once(Kind::Assertion, &client.id, jti, until, now).await {
            Ok(Use::First) => Ok(()),
            Ok(Use::Again) => Err(UNPROVEN),
            Ok(Use::TooMany(wait)) => Err(Refusal::busy("the client authenticates too often", wait)),
            Err(_) => Err(STORE_AWAY),
        }
    }
}
