//! What goes wrong, at any moment: programs that are killed, a network that is bad, a provider and a keychain that fail,
//! clocks that jump. No person logs in a second time, nothing hangs, and no secret is left behind.
//!
//! Everything here runs the real programs. Where a moment is random, its seed is printed: `CIBA_TEST_SEED` has it again.

mod clock;
mod crash;
mod keychain;
mod network;
mod profiles;
mod provider;
#[path = "../real/site.rs"]
#[expect(dead_code, reason = "shared with the tests in real/")]
mod site;
mod start;
