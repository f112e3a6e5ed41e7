//! What every test of the server stands on: the program, those who talk to it, and the identity provider behind it.

pub(crate) mod browser;
pub(crate) mod ciba;
pub(crate) mod endpoint;
pub(crate) mod http2;
pub(crate) mod idp;
pub(crate) mod leak;
pub(crate) mod link;
pub(crate) mod login;
pub(crate) mod person;
pub(crate) mod pki;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod signer;
pub(crate) mod site;
pub(crate) mod socket;
#[path = "../../../src/outgoing/stand_in.rs"]
pub(crate) mod stand_in;

use ciba_tests::PATIENCE;

/// Waits for what has to happen.
pub(crate) async fn in_time<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, happens)
        .await
        .expect("it happens in time")
}

/// Looks again and again until there is something; `what` is for the message when there never is.
pub(crate) async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    ciba_tests::until(what, PATIENCE, look).await.unwrap()
}
