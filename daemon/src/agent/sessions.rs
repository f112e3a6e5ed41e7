//! The sessions of this daemon by profile: one each, and the one that it is about to replace.

use std::collections::BTreeMap;

use ipc_proto::ProfileName;

use crate::session::Handle;

/// Logins at once.
const MAX_SESSIONS: usize = 64;

/// Which session a profile has.
#[derive(Default)]
pub(super) struct Sessions {
    listed: BTreeMap<ProfileName, Handle>,
    /// Logins that another one is about to replace: they give tokens until it is done.
    pub(super) outgoing: BTreeMap<ProfileName, Handle>,
    /// One-shots so far: each has a name of its own.
    one_shots: u64,
}

impl Sessions {
    /// Returns a profile's session.
    pub(super) fn get(&self, profile: &ProfileName) -> Option<Handle> {
        self.listed.get(profile).cloned()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// Whether there is room for a session of this profile.
    pub(super) fn has_room(&self, profile: &ProfileName) -> bool {
        self.listed.len() < MAX_SESSIONS || self.listed.contains_key(profile)
    }

    /// Returns every profile's session.
    pub(super) fn all(&self) -> Vec<Handle> {
        self.listed.values().cloned().collect()
    }

    /// Returns every session, also those that are about to be replaced.
    pub(super) fn with_outgoing(&self) -> Vec<Handle> {
        let all = self.listed.values().chain(self.outgoing.values());
        all.cloned().collect()
    }

    /// Returns the names of the profiles.
    pub(super) fn profiles(&self) -> Vec<&str> {
        self.listed.keys().map(ProfileName::as_str).collect()
    }

    /// Lists a session under its profile, in the place of what is there.
    pub(super) fn insert(&mut self, session: Handle) {
        let profile = session.purpose().profile.clone();
        self.listed.insert(profile, session);
    }

    /// Notes that a new session is about to replace this one.
    pub(super) fn set_outgoing(&mut self, session: Handle) {
        let profile = session.purpose().profile.clone();
        self.outgoing.insert(profile, session);
    }

    /// Takes a session off the list. One that it was to replace and did not is back.
    pub(super) fn remove(&mut self, session: &Handle) {
        let profile = &session.purpose().profile;
        let is_listed = |listed: &Handle| listed.is(session);
        if self.listed.get(profile).is_some_and(is_listed) {
            self.listed.remove(profile);
            if let Some(outgoing) = self.outgoing.remove(profile) {
                self.insert(outgoing);
            }
        }
        self.outgoing.retain(|_, outgoing| !outgoing.is(session));
    }

    /// Returns the session that a profile's tokens come from: while a new one waits for its person, the outgoing one.
    pub(super) fn token_source(&self, profile: &ProfileName) -> Option<Handle> {
        let outgoing = self.outgoing.get(profile);
        outgoing.or_else(|| self.listed.get(profile)).cloned()
    }

    /// Takes the session that another one has replaced by now: its person has logged in.
    pub(super) fn take_replaced(&mut self, profile: &ProfileName) -> Option<Handle> {
        let new = self.listed.get(profile)?;
        let is_logged_in = new.state().was_active();
        is_logged_in.then(|| self.outgoing.remove(profile)).flatten()
    }

    /// Takes the sessions that these were to replace.
    pub(super) fn take_outgoing(&mut self, of: &[Handle]) -> Vec<Handle> {
        of.iter()
            .filter_map(|session| self.outgoing.remove(&session.purpose().profile))
            .collect()
    }

    /// Returns a profile that nothing else has.
    pub(super) fn one_shot_name(&mut self) -> ProfileName {
        loop {
            self.one_shots += 1;
            let name = format!("one-shot-{}", self.one_shots);
            let name = name.parse().expect("letters, digits and dashes");
            if !self.listed.contains_key(&name) {
                return name;
            }
        }
    }
}
