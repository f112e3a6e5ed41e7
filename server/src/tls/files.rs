//! The PEM files of TLS: read, and looked at again for changes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of one file: a chain has a few KiB, a bundle of authorities some hundred.
const MAX_FILE: u64 = 1024 * 1024;

/// SHA-256 of what was read.
pub(super) type Stamp = [u8; 32];

/// Why TLS cannot be spoken as the configuration says.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what its key in the configuration says.
    #[error("{} {what}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The library does not take it.
    #[error("{} cannot be used", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Error {
    pub(super) fn unusable(path: &Path, what: &'static str) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            what,
        }
    }

    pub(super) fn refused(path: &Path, source: rustls::Error) -> Self {
        Self::Refused {
            path: path.to_owned(),
            source,
        }
    }
}

/// Returns what a file holds. Wiped: it may be a key.
pub(super) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    let length = read.map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    if length as u64 > MAX_FILE {
        return Err(Error::unusable(path, "has more than 1 MiB"));
    }
    Ok(bytes)
}

/// Returns the certificates of a file: one at least.
pub(super) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.ok()
        .filter(|certificates| !certificates.is_empty())
        .ok_or_else(|| Error::unusable(path, "has no certificate in PEM"))
}

pub(super) fn stamp(texts: &[&[u8]]) -> Stamp {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}
