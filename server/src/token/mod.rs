//! What the server asks the identity provider for, and which resources devices get tokens for.

mod discovery;
mod error;
mod exchange;
mod grant;
mod login;
mod oidc;
mod provider;
mod refresh;
mod resource;
mod response;
mod revoke;

pub(crate) use error::ProviderError;
pub(crate) use grant::{AccessToken, Grant};
pub(crate) use login::{Asked, Person, Proof, Redeem, SignedIn};
pub(crate) use provider::Provider;
pub(crate) use resource::{ExchangeFor, Target, target};
pub(crate) use revoke::Kind;
