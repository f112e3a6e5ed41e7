//! Where a login is kept, in a person's words: the same behind `ciba start` and in `ciba status` (D-052).

use ipc_proto::{ErrorCode, Failure, Kept, KeychainKind};

/// Returns where a login is kept, or why it is not.
pub(crate) fn place(kept: &Kept) -> String {
    match &kept.problem {
        Some(problem) => format!("not kept yet: {}", problem.message),
        None => format!("kept in: {}", name(kept.keychain)),
    }
}

/// Returns what a keychain is, in a person's words.
pub(crate) fn name(keychain: KeychainKind) -> &'static str {
    match keychain {
        KeychainKind::SecretService => "Secret Service, the desktop's keychain",
        KeychainKind::Kernel => "kernel keyring, ends with the next reboot",
        KeychainKind::Macos => "macOS Keychain",
        KeychainKind::Memory => "memory, ends with the daemon",
    }
}

/// Returns what to do about a keychain that does not keep: what the daemon says, else what helps most people.
pub(crate) fn cure(problem: &Failure) -> &str {
    match (&problem.hint, problem.code) {
        (Some(hint), _) => hint,
        (None, ErrorCode::KeychainLocked) => "unlock it; cibad then goes on by itself",
        (None, _) => "ciba doctor",
    }
}
