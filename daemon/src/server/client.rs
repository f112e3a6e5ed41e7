//! One HTTP exchange with a server: what asks it, and why nothing comes of it.

use std::io;
use std::time::Duration;

use reqwest::Client;
use reqwest::redirect::Policy;
use rustls::pki_types::InvalidDnsNameError;
use thiserror::Error;

use super::Server;
use crate::tls;

/// Time to reach the server.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Time for the whole exchange.
const DEADLINE: Duration = Duration::from_secs(15);

/// Why a server gives no answer that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum HttpError {
    #[error("this system has no certificate authorities to trust")]
    NoTrust,
    #[error("the server's certificate is not valid: {0}")]
    Certificate(&'static str),
    #[error("the server does not answer in time")]
    Slow,
    #[error("the server cannot be reached: {0}")]
    Unreachable(Unreached),
    #[error("the connection to the server broke")]
    Broken,
    #[error("what answers at this URL is no ciba-server")]
    NotAServer,
    /// It says so itself, with this HTTP status.
    #[error("the server has a fault (HTTP status {0})")]
    Fault(u16),
}

/// Why no connection to a server comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum Unreached {
    #[error("its name is not known")]
    Name,
    #[error("it refuses the connection")]
    Refused,
    #[error("it does not speak TLS")]
    Tls,
    #[error("no way leads there")]
    Other,
}

impl Unreached {
    fn of(error: &reqwest::Error) -> Self {
        let reasons = tls::causes(error).filter_map(|cause| {
            // The HTTP client's error of a look-up has no type of its own.
            if cause.to_string() == "dns error" || cause.is::<InvalidDnsNameError>() {
                return Some(Self::Name);
            }
            match cause.downcast_ref().map(io::Error::kind) {
                Some(io::ErrorKind::ConnectionRefused) => Some(Self::Refused),
                // It hung up on the first words of TLS.
                Some(io::ErrorKind::UnexpectedEof) => Some(Self::Tls),
                _ => cause.is::<rustls::Error>().then_some(Self::Tls),
            }
        });
        reasons.last().unwrap_or(Self::Other)
    }
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        match tls::certificate_problem(&error) {
            Some(problem) => Self::Certificate(problem),
            None if error.is_timeout() => Self::Slow,
            None if error.is_connect() => Self::Unreachable(Unreached::of(&error)),
            None => Self::Broken,
        }
    }
}

/// Makes what asks a server. It is made for one exchange: one that is kept would hold pools, and the system's
/// certificates.
pub(crate) fn client(server: &Server) -> Result<Client, HttpError> {
    client_for(server.is_encrypted())
}

/// The same for anything that speaks HTTP: with TLS, or without it on this machine.
pub(crate) fn client_for(is_encrypted: bool) -> Result<Client, HttpError> {
    let builder = Client::builder()
        // The WebSocket knows no proxy: a login must not begin where it cannot be followed.
        .no_proxy()
        .connect_timeout(CONNECT_DEADLINE)
        .timeout(DEADLINE)
        .redirect(Policy::none());
    let builder = if is_encrypted {
        builder.https_only(true)
    } else {
        // No certificate is asked for on this machine.
        builder.tls_certs_only([])
    };
    builder.build().map_err(|_| HttpError::NoTrust)
}
