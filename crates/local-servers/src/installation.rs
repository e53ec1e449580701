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
}

impl Default for Installations {
    fn default() -> Self {
        Self { versions: PathBuf::from("/usr/lib/postgresql"), path: env::var_os("PATH").unwrap_or_default() }
    }
}

/// The programs of one version.
#[derive(Debug)]
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
    /// The newest version; or for a data directory that exists already, the version that made it.
    pub(crate) fn find(&self, data: &Path) -> Result<Installation, Error> {
        let wanted = major_of(data);
        let mut found = self.all();
        // Stable: between two of the same version, the first place counts.
        found.sort_by_key(|installation| Reverse(installation.major));
        let fits = |major| wanted.map_or(major >= MAJOR_MIN, |wanted| major == wanted);
        found.into_iter().find(|installation| fits(installation.major)).ok_or_else(|| {
            let directory = data.to_owned();
            wanted.map_or(Error::PostgresMissing, |major| Error::PostgresMajorMissing { directory, major })
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
