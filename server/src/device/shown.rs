//! The requests that one room shows its devices (D-063). In memory alone: the session's record never has them, and a room that
//! opens asks for them anew. Pure.

use std::collections::{BTreeMap, BTreeSet};

use device_proto::approval::{ApprovalId, MAX_APPROVALS};
use device_proto::doc::Map;
use device_proto::seal::Sealed;
use store::UnixSeconds;

use super::entries::Entry;

/// Bytes of the requests in one room, sealed. With a session's tokens and all around them they stay within one frame to a
/// device ([`device_proto::device::MAX_SERVER_FRAME`]).
pub(super) const MAX_SHOWN_BYTES: usize = 512 * 1024;

/// A request as a room holds it.
pub(super) struct Held {
    pub(super) request: ApprovalId,
    pub(super) sealed: Sealed,
    pub(super) expires_at: u64,
}

/// The requests of one room.
#[derive(Default)]
pub(super) struct ShownApprovals {
    held: BTreeMap<ApprovalId, Held>,
    /// How many times the pending ones are being asked for.
    asking: usize,
    /// What was withdrawn meanwhile: an answer may still have it.
    withdrawn: BTreeSet<ApprovalId>,
    /// Whether there was no place for a request, and none has become free since.
    is_short: bool,
    /// Whether a place has become free for which a request waits.
    has_vacancy: bool,
    is_changed: bool,
}

impl ShownApprovals {
    /// The pending requests are being asked for.
    pub(super) fn begin_catching_up(&mut self) {
        self.asking += 1;
    }

    /// Takes in those that were pending.
    pub(super) fn catch_up(&mut self, pending: Vec<Held>, now: UnixSeconds) {
        for held in pending {
            if !self.withdrawn.contains(&held.request) {
                self.add(held, now);
            }
        }
        self.asking = self.asking.saturating_sub(1);
        if self.asking == 0 {
            self.withdrawn.clear();
        }
    }

    /// Takes a request in, unless it is there, it has ended, or there are too many.
    pub(super) fn add(&mut self, held: Held, now: UnixSeconds) {
        self.drop_ended(now);
        let bytes: usize = self.held.values().map(size).sum();
        let has_room = self.held.len() < MAX_APPROVALS && bytes + size(&held) <= MAX_SHOWN_BYTES;
        if held.expires_at <= now.seconds() || self.held.contains_key(&held.request) {
            return;
        }
        if has_room {
            self.held.insert(held.request.clone(), held);
            self.is_changed = true;
        } else {
            self.is_short = true;
        }
    }

    /// A request was decided, or its time is over.
    pub(super) fn withdraw(&mut self, request: &ApprovalId) {
        let before = self.held.len();
        self.held.remove(request);
        self.note_gone(before);
        if self.asking > 0 {
            self.withdrawn.insert(request.clone());
        }
    }

    /// Lets go of what has ended.
    pub(super) fn drop_ended(&mut self, now: UnixSeconds) {
        let before = self.held.len();
        self.held.retain(|_, held| held.expires_at > now.seconds());
        self.note_gone(before);
    }

    fn note_gone(&mut self, before: usize) {
        if self.held.len() < before {
            self.is_changed = true;
            self.has_vacancy |= std::mem::take(&mut self.is_short);
        }
    }

    /// The room has no person any more.
    pub(super) fn clear(&mut self) {
        self.is_changed |= !self.held.is_empty();
        self.held.clear();
        self.is_short = false;
        self.has_vacancy = false;
    }

    /// Returns whether a place has become free since this was asked last, for which a request waits: then the pending ones
    /// are to be asked for again.
    pub(super) fn take_vacancy(&mut self) -> bool {
        std::mem::take(&mut self.has_vacancy)
    }

    /// Returns whether anything has changed since this was asked last.
    pub(super) fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Returns the doc's entries.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let entry = |held: &Held| (Map::Approvals, held.request.to_string(), held.sealed.to_string());
        self.held.values().map(entry).collect()
    }
}

fn size(held: &Held) -> usize {
    ApprovalId::LEN + held.sealed.as_str().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds::new(1_800_000_000);

    fn held(n: u16, bytes: usize) -> Held {
        let [high, low] = n.to_be_bytes();
        let mut hash = [low; 32];
        hash[0] = high;
        Held {
            request: ApprovalId::of_hash(&hash),
            sealed: format!("..x.{}.x", "x".repeat(bytes)).try_into().unwrap(),
            expires_at: NOW.plus(60).seconds(),
        }
    }

    fn count(shown: &ShownApprovals) -> usize {
        shown.entries().len()
    }

    #[test]
    fn d_064_a_thousand_requests_are_as_many_as_a_room_shows() {
        let mut shown = ShownApprovals::default();
        for n in 0..1_000 {
            shown.add(held(n, 10), NOW);
        }
        assert_eq!(count(&shown), MAX_APPROVALS);
        shown.withdraw(&held(0, 10).request);
        shown.add(held(1_000, 10), NOW);
        assert_eq!(count(&shown), MAX_APPROVALS, "one that is gone makes room");
        shown.add(held(1_001, 10), NOW.plus(60));
        assert_eq!(count(&shown), 0, "all have ended");
    }

    #[test]
    fn d_064_a_place_that_becomes_free_is_said_once_where_a_request_waits_for_it() {
        let mut shown = ShownApprovals::default();
        let most = u16::try_from(MAX_APPROVALS).unwrap();
        for n in 0..most {
            shown.add(held(n, 10), NOW);
        }
        shown.add(held(0, 10), NOW);
        shown.withdraw(&held(0, 10).request);
        assert!(!shown.take_vacancy(), "none waits");
        shown.add(held(0, 10), NOW);
        shown.add(held(most, 10), NOW);
        assert!(!shown.take_vacancy(), "none is free");
        shown.withdraw(&held(most, 10).request);
        assert!(!shown.take_vacancy(), "it had no place");
        shown.withdraw(&held(1, 10).request);
        assert!(shown.take_vacancy() && !shown.take_vacancy());
        shown.add(held(most, 10), NOW);
        shown.add(held(most + 1, 10), NOW);
        shown.drop_ended(NOW.plus(60));
        assert!(shown.take_vacancy());
    }

    #[test]
    fn d_064_large_requests_fit_into_a_frame_beside_the_tokens() {
        let mut shown = ShownApprovals::default();
        for n in 0..100 {
            shown.add(held(n, 60_000), NOW);
        }
        let bytes: usize = shown
            .entries()
            .iter()
            .map(|(_, key, value)| key.len() + value.len())
            .sum();
        assert!(
            bytes <= MAX_SHOWN_BYTES && bytes + 60_100 > MAX_SHOWN_BYTES,
            "{bytes}"
        );
    }

    #[test]
    fn d_063_what_is_withdrawn_while_the_pending_ones_are_asked_for_is_not_shown() {
        let mut shown = ShownApprovals::default();
        shown.begin_catching_up();
        shown.withdraw(&held(1, 10).request);
        shown.add(held(3, 10), NOW);
        shown.catch_up((0..4).map(|n| held(n, 10)).collect(), NOW);
        assert_eq!(count(&shown), 3, "all but 1, and 3 once");
        shown.add(held(1, 10), NOW);
        assert_eq!(count(&shown), 4, "later it may come");
        shown.begin_catching_up();
        shown.begin_catching_up();
        shown.catch_up(Vec::new(), NOW);
        shown.withdraw(&held(1, 10).request);
        shown.catch_up(vec![held(1, 10)], NOW);
        assert_eq!(count(&shown), 3, "two that ask at once");
    }

    #[test]
    fn a_request_that_is_shown_already_is_not_written_again() {
        let mut shown = ShownApprovals::default();
        shown.add(held(1, 10), NOW);
        let before = shown.entries();
        shown.add(held(1, 20), NOW);
        assert_eq!(shown.entries(), before);
    }
}
