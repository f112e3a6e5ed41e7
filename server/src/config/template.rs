//! What an exchange asks for, with places for a resource's own words: `https://{1}.example.com`.

use std::fmt;

/// A text with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// Itself.
    Text(String),
    /// `{urn}`: the resource.
    Urn,
    /// `{1}`: what stands for the star of the rule's pattern.
    Star,
}

impl Template {
    pub(super) fn read(text: &str, has_star: bool) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').ok_or("has a { without its }")?;
            pieces.extend(Piece::text(before));
            pieces.push(match name {
                "urn" => Piece::Urn,
                "1" if has_star => Piece::Star,
                "1" => return Err("has {1}, but `match` has no star".into()),
                other => return Err(format!("has {{{other}}}; there are {{1}} and {{urn}}")),
            });
            rest = after;
        }
        pieces.extend(Piece::text(rest));
        if pieces.is_empty() {
            return Err("is empty".into());
        }
        Ok(Self(pieces))
    }

    /// Whether there is more than one piece: then what a device put into one must not reach into the others.
    pub(crate) fn is_mixed(&self) -> bool {
        self.0.len() > 1
    }

    /// Returns the text for a resource and what stands for the star in its URN.
    pub(crate) fn fill(&self, urn: &str, star: &str) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Urn => urn,
            Piece::Star => star,
        });
        pieces.collect()
    }
}

impl Piece {
    fn text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::Text(text.into()))
    }
}

/// As it is written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fill("{urn}", "{1}"))
    }
}
