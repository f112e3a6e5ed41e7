//! Telling a person that a client asks for their consent, in the ways that the operator configured: a program, a webhook,
//! a mail. Each gets one try; a failure is logged and counted, and the request goes on (C-210, C-144).

mod error;
mod mail;
mod notice;
#[cfg(test)]
mod tests;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::error::NotifyError;
use self::mail::Mail;
pub(crate) use self::notice::Notice;
use self::webhook::Webhook;
use super::places::Places;
use crate::config::Notify;
use crate::outgoing::Authorities;
use crate::program::Program;

/// How long one way of telling may take (C-210).
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// Notices that are being told at once: each may be a process.
const MAX_AT_ONCE: usize = 32;

/// Notices of one client that are being told at once.
const MAX_AT_ONCE_OF_CLIENT: usize = 8;

/// Notices under way, those that wait among them. One has some KiB.
const MAX_UNDER_WAY: usize = 1024;

/// Notices of one client that are under way.
const MAX_UNDER_WAY_OF_CLIENT: usize = MAX_UNDER_WAY / 2;

/// Tells people; a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Notifier {
    ways: Arc<[Way]>,
    tasks: TaskTracker,
    forced: CancellationToken,
    under_way: Places,
    at_once: Places,
    failures: Arc<AtomicU64>,
    within: Duration,
}

/// One way of telling.
enum Way {
    Command(Program),
    Webhook(Webhook),
    Mail(Mail),
}

impl Notifier {
    /// `tasks` are waited for when the server leaves, until `forced` is cancelled.
    ///
    /// # Errors
    ///
    /// The certificates of the system cannot be read.
    pub(crate) fn new(
        settings: &Notify,
        authorities: &Authorities,
        tasks: TaskTracker,
        forced: CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut ways = Vec::new();
        if let Some(argv) = &settings.command {
            ways.push(Way::Command(Program::new(argv.clone())));
        }
        if let Some(webhook) = &settings.webhook {
            let webhook = Webhook::new(webhook, authorities);
            ways.push(Way::Webhook(webhook.context("preparing ciba.notify.webhook")?));
        }
        if let Some(mail) = &settings.mail {
            let mail = Mail::new(mail, authorities, TELL_WITHIN);
            ways.push(Way::Mail(mail.context("preparing ciba.notify.mail")?));
        }
        Ok(Self {
            ways: ways.into(),
            tasks,
            forced,
            under_way: Places::new(MAX_UNDER_WAY, MAX_UNDER_WAY_OF_CLIENT),
            at_once: Places::new(MAX_AT_ONCE, MAX_AT_ONCE_OF_CLIENT),
            failures: Arc::default(),
            within: TELL_WITHIN,
        })
    }

    /// Whether people are told in any way at all.
    pub(crate) fn has_ways(&self) -> bool {
        !self.ways.is_empty()
    }

    /// Begins to tell a person, and returns at once.
    pub(crate) fn tell(&self, notice: Notice) {
        let Some(place) = self.under_way.try_take(&notice.client_id) else {
            return self.count_failure(&notice, "notify", "too many people are being told");
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            let all = this.tell_in_all_ways(&notice);
            this.forced.run_until_cancelled(all).await;
            drop(place);
        });
    }

    async fn tell_in_all_ways(&self, notice: &Notice) {
        let _place = self.at_once.take(&notice.client_id).await;
        join_all(self.ways.iter().map(|way| self.tell_in(way, notice))).await;
    }

    async fn tell_in(&self, way: &Way, notice: &Notice) {
        let told = tokio::time::timeout(self.within, way.tell(notice)).await;
        if let Err(error) = told.unwrap_or(Err(NotifyError::Late)) {
            self.count_failure(notice, way.name(), &error.to_string());
        }
    }

    fn count_failure(&self, notice: &Notice, way: &str, problem: &str) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let (request, client) = (&notice.handle, &notice.client_id);
        tracing::warn!(%request, %client, way, problem, failures, "a person could not be told");
    }
}

impl Way {
    async fn tell(&self, notice: &Notice) -> Result<(), NotifyError> {
        match self {
            Self::Command(program) => Ok(program.tell(&notice.json()).await?),
            Self::Webhook(webhook) => webhook.tell(notice).await,
            Self::Mail(mail) => mail.tell(notice).await,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Webhook(_) => "webhook",
            Self::Mail(_) => "mail",
        }
    }
}
