//! The desktop is told before a login ends: a real session bus with a notification service on it, and a provider whose
//! login lasts seconds and cannot be renewed.

use std::collections::HashMap;
use std::fs;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use ciba_tests::{Keyring, PATIENCE, Server, confirm, until};
use zbus::zvariant::OwnedValue;
use zbus::{Connection, connection, interface};

use crate::site::{Site, UNASKED};

/// A login of eight seconds. Its person is told when a quarter of it is left.
const SHORT: [&str; 4] = ["--refresh", "never", "--at-ttl", "8"];

/// A desktop on a bus of its own.
pub(crate) struct Desktop {
    bus: Keyring,
    shown: Arc<Mutex<Vec<Shown>>>,
    service: Connection,
}

/// One call of `Notify`.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    application: String,
    pub(crate) summary: String,
    body: String,
    /// Each action's name, and what is written on its button.
    pub(crate) actions: Vec<String>,
}

struct Service {
    shown: Arc<Mutex<Vec<Shown>>>,
    is_stuck: bool,
}

fn locked(shown: &Mutex<Vec<Shown>>) -> MutexGuard<'_, Vec<Shown>> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The Desktop Notifications Specification, as much of it as is called.
#[interface(name = "org.freedesktop.Notifications")]
impl Service {
    fn get_capabilities(&self) -> Vec<String> {
        vec!["actions".into(), "body".into()]
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's")]
    async fn notify(
        &self,
        application: String,
        _replaces: u32,
        _icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _timeout: i32,
    ) -> u32 {
        locked(&self.shown).push(Shown {
            application,
            summary,
            body,
            actions,
        });
        if self.is_stuck {
            return pending().await;
        }
        1
    }
}

impl Desktop {
    /// One that is stuck takes every call and answers none.
    pub(crate) async fn new(is_stuck: bool) -> Result<Self> {
        let bus = Keyring::bus_without_service().await?;
        let shown = Arc::default();
        let service = Service {
            shown: Arc::clone(&shown),
            is_stuck,
        };
        let service = connection::Builder::address(bus.env().1)?
            .serve_at("/org/freedesktop/Notifications", service)?
            .name("org.freedesktop.Notifications")?;
        Ok(Self {
            service: service.build().await?,
            bus,
            shown,
        })
    }

    /// The variable, and its value, by which programs find its bus.
    pub(crate) fn env(&self) -> (&'static str, &str) {
        self.bus.env()
    }

    /// Says that the person has pressed a button of the last notification.
    pub(crate) async fn press(&self, action: &str) -> Result<()> {
        let name = "org.freedesktop.Notifications";
        let path = "/org/freedesktop/Notifications";
        let pressed = (1_u32, action);
        let told = self
            .service
            .emit_signal(None::<&str>, path, name, "ActionInvoked", &pressed);
        Ok(told.await?)
    }

    fn shown(&self) -> Vec<Shown> {
        locked(&self.shown).clone()
    }

    pub(crate) async fn until_shown(&self, count: usize) -> Result<Vec<Shown>> {
        until("notifications", PATIENCE, async || {
            let shown = self.shown();
            (shown.len() >= count).then_some(shown)
        })
        .await
    }

    /// Waits until a process has no connection to the bus.
    async fn until_left_by(&self, process: u32) -> Result<()> {
        until("an idle daemon without a bus", PATIENCE, async || {
            let count = self.bus.connections_of(process).await.ok()?;
            (count == 0).then_some(())
        })
        .await
    }
}

/// A site whose user has this configuration, and a desktop.
async fn site(config: &str, desktop: Option<&Desktop>) -> Result<(Site, Server)> {
    let mut site = Site::new(&[UNASKED, SHORT].concat()).await?;
    if let Some(desktop) = desktop {
        let (variable, address) = desktop.bus.env();
        site.world.set(variable, address);
    }
    let folder = site.world.home().join(".config/ciba");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), config)?;
    let server = site.server().await?;
    let login = site.world.begin_login(&["start", "--url", &server.url]).await?;
    confirm(&login.page).await?;
    let _ = login.end().await?.success();
    Ok((site, server))
}

/// Asks for tokens until the login yields none.
async fn until_over(site: &Site) -> Result<()> {
    until("the end of the login", PATIENCE, async || {
        let output = site.world.ciba(&["token"]).await.ok()?;
        (output.code() == Some(3)).then_some(())
    })
    .await
}

fn log(site: &Site) -> Result<String> {
    let folder = site.world.home().join(".local/state/ciba");
    let mut log = String::new();
    for file in fs::read_dir(folder)? {
        log += &fs::read_to_string(file?.path())?;
    }
    Ok(log)
}

#[tokio::test]
async fn the_desktop_is_told_once_before_and_once_after_the_end() -> Result<()> {
    let desktop = Desktop::new(false).await?;
    let (site, server) = site("", Some(&desktop)).await?;
    let daemon = u32::try_from(site.world.daemon().context("a daemon")?.as_raw_nonzero().get())?;
    desktop.until_left_by(daemon).await?;

    let shown = desktop.until_shown(1).await?;
    assert_eq!(shown.len(), 1);
    let first = &shown[0];
    assert_eq!((first.application.as_str(), first.actions.len()), ("ciba", 0));
    let before = format!("Your login at {} ends at ", server.url);
    assert!(first.summary.starts_with(&before), "{first:?}");
    let to_type = format!("To log in again, type: ciba start --url {}", server.url);
    assert_eq!(first.body, to_type);

    until_over(&site).await?;
    let shown = desktop.until_shown(2).await?;
    let after = format!("Your login at {} has ended", server.url);
    assert_eq!((&shown[1].summary, &shown[1].body), (&after, &to_type));

    for _ in 0..3 {
        assert_eq!(site.world.ciba(&["token"]).await?.code(), Some(3));
    }
    desktop.until_left_by(daemon).await?;
    assert_eq!(desktop.shown().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_desktop_that_hangs_holds_up_nothing() -> Result<()> {
    let desktop = Desktop::new(true).await?;
    let (site, _server) = site("", Some(&desktop)).await?;
    desktop.until_shown(1).await?;
    until_over(&site).await?;
    desktop.until_shown(2).await.map(drop)
}

#[tokio::test]
async fn who_wants_no_notifications_gets_none() -> Result<()> {
    let desktop = Desktop::new(false).await?;
    let (site, _server) = site("[daemon]\nnotifications = false\n", Some(&desktop)).await?;
    until_over(&site).await?;
    assert_eq!(desktop.shown().len(), 0);
    Ok(())
}

#[tokio::test]
async fn without_a_desktop_nothing_is_said() -> Result<()> {
    let (site, _server) = site("", None).await?;
    until_over(&site).await?;
    let log = log(&site)?;
    assert!(log.contains("ends soon"), "{log}");
    assert!(!log.contains("notification") && !log.contains("WARN"), "{log}");
    Ok(())
}
