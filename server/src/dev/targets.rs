//! The audiences and resources the provider knows: what a token exchange may ask for, what the demo API lets in.

/// Longest name of an audience or a resource, in bytes.
pub(super) const TARGET_MAX_BYTES: usize = 256;

/// A short list of names; one that ends in `*` stands for every longer name with that beginning.
#[derive(Clone, Debug)]
pub struct Targets(Vec<String>);

impl Targets {
    /// Returns the targets with these names or patterns.
    pub fn new<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        Self(patterns.into_iter().map(Into::into).collect())
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        name.len() <= TARGET_MAX_BYTES
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && self.0.iter().any(|pattern| matches(pattern, name))
    }
}

/// The three kinds of URN a device may ask for (D-041), and plain names for the second kind's audiences.
impl Default for Targets {
    fn default() -> Self {
        Self::new([
            "urn:d:*",
            "urn:sap:identity:api:name:*",
            "urn:sap:identity:application:provider:name:*",
            "demo-*",
        ])
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.strip_prefix(beginning).is_some_and(|rest| !rest.is_empty()),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_wants_something_in_the_place_of_its_star() {
        let targets = Targets::new(["urn:d:*", "plain"]);
        assert!(targets.knows("urn:d:x") && targets.knows("plain"));
        assert!(!targets.knows("urn:d:") && !targets.knows("plain2") && !targets.knows("urn:e:x"));
    }

    #[test]
    fn a_name_is_short_and_printable() {
        let longest = format!("urn:d:{}", "x".repeat(TARGET_MAX_BYTES - "urn:d:".len()));
        let targets = Targets::default();
        assert!(targets.knows(&longest));
        assert!(!targets.knows(&format!("{longest}x")));
        assert!(!targets.knows("urn:d:a b") && !targets.knows("urn:d:a\n"));
    }
}
