//! What can go wrong with a local server, each message with what to do about it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why a local server did not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "PostgreSQL 15 or newer is not installed. As root, type:  \
         apt-get update && apt-get install -y --no-install-recommends postgresql"
    )]
    PostgresMissing,

    #[error(
        "{} was made by PostgreSQL {major}, which is not installed: install postgresql-{major}, or remove \
         the directory to start with empty data", directory.display()
    )]
    PostgresMajorMissing { directory: PathBuf, major: u32 },

    #[error(
        "PostgreSQL {major} is not installed: install postgresql-{major} (scripts/postgres.sh fetches a newer one)"
    )]
    PostgresMajorUnknown { major: u32 },

    #[error(
        "Java 17 or newer is not installed. As root, type:  \
         apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless"
    )]
    JavaMissing,

    #[error("{} holds no Kafka jars: scripts/kafka.sh fetches them and prints where they are", libs.display())]
    KafkaJarsMissing { libs: PathBuf },

    #[error("{} is in use by process {pid}: stop that one, or choose another directory", directory.display())]
    Owned { directory: PathBuf, pid: String },

    #[error(
        "{} is not empty and was not made by a local server: choose an empty or a new directory",
        directory.display()
    )]
    Foreign { directory: PathBuf },

    #[error(
        "{} makes the path of the Unix socket longer than 107 bytes: choose a directory whose path has at \
         most {bytes_max} bytes", directory.display()
    )]
    DirectoryTooLong { directory: PathBuf, bytes_max: usize },

    #[error(
        "PostgreSQL does not run as root, and the user {user} cannot reach {}: choose a directory below \
         /var/lib or /tmp", directory.display()
    )]
    Unreachable { directory: PathBuf, user: String },

    #[error("PostgreSQL does not run as root, and there is no user postgres or nobody to run it: create one")]
    NoAccount,

    #[error("port {port} on 127.0.0.1 is taken: stop what listens there, or choose another port")]
    PortTaken { port: u16 },

    #[error(
        "{} has data but no password any more: put it back, or remove the directory to start with empty data",
        file.display()
    )]
    PasswordLost { file: PathBuf },

    #[error("{server} ended instead of starting; {} ends with:\n{tail}", log.display())]
    Ended { server: &'static str, log: PathBuf, tail: String },

    #[error("{server} did not answer within {limit_s} s; {} ends with:\n{tail}", log.display())]
    Silent { server: &'static str, limit_s: u64, log: PathBuf, tail: String },

    #[error("{server} did not stop in time and was killed: its next start recovers")]
    Killed { server: &'static str },

    #[error("{server} does not run: start it again first")]
    NotRunning { server: &'static str },

    #[error("{} exists: a copy needs a directory of its own", directory.display())]
    CopyExists { directory: PathBuf },

    #[error("{in_sync} of {brokers} replicas are in sync after {limit_s} s")]
    OutOfSync { in_sync: usize, brokers: usize, limit_s: u64 },

    #[error("a process {pid} works in {} and does not stop: end it", directory.display())]
    Survivor { directory: PathBuf, pid: i32 },

    #[error("cannot run {program}: {source}")]
    Run { program: String, source: io::Error },

    #[error("cannot make the certificate {name}: {source}")]
    Certificate { name: String, source: rcgen::Error },

    #[error("cannot {action} {}: {source}", path.display())]
    File { action: &'static str, path: PathBuf, source: io::Error },
}

impl Error {
    /// For `map_err` on a file operation.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_owned(), source }
    }

    pub(crate) fn certificate(name: &str) -> impl FnOnce(rcgen::Error) -> Self {
        move |source| Self::Certificate { name: name.to_owned(), source }
    }

    /// The server ended because somebody took its port after it was chosen.
    pub(crate) fn is_port_race(&self) -> bool {
        let Self::Ended { log, .. } = self else { return false };
        fs::read(log).is_ok_and(|text| String::from_utf8_lossy(&text).contains("Address already in use"))
    }
}
