//! The question as a desktop notification with two buttons.

#[cfg(target_os = "linux")]
pub(super) use self::linux::ask;

/// Notification Center shows buttons only for programs that are bundled and signed.
#[cfg(not(target_os = "linux"))]
pub(super) async fn ask(_question: &str) -> Option<bool> {
    None
}

/// The session bus: Desktop Notifications Specification, with "actions".
#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use notify_rust::{Notification, NotificationResponse, Urgency};
    use tokio::time::timeout;
    use tracing::debug;
    use zbus::Connection;

    /// Time for the desktop to say what it can and to take a notification. Some services hang.
    const DEADLINE: Duration = Duration::from_secs(5);

    const NAME: &str = "org.freedesktop.Notifications";
    const PATH: &str = "/org/freedesktop/Notifications";

    /// The action of the button that lets the token leave. Everything else is a no.
    const ALLOW: &str = "allow";

    /// Returns the person's answer; `None` where there is no desktop, or one without buttons.
    pub(crate) async fn ask(question: &str) -> Option<bool> {
        let has_actions = timeout(DEADLINE, has_actions()).await.ok()?;
        let can_ask = has_actions
            .inspect_err(|error| debug!(%error, "no desktop to ask on"))
            .ok()?;
        if !can_ask {
            return None;
        }
        let notification = notification(question);
        let shown = timeout(DEADLINE, notification.show_async()).await.ok()?.ok()?;
        let mut allowed = false;
        let is_allow = |response: &NotificationResponse| matches!(response, NotificationResponse::Action(id) if id == ALLOW);
        shown
            .wait_for_action_async(|response| allowed = is_allow(response))
            .await;
        Some(allowed)
    }

    async fn has_actions() -> zbus::Result<bool> {
        let bus = Connection::session().await?;
        let reply = bus
            .call_method(Some(NAME), PATH, Some(NAME), "GetCapabilities", &())
            .await?;
        let capabilities: Vec<String> = reply.body().deserialize()?;
        Ok(capabilities.iter().any(|capability| capability == "actions"))
    }

    /// The question is the summary, which is no markup.
    fn notification(question: &str) -> Notification {
        let mut notification = Notification::new();
        notification
            .appname("ciba")
            .icon("dialog-password")
            .summary(question)
            .action(ALLOW, "Allow")
            .action("deny", "Deny")
            .urgency(Urgency::Critical)
            .timeout(super::super::PATIENCE);
        notification
    }
}
