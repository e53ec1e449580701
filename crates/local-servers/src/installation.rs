//! Finds the PostgreSQL server programs of this machine.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// Logical replication as the relay uses it is tested from here on.
const MAJOR_MIN: u32 = 15;

/// Where to look: Debian's one directory per major version first, then the search path.
#[derive(Debug, Clone)]
pub struct Installations {
    pub versions: PathBuf,
    pub path: OsString,
    /// `None`: the newest.
    pub major: Option<u32>,
}

impl Default for Installations {
    fn default() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self { versions: PathBuf::from("/usr/lib/postgresql"), path, major: None }
    }
}

/// The programs of one version.
#[derive(Debug, Clone)]
pub(crate) struct Installation {
    bin: PathBuf,
    major: u32,
}

impl Installation {
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }
}

impl Installations {
    /// The programs in this directory and no others.
    pub fn only(bin: &Path) -> Self {
        Self { versions: PathBuf::new(), path: bin.as_os_str().to_owned(), major: None }
    }

    /// Of these, the ones of this version.
    pub fn of_major(self, major: u32) -> Self {
        Self { major: Some(major), ..self }
    }

    /// For a data directory that exists already, the version that made it; else the one that is asked for.
    pub(crate) fn find(&self, data: &Path) -> Result<Installation, Error> {
        let made_by = major_of(data);
        let wanted = made_by.or(self.major);
        let mut found = self.all();
        // Stable: between two of the same version, the first place counts.
        found.sort_by_key(|installation| Reverse(installation.major));
        let fits = |major| wanted.map_or(major >= MAJOR_MIN, |wanted| major == wanted);
        found.into_iter().find(|installation| fits(installation.major)).ok_or_else(|| {
            match (made_by, self.major) {
                (Some(major), _) => Error::PostgresMajorMissing { directory: data.to_owned(), major },
                (None, Some(major)) => Error::PostgresMajorUnknown { major },
                (None, None) => Error::PostgresMissing,
            }
        })
    }

    fn all(&self) -> Vec<Installation> {
        let versions = fs::read_dir(&self.versions).into_iter().flatten().flatten();
        let versions = versions.map(|entry| entry.path().join("bin"));
        let bins = versions.chain(env::split_paths(&self.path));
        bins.filter_map(|bin| installation_in(&bin)).collect()
    }
}

/// A client-only package has a version directory too, but not these two programs.
fn installation_in(bin: &Path) -> Option<Installation> {
    if !bin.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let major = major_in(&String::from_utf8_lossy(&output.stdout))?;
    Some(Installation { bin: bin.to_owned(), major })
}

/// `postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)`, or `18beta1`.
fn major_in(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("(PostgreSQL) ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn major_of(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_in;

    #[test]
    fn major_is_read_from_releases_and_betas() {
        assert_eq!(major_in("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)\n"), Some(15));
        assert_eq!(major_in("postgres (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(major_in("something else"), None);
    }
}
