//! A server's directory: one owner at a time, and never a directory that belongs to something else.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Error;

const LOCK: &str = "owner.lock";

/// A directory that this process owns until the value is dropped. A kill -9 gives it free too.
pub(crate) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    pub(crate) fn own(path: &Path) -> Result<Self, Error> {
        create(path)?;
        let path = path.canonicalize().map_err(Error::file("find", path))?;
        let lock_path = path.join(LOCK);
        let is_empty = fs::read_dir(&path).map_err(Error::file("read", &path))?.next().is_none();
        if !is_empty && !lock_path.exists() {
            return Err(Error::Foreign { directory: path });
        }
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock_path)
            .map_err(Error::file("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&lock_path).unwrap_or_default().trim().to_owned();
                return Err(Error::Owned { directory: path, pid });
            }
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", &lock_path)(source)),
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(Error::file("write", &lock_path))?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Makes a directory and its parents; the last one for its owner alone, the parents as usual.
pub(crate) fn create(path: &Path) -> Result<(), Error> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(Error::file("create", path)),
    }
}

/// Removes a directory with all that is in it; one that is not there is already removed.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(Error::file("remove", path)),
    }
}

/// Writes a small private file so that it is there whole or not at all.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&draft)
        .map_err(Error::file("create", &draft))?;
    file.write_all(text.as_bytes()).map_err(Error::file("write", &draft))?;
    fs::rename(&draft, path).map_err(Error::file("write", path))
}
