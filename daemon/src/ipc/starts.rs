//! Tools that cannot say that their token was refused, but start the helper again: kubectl does so after a 401 (client-go
//! exec plugins). Pure.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::rules::Tool;

/// The tools that do so.
const TOOLS: [&str; 1] = ["kubectl"];

/// A second start within this time, by the same process for the same service, means that the token was refused.
const AGAIN: Duration = Duration::from_secs(10);

/// Starts that are remembered.
const MAX_REMEMBERED: usize = 128;

/// The last starts, oldest first.
#[derive(Default)]
pub(super) struct Starts(VecDeque<Start>);

struct Start {
    parent: i32,
    service: String,
    serial: u64,
    at: Instant,
}

impl Starts {
    /// Whether this tool's starts tell something.
    pub(super) fn are_of(tool: &Tool) -> bool {
        TOOLS.contains(&tool.as_str())
    }

    /// Returns the token that this process got for the service a moment ago, which the service has refused.
    pub(super) fn refused(&mut self, parent: i32, service: &str, now: Instant) -> Option<u64> {
        self.0.retain(|start| now < start.at + AGAIN);
        let same = self
            .0
            .iter()
            .rev()
            .find(|start| start.parent == parent && start.service == service);
        same.map(|start| start.serial)
    }

    /// Notes that this process gets a token for the service.
    pub(super) fn note(&mut self, parent: i32, service: &str, serial: u64, now: Instant) {
        self.0
            .retain(|start| start.parent != parent || start.service != service);
        if self.0.len() >= MAX_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Start {
            parent,
            service: service.into(),
            serial,
            at: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_soon_by_the_same_process_for_the_same_service_is_a_refusal() {
        let (mut starts, began) = (Starts::default(), Instant::now());
        starts.note(42, "k8s.example:6443", 7, began);
        for (parent, service, after, refused) in [
            (42, "k8s.example:6443", 0, Some(7)),
            (42, "k8s.example:6443", 9, Some(7)),
            (43, "k8s.example:6443", 0, None),
            (42, "k8s.example", 0, None),
            (42, "k8s.example:6443", 10, None),
            (42, "k8s.example:6443", 0, None),
        ] {
            let now = began + Duration::from_secs(after);
            assert_eq!(
                starts.refused(parent, service, now),
                refused,
                "{parent} {service} {after}"
            );
        }
        starts.note(42, "a", 8, began);
        starts.note(42, "a", 9, began);
        assert_eq!((starts.refused(42, "a", began), starts.0.len()), (Some(9), 1));
    }

    #[test]
    fn what_is_remembered_has_a_limit() {
        let (mut starts, now) = (Starts::default(), Instant::now());
        for parent in 0..=MAX_REMEMBERED as i32 {
            starts.note(parent, "a", 7, now);
        }
        assert_eq!(starts.0.len(), MAX_REMEMBERED);
        assert_eq!(
            (starts.refused(0, "a", now), starts.refused(1, "a", now)),
            (None, Some(7))
        );
    }

    #[test]
    fn only_kubectl_shows_it_so() {
        for (tool, is) in [("kubectl", true), ("git", false)] {
            assert_eq!(Starts::are_of(&Tool::try_from(tool.to_owned()).unwrap()), is);
        }
    }
}
