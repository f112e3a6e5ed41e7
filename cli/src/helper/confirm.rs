//! The question before a token leaves, for a rule with `confirm = true`. It goes to the terminal itself: a tool has taken
//! the helper's standard input and output.

use std::time::Duration;

use crate::question;
use crate::terminal::Plain;

/// How long a person may think: the daemon takes silence for a no after as long.
const THINKING: Duration = Duration::from_secs(60);

/// The terminal of the tool that runs the helper.
pub(super) struct Terminal(question::Terminal);

impl Terminal {
    /// Opens it; `None` where there is no place to ask, and where git was told not to prompt.
    pub(super) fn open() -> Option<Self> {
        let quiet =
            std::env::var_os("GIT_TERMINAL_PROMPT").is_some_and(|value| value == "0" || value == "false");
        if quiet {
            return None;
        }
        question::Terminal::open().map(Self)
    }

    /// Asks; whatever is not a clear yes is a no.
    pub(super) fn allows(&self, question: &str) -> bool {
        self.0.allows(format_args!("ciba: {}", Plain(question)), THINKING)
    }
}
