//! Why the agent does not do what a client asks, in words that say what to type.

use ipc_proto::{ErrorCode, Failure, ProfileName};

use crate::server::Server;
use crate::session::{Handle, Phase, Purpose};

/// Checks that a session can be asked for new tokens.
pub(super) fn check_active(session: &Handle) -> Result<(), Failure> {
    let failure = match session.state().phase() {
        Phase::Active => return Ok(()),
        Phase::Pending => Failure::new(ErrorCode::NotLoggedIn, "a login is under way"),
        Phase::Failed(failure) => Failure::new(ErrorCode::LoginRequired, &failure.message),
        Phase::Ended => Failure::new(ErrorCode::LoginRequired, "the login was ended on the server"),
    };
    Err(with_hint(failure, session))
}

/// Adds what to type where a new login helps.
pub(super) fn with_hint(failure: Failure, session: &Handle) -> Failure {
    match failure.code {
        ErrorCode::LoginRequired | ErrorCode::NotLoggedIn => {
            let Purpose { profile, server, .. } = session.purpose();
            failure.hint(profile.login(&server.to_string()))
        }
        _ => failure,
    }
}

/// Checks that a login of a profile that has one already is for the same server: another server is another profile.
pub(super) fn check_server(session: &Handle, wanted: &Server) -> Result<(), Failure> {
    let Purpose { profile, server, .. } = session.purpose();
    if server == wanted {
        return Ok(());
    }
    let message = format!("profile '{profile}' is for {server}");
    let hint = format!("ciba stop --profile {profile}, or take another name: --profile NAME");
    Err(Failure::new(ErrorCode::BadRequest, message).hint(hint))
}

/// Returns the failure of a profile that has no login. `known` are those that have one.
pub(super) fn unknown(profile: &ProfileName, known: &[&str]) -> Failure {
    let login = profile.login("URL");
    if *profile == ProfileName::default() {
        return Failure::new(ErrorCode::NotLoggedIn, "nobody is logged in").hint(login);
    }
    let message = if known.is_empty() {
        format!("there is no profile '{profile}'")
    } else {
        format!("there is no profile '{profile}'; there is {}", known.join(", "))
    };
    Failure::new(ErrorCode::UnknownProfile, message).hint(login)
}

/// Returns the failure of a login beyond the most there may be.
pub(super) fn too_many() -> Failure {
    Failure::new(ErrorCode::Busy, "too many logins at once")
}
