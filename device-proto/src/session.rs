//! What the doc's `session` map says: the server writes it, the device reads it (step 5 of the token's way).

const STATUS: &str = "status";
const ERROR: &str = "error";
const ERROR_DESCRIPTION: &str = "error_description";
const SUBJECT: &str = "subject";
const EXPIRES_AT: &str = "expires_at";

/// A session as its doc shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// How far the session is.
    pub status: Status,
    /// The display name of the person who signed in.
    pub subject: Option<String>,
    /// When the session ends for want of tokens, Unix seconds, where that is known.
    pub expires_at: Option<u64>,
}

/// How far a session is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// A person has yet to sign in. A status that this version does not know reads as this one: a device does nothing
    /// about either.
    #[default]
    Pending,
    /// Tokens can be had.
    Active,
    /// The login failed, or is no longer good.
    Failed {
        /// An OAuth error code.
        error: String,
        /// For people.
        description: String,
    },
    /// The session was ended in good order.
    Ended,
}

impl View {
    /// Reads a view. `entry` returns the map's value for a key.
    pub fn read(entry: impl Fn(&str) -> Option<String>) -> Self {
        let status = match entry(STATUS).as_deref() {
            Some("active") => Status::Active,
            Some("failed") => Status::Failed {
                error: entry(ERROR).unwrap_or_default(),
                description: entry(ERROR_DESCRIPTION).unwrap_or_default(),
            },
            Some("ended") => Status::Ended,
            _ => Status::Pending,
        };
        Self {
            status,
            subject: entry(SUBJECT),
            expires_at: entry(EXPIRES_AT).and_then(|seconds| seconds.parse().ok()),
        }
    }

    /// Returns the map's entries, each a key and its value.
    pub fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = match &self.status {
            Status::Pending => vec![(STATUS, "pending".into())],
            Status::Active => vec![(STATUS, "active".into())],
            Status::Failed { error, description } => vec![
                (STATUS, "failed".into()),
                (ERROR, error.clone()),
                (ERROR_DESCRIPTION, description.clone()),
            ],
            Status::Ended => vec![(STATUS, "ended".into())],
        };
        entries.extend(self.subject.clone().map(|subject| (SUBJECT, subject)));
        entries.extend(self.expires_at.map(|at| (EXPIRES_AT, at.to_string())));
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, String)]) -> View {
        View::read(|wanted| {
            let found = entries.iter().find(|(key, _)| *key == wanted);
            found.map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let failed = Status::Failed {
            error: "access_denied".into(),
            description: "Ask Bob.".into(),
        };
        for status in [Status::Pending, Status::Active, failed, Status::Ended] {
            let bare = View {
                status,
                ..View::default()
            };
            let full = View {
                subject: Some("Ada".into()),
                expires_at: Some(1_800_000_000),
                ..bare.clone()
            };
            assert_eq!(read(&bare.entries()), bare);
            assert_eq!(read(&full.entries()), full);
        }
    }

    #[test]
    fn the_words_in_the_doc() {
        let view = View {
            status: Status::Failed {
                error: "access_denied".into(),
                description: "Ask Bob.".into(),
            },
            subject: Some("Ada".into()),
            expires_at: Some(9),
        };
        assert_eq!(
            view.entries(),
            [
                ("status", "failed"),
                ("error", "access_denied"),
                ("error_description", "Ask Bob."),
                ("subject", "Ada"),
                ("expires_at", "9"),
            ]
            .map(|(key, value)| (key, value.to_owned()))
        );
    }

    #[test]
    fn what_is_unknown_or_missing_says_nothing() {
        assert_eq!(read(&[]), View::default());
        let strange = [("status", "frozen".into()), ("expires_at", "soon".into())];
        assert_eq!(read(&strange), View::default());
    }
}
