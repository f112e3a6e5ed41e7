//! Whether the servers of the logins can be reached, are what they should be, and have the same time: tokens are
//! judged by this machine's clock.

use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use futures_util::stream;
use http::header::DATE;
use ipc_proto::{Check, ProfileName, ProfileStatus};
use reqwest::Response;

use crate::failure::ASK_FOR_THE_URL;
use crate::server::Server;
use crate::server::client::{HttpError, client};

/// Time for a server to answer.
const DEADLINE: Duration = Duration::from_secs(8);

/// Servers that are asked at once.
const AT_ONCE: usize = 8;

/// Beyond this, tokens near their end are judged wrongly.
const DRIFT_WARNING: Duration = Duration::from_secs(30);

/// Beyond this, fresh tokens are, and certificates may be.
const DRIFT_FAILURE: Duration = Duration::from_secs(5 * 60);

/// The times of a server: what it said, and when it was asked and heard here.
struct Times {
    asked: SystemTime,
    said: SystemTime,
    heard: SystemTime,
}

/// Returns a check of each server, and of the clock beside it, in the order of the logins.
pub(super) async fn checks(logins: &[ProfileStatus]) -> Vec<Check> {
    let mut looks: Vec<(String, Option<ProfileName>)> = Vec::new();
    for ProfileStatus { url, .. } in logins {
        if !looks.iter().any(|(listed, _)| listed == url) {
            looks.push((url.clone(), only_login(logins, url)));
        }
    }
    let found = stream::iter(looks)
        .map(look)
        .buffered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    found.into_iter().flatten().collect()
}

/// Returns the login at a server, if there is no second one.
fn only_login(logins: &[ProfileStatus], url: &str) -> Option<ProfileName> {
    let mut here = logins.iter().filter(|login| login.url == url);
    let first = here.next()?;
    here.next().is_none().then(|| first.profile.clone())
}

async fn look((url, profile): (String, Option<ProfileName>)) -> Vec<Check> {
    let (server, clock) = match ask(&url).await {
        Ok(times) => (
            Check::ok("server", format!("{url} answers")),
            times.map(|times| clock(&url, &times)),
        ),
        Err(error) => (unwell(&url, error), None),
    };
    let of_profile = |check| Check {
        profile: profile.clone(),
        ..check
    };
    [Some(server), clock]
        .into_iter()
        .flatten()
        .map(of_profile)
        .collect()
}

/// Asks a server whether it is well. It need not say what time it is.
async fn ask(url: &str) -> Result<Option<Times>, HttpError> {
    let server = Server::parse(url).map_err(|_| HttpError::NotAServer)?;
    let asked = SystemTime::now();
    let get = client(&server)?.get(server.health()).timeout(DEADLINE);
    let response = get.send().await?;
    let heard = SystemTime::now();
    match response.status() {
        status if status.is_success() => Ok(date(&response).map(|said| Times { asked, said, heard })),
        status if status.is_server_error() => Err(HttpError::Fault(status.as_u16())),
        _ => Err(HttpError::NotAServer),
    }
}

fn date(response: &Response) -> Option<SystemTime> {
    let date = response.headers().get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok()
}

fn unwell(url: &str, error: HttpError) -> Check {
    let hint = match error {
        HttpError::NotAServer => ASK_FOR_THE_URL,
        HttpError::Fault(_) => "tell whoever runs the server",
        _ => "look at the network; cibad connects by itself as soon as it can",
    };
    Check::failure("server", format!("{url}: {error}")).hint(hint)
}

fn clock(url: &str, times: &Times) -> Check {
    let (drift, way) = drift(times);
    let with = match drift {
        drift if drift > DRIFT_FAILURE => Check::failure,
        drift if drift > DRIFT_WARNING => Check::warning,
        _ => return Check::ok("clock", format!("agrees with {url}")),
    };
    let message = format!("this machine is {} {way} {url}", length(drift));
    with("clock", message).hint("let the system set its clock: timedatectl set-ntp true")
}

/// Returns by how much this machine is wrong at least. The server's second has a beginning and an end, and it
/// lies between the asking and the hearing.
fn drift(times: &Times) -> (Duration, &'static str) {
    let end = times.said + Duration::from_secs(1);
    if let Ok(ahead) = times.asked.duration_since(end) {
        return (ahead, "ahead of");
    }
    let behind = times.said.duration_since(times.heard);
    (behind.unwrap_or_default(), "behind")
}

fn length(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use ipc_proto::{Link, SessionState, Verdict};

    use super::*;
    use crate::fake::{Fake, Tls};
    use crate::tls;

    fn login(profile: &str, url: &str) -> ProfileStatus {
        ProfileStatus {
            profile: profile.parse().unwrap(),
            url: url.into(),
            state: SessionState::Active,
            link: Link::Connected,
            subject: None,
            error: None,
            kept: None,
            expires_at: None,
            tokens: vec![],
        }
    }

    /// A server that answers a GET with this status, and with the time that is `ahead` of ours.
    async fn server(status: &str, ahead: i64) -> Fake {
        let fake = Fake::new().await;
        let now = SystemTime::now();
        let shift = Duration::from_secs(ahead.unsigned_abs());
        let said = if ahead < 0 { now - shift } else { now + shift };
        let date = httpdate::fmt_http_date(said);
        let answer =
            format!("HTTP/1.1 {status}\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        fake.state().upgrade = Some(answer.into_bytes());
        fake
    }

    async fn look_at(url: &str) -> Vec<(String, Verdict, String)> {
        tls::install();
        let checks = checks(&[login("work", url)]).await;
        checks
            .into_iter()
            .map(|check| (check.name, check.verdict, check.message))
            .collect()
    }

    #[tokio::test]
    async fn a_server_that_is_well_answers_and_has_our_time() {
        let fake = server("200 OK", 0).await;
        let url = fake.url();
        let expected = [
            ("server".into(), Verdict::Ok, format!("{url} answers")),
            ("clock".into(), Verdict::Ok, format!("agrees with {url}")),
        ];
        assert_eq!(look_at(&url).await, expected);
    }

    #[tokio::test]
    async fn a_wrong_clock_is_told_from_a_bad_one() {
        for (ahead, verdict, way) in [
            (90, Verdict::Warning, "behind"),
            (-90, Verdict::Warning, "ahead of"),
            (3600, Verdict::Failure, "behind"),
            (-3600, Verdict::Failure, "ahead of"),
        ] {
            let fake = server("200 OK", ahead).await;
            let found = look_at(&fake.url()).await;
            assert_eq!((found[0].1, found[1].1), (Verdict::Ok, verdict), "{ahead}");
            assert!(found[1].2.contains(way), "{}", found[1].2);
        }
    }

    #[test]
    fn the_limits_of_the_clock_are_what_they_are() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let heard_after = |ahead: Duration| Times {
            asked: start,
            said: start + ahead,
            heard: start,
        };
        for (ahead, verdict) in [
            (DRIFT_WARNING, Verdict::Ok),
            (DRIFT_WARNING + Duration::from_secs(1), Verdict::Warning),
            (DRIFT_FAILURE, Verdict::Warning),
            (DRIFT_FAILURE + Duration::from_secs(1), Verdict::Failure),
        ] {
            assert_eq!(clock("u", &heard_after(ahead)).verdict, verdict, "{ahead:?}");
        }
        let slow = Times {
            asked: start,
            said: start + Duration::from_secs(40),
            heard: start + Duration::from_secs(60),
        };
        assert_eq!(
            clock("u", &slow).verdict,
            Verdict::Ok,
            "a slow answer is no drift"
        );
    }

    #[tokio::test]
    async fn a_server_that_is_away_faulty_or_another_is_named() {
        let mut away = Fake::new().await;
        away.go_down().await;
        let faulty = server("503 Service Unavailable", 0).await;
        let other = server("404 Not Found", 0).await;
        let untrusted = Tls::new().await;
        for (url, message) in [
            (
                away.url(),
                "the server cannot be reached: it refuses the connection",
            ),
            (faulty.url(), "the server has a fault (HTTP status 503)"),
            (other.url(), "what answers at this URL is no ciba-server"),
            (
                untrusted.url(),
                "the server's certificate is not valid: this system does not trust its issuer",
            ),
        ] {
            let expected = [("server".into(), Verdict::Failure, format!("{url}: {message}"))];
            assert_eq!(look_at(&url).await, expected);
        }
    }

    #[tokio::test]
    async fn a_server_of_several_logins_is_asked_once() {
        tls::install();
        let (shared, own) = (server("200 OK", 0).await, server("200 OK", 0).await);
        let logins = [
            login("a", &shared.url()),
            login("b", &own.url()),
            login("c", &shared.url()),
        ];
        let found: Vec<_> = checks(&logins)
            .await
            .into_iter()
            .filter(|check| check.name == "server")
            .map(|check| check.profile)
            .collect();
        assert_eq!(found, [None, Some("b".parse().unwrap())]);
    }
}
