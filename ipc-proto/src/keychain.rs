//! Where a login is kept so that it survives the daemon (D-052).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A place that keeps a login's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeychainKind {
    /// The desktop's: GNOME Keyring, KWallet, KeePassXC, over D-Bus.
    SecretService,
    /// The Linux kernel's keyring of the user. Survives the daemon, not a reboot.
    Kernel,
    /// macOS Keychain.
    Macos,
    /// None: the login ends with the daemon.
    Memory,
}

impl KeychainKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::SecretService, Self::Kernel, Self::Macos, Self::Memory];

    /// Returns the word for it on a command line, in a configuration and on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::SecretService => "secret-service",
            Self::Kernel => "kernel",
            Self::Macos => "macos",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for KeychainKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for KeychainKind {
    type Err = KeychainKindError;

    fn from_str(word: &str) -> Result<Self, KeychainKindError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.word() == word)
            .ok_or(KeychainKindError)
    }
}

/// The word names no keychain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeychainKindError;

impl fmt::Display for KeychainKindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a keychain is one of secret-service, kernel, macos, memory")
    }
}

impl std::error::Error for KeychainKindError {}

/// Whether and where a login is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where; `memory` when nowhere.
    pub keychain: KeychainKind,
    /// Why it is not there yet, or could not be read. The daemon keeps trying.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<crate::Failure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_keychain_has_one_word_everywhere() {
        for kind in KeychainKind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!("clear-text".parse::<KeychainKind>(), Err(KeychainKindError));
    }
}
