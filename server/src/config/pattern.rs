//! Which resources a rule is for: a whole URN, or the beginning of one and a star.

use std::fmt;

/// A resource's whole URN; or its beginning and a star, which stands for at least one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// What comes before the star, or everything.
    beginning: String,
    has_star: bool,
}

impl Pattern {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let beginning = text.strip_suffix('*').unwrap_or(text);
        if beginning.contains('*') {
            return Err("a star stands only at the end".into());
        }
        let has_star = beginning.len() < text.len();
        let is_urn = beginning.starts_with("urn:") && (has_star || beginning.len() > "urn:".len());
        if !is_urn || !beginning.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must begin with urn: and have printable ASCII characters only".into());
        }
        Ok(Self {
            beginning: beginning.into(),
            has_star,
        })
    }

    pub(super) fn has_star(&self) -> bool {
        self.has_star
    }

    /// Whether this pattern matches everything that the other does.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let longer = other.has_star || other.beginning.len() > self.beginning.len();
        self == other || self.has_star && longer && other.beginning.starts_with(&self.beginning)
    }

    /// Returns what stands for the star in a URN, nothing if there is no star; `None`: the URN does not match.
    pub(crate) fn star<'u>(&self, urn: &'u str) -> Option<&'u str> {
        let rest = urn.strip_prefix(&*self.beginning)?;
        (self.has_star != rest.is_empty()).then_some(rest)
    }
}

/// As it is written.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.has_star { "*" } else { "" };
        write!(f, "{}{star}", self.beginning)
    }
}
