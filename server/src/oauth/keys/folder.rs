//! The folder of the keys: 0700, everything in it 0600, all of it the server's own user's.
//!
//! `keys.json` lists the signing keys, `sign-KID.pem` is one of them, `seal.key` seals the store's records. A file is written
//! under another name, synced and renamed, and the list last: what it names is there.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use super::key::{KeyError, SigningKey, draw};
use super::plan::{Plan, Planned};
use super::vault::KEY_LEN;
use crate::oauth::alg::Alg;
use crate::random::random;

const LIST: &str = "keys.json";
const SEAL: &str = "seal.key";

/// Bytes of a file here. A list of a hundred keys has 16 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// The folder.
pub(super) struct Folder(PathBuf);

/// Which writing of the list a reader saw: device, inode, seconds and nanoseconds of its last change.
pub(super) type Stamp = (u64, u64, i64, i64);

/// Why the keys cannot be used.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// There is no list.
    #[error("there are no keys at {}", .0.display())]
    Missing(PathBuf),
    /// Other users may read it.
    #[error("other users have rights to {path}; take them away: chmod go= {path}", path = .0.display())]
    Open(PathBuf),
    /// It belongs to another user.
    #[error("{} belongs to another user than the server's", .0.display())]
    Foreign(PathBuf),
    /// It cannot be what the server wrote.
    #[error("{} cannot be used: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The system refused.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No key could be drawn.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Makes the folder, if it is not there, with a key that seals, if there is none and nothing was sealed yet.
    pub(super) fn make(&self) -> Result<(), Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(|source| self.io("", source))?;
        let _locked = self.lock()?;
        let is_fresh = !self.has(LIST)? && !self.has(SEAL)?;
        if is_fresh {
            self.write(SEAL, &Zeroizing::new(random::<KEY_LEN>())[..])?;
        }
        Ok(())
    }

    /// Keeps out other programs that change the folder, for as long as the file lives.
    pub(super) fn lock(&self) -> Result<File, Error> {
        let folder = self.open("")?;
        folder.lock().map_err(|source| self.io("", source))?;
        Ok(folder)
    }

    /// Returns which writing of the list is there.
    pub(super) fn stamp(&self) -> Result<Stamp, Error> {
        let list = fs::metadata(self.0.join(LIST)).map_err(|source| self.io(LIST, source))?;
        Ok((list.dev(), list.ino(), list.mtime(), list.mtime_nsec()))
    }

    /// Reads the list.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let text = match self.read(LIST) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing(self.0.clone()));
            }
            read => read?,
        };
        serde_json::from_slice(&text).map_err(|_| self.damaged(LIST, "it is not a list of keys"))
    }

    /// Reads one of the listed keys.
    pub(super) fn key(&self, planned: &Planned) -> Result<SigningKey, Error> {
        let name = file_name(&planned.kid);
        let pem = self.read(&name)?;
        let pem = std::str::from_utf8(&pem).map_err(|_| self.damaged(&name, "it is not a PEM text"))?;
        let key = SigningKey::read(planned.alg, pem)
            .map_err(|_| self.damaged(&name, "it is not a private key for its algorithm"))?;
        match key.kid == planned.kid {
            true => Ok(key),
            false => Err(self.damaged(&name, "it is another key than the list says")),
        }
    }

    /// Reads the key that seals.
    pub(super) fn seal(&self) -> Result<Zeroizing<[u8; KEY_LEN]>, Error> {
        let bytes = self.read(SEAL)?;
        let key = bytes.as_slice().try_into();
        key.map(Zeroizing::new)
            .map_err(|_| self.damaged(SEAL, "it does not have 32 bytes"))
    }

    /// Draws a key and writes it; it is not listed yet.
    pub(super) fn draw(&self, alg: Alg) -> Result<SigningKey, Error> {
        let pem = draw(alg)?;
        let key = SigningKey::read(alg, &pem)?;
        self.write(&file_name(&key.kid), pem.as_bytes())?;
        Ok(key)
    }

    /// Writes the list, and removes what is no longer listed.
    pub(super) fn list(&self, plan: &Plan) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(plan).expect("a plan is plain JSON");
        self.write(LIST, &text)?;
        let listed: Vec<_> = plan.keys.iter().map(|key| file_name(&key.kid)).collect();
        let entries = fs::read_dir(&self.0).map_err(|source| self.io("", source))?;
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_ours = name.starts_with("sign-") || name.starts_with(".new-");
            if is_ours && !listed.contains(&name) {
                fs::remove_file(entry.path()).map_err(|source| self.io(&name, source))?;
            }
        }
        Ok(())
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        let path = self.0.join(name);
        path.try_exists().map_err(|source| self.io(name, source))
    }

    /// Opens a file, or the folder itself, that is ours alone.
    fn open(&self, name: &str) -> Result<File, Error> {
        let path = self.0.join(name);
        let file = File::open(&path).map_err(|source| self.io(name, source))?;
        let metadata = file.metadata().map_err(|source| self.io(name, source))?;
        is_private(&metadata, path).map(|()| file)
    }

    fn read(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
        drop(self.open("")?);
        let file = self.open(name)?;
        let mut bytes = Zeroizing::new(Vec::new());
        file.take(MAX_FILE)
            .read_to_end(&mut bytes)
            .map_err(|source| self.io(name, source))?;
        Ok(bytes)
    }

    /// Writes a file as a whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (new, path) = (self.0.join(format!(".new-{name}")), self.0.join(name));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.0)?.sync_all()
        })();
        written.map_err(|source| self.io(name, source))
    }

    fn io(&self, name: &str, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::NotFound if name.is_empty() => Error::Missing(self.0.clone()),
            _ => Error::Io {
                path: self.0.join(name),
                source,
            },
        }
    }

    fn damaged(&self, name: &str, what: &'static str) -> Error {
        Error::Damaged {
            path: self.0.join(name),
            what,
        }
    }
}

/// A thumbprint may begin with `-`, which programs take for an option.
fn file_name(kid: &str) -> String {
    format!("sign-{kid}.pem")
}

fn is_private(metadata: &Metadata, path: PathBuf) -> Result<(), Error> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Foreign(path));
    }
    match metadata.mode() & 0o077 {
        0 => Ok(()),
        _ => Err(Error::Open(path)),
    }
}
