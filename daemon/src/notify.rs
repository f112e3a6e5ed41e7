//! Tells the desktop that a login ends or has ended, before its person learns it from a command that fails, and that a
//! request waits for a decision. It shows what to type and opens nothing; without a desktop it stays silent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use ipc_proto::{Approval, ErrorCode, Event, ProfileName, ProfileStatus, SessionState};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use notify_rust::Notification;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tracing::{debug, info};

use crate::agent::Agent;
use crate::config::Settings;
use crate::printable::printable;

/// Time for the desktop to take a notification. Some services hang.
const DEADLINE: Duration = Duration::from_secs(5);

/// Characters of each of its texts.
const MAX_TEXT: usize = 300;

/// Characters of a client's name.
const MAX_NAME: usize = 80;

/// Characters of what a client says: what to type has to follow it.
const MAX_MESSAGE: usize = 200;

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Notice {
    summary: String,
    body: String,
}

/// Follows the agent's events, for ever.
pub(crate) async fn notify(events: Receiver<Event>, agent: &Agent, settings: &Settings) -> Infallible {
    follow(events, agent, settings, show).await;
    // The agent has ended, and with it soon the daemon.
    pending().await
}

async fn follow(
    mut events: Receiver<Event>,
    agent: &Agent,
    settings: &Settings,
    mut show: impl AsyncFnMut(Notice),
) {
    let mut last = HashMap::new();
    loop {
        match events.recv().await {
            Ok(event) if settings.notifications() => {
                if let Some(notice) = news(event, agent, &mut last).await {
                    // In a box: what waits for the next event all day is small.
                    Box::pin(show(notice)).await;
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Returns what an event makes worth showing, unless it was the `last` thing shown of that login. A request is told of once
/// by its event.
async fn news(event: Event, agent: &Agent, last: &mut HashMap<ProfileName, Notice>) -> Option<Notice> {
    let (profile, ends_at) = match event {
        Event::Approval { approval, .. } => return Some(Notice::of_request(&approval)),
        Event::Expiring { profile, expires_at } => (profile, Some(expires_at)),
        Event::Session {
            profile,
            state: SessionState::Failed,
            error: Some(failure),
        } if failure.code == ErrorCode::LoginRequired => (profile, None),
        Event::Session { profile, .. } => {
            last.remove(&profile);
            return None;
        }
        _ => return None,
    };
    let status = agent.status(Some(&profile)).await.ok()?.profiles.pop()?;
    // A login that never was one ends nothing.
    status.kept.as_ref()?;
    let notice = Notice::of(&status, ends_at);
    (last.insert(profile, notice.clone()).as_ref() != Some(&notice)).then_some(notice)
}

impl Notice {
    /// `ends_at` is in Unix seconds; without it the login has ended.
    fn of(status: &ProfileStatus, ends_at: Option<u64>) -> Self {
        let end = ends_at.map_or_else(
            || "has ended".into(),
            |at| match clock(at, TimeZone::system()) {
                Some(time) => format!("ends at {time}"),
                None => "ends soon".into(),
            },
        );
        let summary = format!("Your login at {} {end}", status.url);
        let body = format!("To log in again, type: {}", status.log_in_again());
        Self {
            summary: printable(&summary, MAX_TEXT),
            body: printable(&body, MAX_TEXT),
        }
    }
}

impl Notice {
    /// What the client says stands in quotation marks, as its own words.
    fn of_request(approval: &Approval) -> Self {
        let name = printable(&approval.client_name, MAX_NAME);
        let said = approval.binding_message.as_deref().unwrap_or_default();
        let said = match printable(said, MAX_MESSAGE) {
            said if said.is_empty() => String::new(),
            said => format!("It says: \u{201c}{said}\u{201d}. "),
        };
        let body = format!(
            "{said}To see it and decide, type: ciba approve {}",
            approval.handle()
        );
        Self {
            summary: format!("\u{201c}{name}\u{201d} asks for your approval"),
            body: printable(&body, MAX_TEXT),
        }
    }
}

/// Returns the hour and minute of a time in Unix seconds.
fn clock(at: u64, zone: TimeZone) -> Option<String> {
    let at = Timestamp::from_second(i64::try_from(at).ok()?).ok()?;
    Some(at.to_zoned(zone).strftime("%H:%M").to_string())
}

async fn show(notice: Notice) {
    match timeout(DEADLINE, desktop::show(notice)).await {
        Ok(Ok(())) => info!("the desktop shows a notice"),
        // There is none, or it has no place for notifications.
        Ok(Err(error)) => debug!(%error, "no notification"),
        Err(_) => debug!("the desktop takes no notification in time"),
    }
}

fn notification(notice: &Notice, body: &str) -> Notification {
    let mut notification = Notification::new();
    notification
        .appname("ciba")
        .icon("dialog-password")
        .summary(&notice.summary)
        .body(body);
    notification
}

/// The session bus. The connection lasts as long as the call.
#[cfg(target_os = "linux")]
mod desktop {
    use notify_rust::error::Result;

    use super::{Notice, notification};

    pub(super) async fn show(notice: Notice) -> Result<()> {
        let notification = notification(&notice, &escaped(&notice.body));
        notification.show_async().await.map(drop)
    }

    /// A body is markup (Desktop Notifications Specification, "Markup"); a summary is not.
    pub(super) fn escaped(text: &str) -> String {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    }
}

/// Notification Center, which answers in its own time.
#[cfg(target_os = "macos")]
mod desktop {
    use std::io;

    use notify_rust::error::Result;
    use notify_rust::set_application;
    use tokio::task::spawn_blocking;

    use super::{Notice, notification};

    /// In whose name it is shown: every Mac has it. Without one the system asks the person where "use_default" is.
    const APPLICATION: &str = "com.apple.Terminal";

    pub(super) async fn show(notice: Notice) -> io::Result<()> {
        let shown = spawn_blocking(move || send(&notice)).await?;
        shown.map_err(io::Error::other)
    }

    fn send(notice: &Notice) -> Result<()> {
        // From the second time on it is set already.
        let _ = set_application(APPLICATION);
        notification(notice, &notice.body).show().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use device_proto::{RequestId, ResourceUrn};
    use ipc_proto::{Failure, Kept, KeychainKind, Link};
    use tokio::sync::broadcast;

    use super::*;
    use crate::agent::StartAsk;
    use crate::fake::Fake;
    use crate::keychain::{Item, Keychains};
    use crate::lifecycle::Shutdown;
    use crate::secret::Secret;
    use crate::server::Server;

    fn status(url: &str) -> ProfileStatus {
        ProfileStatus {
            profile: "work".parse().unwrap(),
            url: url.into(),
            state: SessionState::Active,
            link: Link::Connected,
            subject: None,
            error: None,
            kept: Some(Kept {
                keychain: KeychainKind::Memory,
                problem: None,
            }),
            expires_at: None,
            tokens: vec![],
        }
    }

    #[test]
    fn a_notice_says_what_happens_where_and_what_to_type() {
        let notice = Notice::of(&status("https://c.example"), None);
        assert_eq!(notice.summary, "Your login at https://c.example has ended");
        assert_eq!(
            notice.body,
            "To log in again, type: ciba start --profile work --url https://c.example"
        );
        let notice = Notice::of(&status("https://c.example"), Some(0));
        let time = notice
            .summary
            .strip_prefix("Your login at https://c.example ends at ")
            .unwrap();
        assert_eq!((time.len(), &time[2..3]), (5, ":"));
    }

    fn request(name: &str, message: Option<&str>) -> Approval {
        Approval {
            request: "k3Qz-x7_".repeat(5),
            client_name: name.into(),
            client_uri: None,
            client_vouched: false,
            scope: vec![],
            resources: vec![],
            binding_message: message.map(Into::into),
            authorization_details: None,
            agent: None,
            created_at: 0,
            expires_at: 0,
            url: "https://c.example/ciba/approve?auth_req_id=secret".into(),
            answer: ipc_proto::AnswerAt::Terminal,
        }
    }

    #[test]
    fn c_211_a_notice_of_a_request_quotes_its_client_and_holds_no_secret() {
        let notice = Notice::of_request(&request("Shop", Some("Pay 20 EUR")));
        assert_eq!(notice.summary, "\u{201c}Shop\u{201d} asks for your approval");
        assert_eq!(
            notice.body,
            "It says: \u{201c}Pay 20 EUR\u{201d}. To see it and decide, type: ciba approve k3Qz-x7_"
        );
        let long = "x".repeat(1_000);
        let notice = Notice::of_request(&request(&long, Some(&format!("\u{202e}\n{long}"))));
        assert!(
            notice.body.ends_with(": ciba approve k3Qz-x7_"),
            "{}",
            notice.body
        );
        assert!(notice.summary.chars().count() < 120);
        assert!(!notice.body.contains(['\n', '\u{202e}']));
        let notice = Notice::of_request(&request("Shop", None));
        assert_eq!(notice.body, "To see it and decide, type: ciba approve k3Qz-x7_");
    }

    #[tokio::test]
    async fn c_211_a_request_is_shown_unless_the_person_wants_no_notices() {
        let approval = || Event::Approval {
            profile: "work".parse().unwrap(),
            approval: Box::new(request("Shop", None)),
        };
        let once = shown(&Settings::of_nobody(), [approval()]).await;
        assert_eq!(once, ["\u{201c}Shop\u{201d} asks for your approval"]);
        let off = Settings::of("[daemon]\nnotifications = false");
        assert!(shown(&off, [approval()]).await.is_empty());
    }

    #[test]
    fn a_time_is_that_of_its_place() {
        let zone = |hours| TimeZone::fixed(jiff::tz::offset(hours));
        assert_eq!(clock(1_800_000_000, zone(0)).unwrap(), "08:00");
        assert_eq!(clock(1_800_000_059, zone(-9)).unwrap(), "23:00");
        assert_eq!(clock(u64::MAX, zone(0)), None);
    }

    #[test]
    fn what_is_shown_is_no_markup_and_has_a_length() {
        let url = format!("https://c.example/<b>&\u{202e}\n{}", "x".repeat(1_000));
        let notice = Notice::of(&status(&url), None);
        for text in [&notice.summary, &notice.body] {
            assert_eq!(text.chars().count(), MAX_TEXT);
            assert!(!text.contains(['\n', '\u{202e}']));
        }
        #[cfg(target_os = "linux")]
        assert!(desktop::escaped(&notice.body).contains("/&lt;b&gt;&amp;xxx"));
    }

    /// Returns what is shown when these things happen to a daemon where 'work' is logged in and 'default' is not yet.
    async fn shown(settings: &Settings, happening: impl IntoIterator<Item = Event>) -> Vec<String> {
        crate::tls::install();
        let server = Fake::new().await;
        let agent = Agent::new(Shutdown::default(), Keychains::new([]), Settings::of_nobody());
        let mut resumed = agent.watch();
        agent.resume(login().into());
        resumed.recv().await.unwrap();
        let _pending = agent.start(ask(&server)).await.unwrap();
        let (sender, events) = broadcast::channel(16);
        for event in happening {
            sender.send(event).unwrap();
        }
        drop(sender);
        let mut shown = Vec::new();
        follow(events, &agent, settings, async |notice| {
            shown.push(notice.summary);
        })
        .await;
        shown
    }

    fn login() -> Item {
        Item {
            keychain: KeychainKind::Memory,
            profile: "work".parse().unwrap(),
            server: Server::parse("http://127.0.0.1:9").unwrap(),
            session: RequestId::from_random([7; 16]),
            resource: ResourceUrn::default(),
            secret: Secret::draw().unwrap(),
        }
    }

    fn ask(server: &Fake) -> StartAsk {
        StartAsk::of(&server.url(), None, None, false, None).unwrap()
    }

    fn expiring(profile: &str, expires_at: u64) -> Event {
        Event::Expiring {
            profile: profile.parse().unwrap(),
            expires_at,
        }
    }

    fn session(profile: &str, state: SessionState, error: Option<ErrorCode>) -> Event {
        Event::Session {
            profile: profile.parse().unwrap(),
            state,
            error: error.map(|code| Failure::new(code, "")),
        }
    }

    fn failed(profile: &str, code: ErrorCode) -> Event {
        session(profile, SessionState::Failed, Some(code))
    }

    #[tokio::test]
    async fn the_same_is_shown_once() {
        let settings = Settings::of_nobody();
        let ended = || failed("work", ErrorCode::LoginRequired);
        let happening = [
            expiring("work", 1_800_000_000),
            expiring("work", 1_800_000_001),
            ended(),
            ended(),
        ];
        let once = shown(&settings, happening).await;
        assert_eq!(once.len(), 2, "{once:?}");
        assert!(once[0].contains(" ends at "), "{once:?}");
        assert!(once[1].ends_with(" has ended"), "{once:?}");

        let active = session("work", SessionState::Active, None);
        let twice = shown(&settings, [ended(), active, ended()]).await;
        assert_eq!(twice.len(), 2, "another login ended: {twice:?}");
    }

    #[tokio::test]
    async fn what_ends_no_login_is_not_shown() {
        let happening = || {
            [
                failed("default", ErrorCode::LoginRequired),
                failed("nobody", ErrorCode::LoginRequired),
                failed("work", ErrorCode::LoginDenied),
                session("work", SessionState::Ended, None),
                session("work", SessionState::Active, None),
            ]
        };
        let none: [&str; 0] = [];
        assert_eq!(shown(&Settings::of_nobody(), happening()).await, none);
        let off = Settings::of("[daemon]\nnotifications = false");
        assert_eq!(shown(&off, [expiring("work", 1_800_000_000)]).await, none);
    }
}
