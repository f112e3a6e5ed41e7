//! `[keys]`: where the signing keys and the sealing key lie.

use std::path::PathBuf;

use serde::Deserialize;

use super::secret::Places;

/// Seconds that the tokens of a key may live (C-303's longest), so that a retired key is kept for as long.
const LONGEST_TOKEN: u64 = 86_400;

/// For how long an expired ID Token is a hint by default, seconds (C-189).
const HINT_AGE: u64 = 30 * 86_400;

/// The keys of the server.
pub(crate) struct Keys {
    /// Their folder; `None`: they are drawn at each start, as befits a store in memory.
    pub(crate) folder: Option<PathBuf>,
    /// How long a retired key stays published, seconds: tokens that it signed may still come as hints (C-032).
    pub(crate) retired_for: u64,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            folder: None,
            retired_for: LONGEST_TOKEN + HINT_AGE,
        }
    }
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section")]
pub(super) struct Section {
    /// As seen from the configuration; by default `keys` beside the database.
    dir: Option<PathBuf>,
}

impl Section {
    /// Returns where the keys lie, and how long they are kept for hints of this age.
    pub(super) fn understand(self, store: &str, hint_age: Option<u64>, places: &Places<'_>) -> Keys {
        let configured = self.dir.map(|dir| places.base.join(dir));
        let beside = || store::folder(store).map(|folder| folder.join("keys"));
        Keys {
            folder: configured.or_else(beside),
            retired_for: LONGEST_TOKEN.saturating_add(hint_age.unwrap_or(HINT_AGE)),
        }
    }
}
