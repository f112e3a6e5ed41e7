//! A session's doc, and what each of its sockets has still to send of it (step 5 of the token's way). A slow socket is
//! sent the latest state once; nothing piles up behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use device_proto::Doc;
use device_proto::doc::{Change, Map};
use device_proto::frame::EMPTY_UPDATE;
use device_proto::hub::MAX_SOCKETS;
use tokio::sync::Notify;

use super::entries::Entry;
use crate::clock::epoch_millis;

/// Changes that are kept for sockets that have not sent them; a socket further behind is sent the whole state.
const MAX_CHANGES: usize = 64;

/// Bytes of them.
const MAX_CHANGE_BYTES: usize = 256 * 1024;

/// The doc and its listeners.
pub(super) struct Feed {
    doc: Doc,
    /// Counts changes, so that a listener knows what it has sent.
    version: u64,
    /// The latest changes, as far as some listener has yet to send them.
    changes: VecDeque<Bytes>,
    listeners: Vec<Listener>,
    next_id: u64,
}

/// A socket on the doc.
struct Listener {
    id: u64,
    bell: Arc<Notify>,
    /// The version of the doc that it has sent.
    seen: u64,
}

/// What a socket has not sent yet.
pub(super) enum News {
    Nothing,
    /// These changes, each an update.
    Changes(Vec<Bytes>),
    /// So much that it is the whole state.
    State(Vec<u8>),
}

/// The doc has as many sockets as it may, or there are too many docs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

impl Feed {
    /// Makes a doc of its entries. `written` is the last writer of an earlier incarnation: a larger one wins on a device
    /// that kept the old doc (D-034).
    pub(super) fn new(written: u64, entries: &[Entry]) -> Self {
        Self {
            doc: incarnation(written, entries),
            version: 0,
            changes: VecDeque::new(),
            listeners: Vec::with_capacity(1),
            next_id: 0,
        }
    }

    /// Returns the id that this incarnation of the doc writes under.
    pub(super) fn writer(&self) -> u64 {
        self.doc.writer()
    }

    /// Whether the doc is mostly shadows of what was overwritten.
    pub(super) fn is_worn(&self) -> bool {
        self.doc.is_worn()
    }

    /// Begins a new incarnation with these entries.
    pub(super) fn begin_anew(&mut self, entries: &[Entry]) {
        self.doc = incarnation(self.doc.writer(), entries);
        self.version += 1;
        self.changes.clear();
        self.ring();
    }

    /// Writes entries as far as they are new; a token that is not among them goes.
    pub(super) fn write(&mut self, entries: &[Entry]) {
        let update = self.doc.write_all_of(Map::Tokens, &changes(entries));
        self.publish(update);
    }

    /// Writes the requests that are shown; one that is not among them goes.
    pub(super) fn write_approvals(&mut self, entries: &[Entry]) {
        let update = self.doc.write_all_of(Map::Approvals, &changes(entries));
        self.publish(update);
    }

    fn publish(&mut self, update: Vec<u8>) {
        if update == EMPTY_UPDATE {
            return;
        }
        self.version += 1;
        self.changes.push_back(update.into());
        if self.changes.iter().map(Bytes::len).sum::<usize>() > MAX_CHANGE_BYTES {
            self.changes.clear();
        }
        self.forget_sent();
        self.ring();
    }

    /// Wakes every listener.
    pub(super) fn ring(&self) {
        for listener in &self.listeners {
            listener.bell.notify_one();
        }
    }

    /// Whether any socket is here.
    pub(super) fn has_listeners(&self) -> bool {
        !self.listeners.is_empty()
    }

    /// Takes a listener in, and returns its id.
    ///
    /// # Errors
    ///
    /// [`Full`]
    pub(super) fn listen(&mut self, bell: &Arc<Notify>) -> Result<u64, Full> {
        if self.listeners.len() >= MAX_SOCKETS {
            return Err(Full);
        }
        let id = self.next_id;
        self.next_id += 1;
        self.listeners.push(Listener {
            id,
            bell: Arc::clone(bell),
            seen: self.version,
        });
        Ok(id)
    }

    /// Forgets a listener.
    pub(super) fn leave(&mut self, id: u64) {
        self.listeners.retain(|listener| listener.id != id);
        self.forget_sent();
    }

    /// Returns the doc's state, which this listener is to send.
    pub(super) fn snapshot(&mut self, id: u64) -> Vec<u8> {
        self.mark_seen(id);
        self.forget_sent();
        self.doc.state().to_vec()
    }

    /// Returns what this listener has still to send.
    pub(super) fn news(&mut self, id: u64) -> News {
        let seen = self.mark_seen(id);
        let news = self.since(seen);
        self.forget_sent();
        news
    }

    fn since(&self, seen: u64) -> News {
        let missed = self.missed(seen);
        match self.changes.len().checked_sub(missed) {
            _ if missed == 0 => News::Nothing,
            Some(sent) => News::Changes(self.changes.iter().skip(sent).cloned().collect()),
            None => News::State(self.doc.state().to_vec()),
        }
    }

    /// Marks the present version as sent by a listener; returns the one before.
    fn mark_seen(&mut self, id: u64) -> u64 {
        let version = self.version;
        let listener = self.listeners.iter_mut().find(|listener| listener.id == id);
        listener.map_or(version, |listener| std::mem::replace(&mut listener.seen, version))
    }

    fn missed(&self, seen: u64) -> usize {
        usize::try_from(self.version - seen).unwrap_or(usize::MAX)
    }

    /// Lets go of the changes that every listener has sent, and of the oldest beyond [`MAX_CHANGES`].
    fn forget_sent(&mut self) {
        let behind = self
            .listeners
            .iter()
            .map(|listener| self.missed(listener.seen))
            .max();
        let wanted = behind.unwrap_or(0).min(MAX_CHANGES);
        let excess = self.changes.len().saturating_sub(wanted);
        self.changes.drain(..excess);
        if self.changes.is_empty() {
            self.changes = VecDeque::new();
        }
    }
}

fn incarnation(written: u64, entries: &[Entry]) -> Doc {
    let mut doc = Doc::new(epoch_millis().max(written + 1));
    doc.write(&changes(entries));
    doc
}

fn changes(entries: &[Entry]) -> Vec<Change<'_>> {
    let changes = entries.iter().map(|(map, key, value)| Change {
        map: *map,
        key,
        value,
    });
    changes.collect()
}
