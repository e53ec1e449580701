//! One Kafka process: its directory, its ports, its start, and what can be done to it.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rand::Rng;
use rustix::process::Signal;

use crate::crew::Crew;
use crate::directory::{self, Directory};
use crate::metadata::Metadata;
use crate::port::{self, ReservedPort};
use crate::process::{Process, Rung};
use crate::{Error, survivor};

const SERVER: &str = "Kafka";
const PROGRAM: &str = "java";

/// A start takes 3 to 4 s on two idle cores, and a loaded machine is many times slower.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(60);

const LADDER: [Rung; 2] = [Rung::new(Signal::TERM, 30), Rung::new(Signal::KILL, 5)];

/// Marks a finished format, so that one that was killed in the middle is done again.
const FORMATTED: &str = "formatted";
const PROPERTIES: &str = "server.properties";

/// What every start of the same node has in common.
pub(super) struct Home {
    directory: Directory,
    libs: PathBuf,
    java_flags: &'static [&'static str],
}

/// A broker, running or not.
pub(super) struct Node {
    process: Process,
    port: ReservedPort,
    // Only kept, for the next start.
    _others: Vec<ReservedPort>,
    // Last, so that the directory is given free after the broker has ended.
    home: Home,
}

impl Home {
    pub(super) fn own(path: &Path, libs: &Path, java_flags: &'static [&'static str]) -> Result<Self, Error> {
        let libs = find_jars(libs)?;
        let directory = Directory::own(path)?;
        survivor::stop_all(PROGRAM, directory.path(), &LADDER)?;
        Ok(Self { directory, libs, java_flags })
    }

    /// The asked port; else the one that this directory had for the same use; else any.
    pub(super) fn port(&self, asked: Option<u16>, file: &str) -> Result<ReservedPort, Error> {
        let file = self.directory.join(file);
        let port = ReservedPort::of(port::choose(asked, &file)?)?;
        port::remember(port.number(), &file)?;
        Ok(port)
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the properties, and formats the data once. `options` are those of Kafka's format tool.
    pub(super) fn prepare(&self, properties: &str, cluster_id: &str, options: &[&str]) -> Result<(), Error> {
        let path = self.directory.join(PROPERTIES);
        // They may hold passwords.
        directory::write_secret(&path, properties)?;
        let formatted = self.directory.join(FORMATTED);
        if formatted.exists() {
            return Ok(());
        }
        directory::remove(&self.directory.join("data"))?;
        let mut command = self.java();
        command.args(["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", PROPERTIES]).args(options);
        Process::run("Kafka's format", &mut command, &self.directory.join("format.log"))
            .map_err(java_missing)?;
        fs::write(&formatted, cluster_id).map_err(Error::file("write", &formatted))
    }

    fn spawn(&self) -> Result<Process, Error> {
        let mut command = self.java();
        command.args(["kafka.Kafka", PROPERTIES]);
        Process::spawn(SERVER, &mut command, &self.directory.join("kafka.log")).map_err(java_missing)
    }

    /// Paths in the properties are relative to the broker's directory, where it works.
    fn java(&self) -> Command {
        let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
        let program = home.filter(|java| java.is_file()).unwrap_or_else(|| PathBuf::from(PROGRAM));
        let mut command = Command::new(program);
        command.current_dir(self.directory.path()).args(self.java_flags);
        command.arg("-cp").arg(self.libs.join("*"));
        command
    }
}

impl Node {
    /// Spawns the process of a prepared home; [`Node::wait_ready`] waits for it. The first port is the clients'.
    pub(super) fn spawn(home: Home, port: ReservedPort, others: Vec<ReservedPort>) -> Result<Self, Error> {
        Ok(Self { process: home.spawn()?, port, _others: others, home })
    }

    /// Waits until the broker counts itself among those that serve clients.
    pub(super) fn wait_ready(&mut self) -> Result<(), Error> {
        let port = self.port.number();
        self.process.wait_until(READY_LIMIT, || {
            Metadata::ask(port).is_ok_and(|metadata| metadata.ports.contains(&port))
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port.number()
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id().as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn kill(&mut self) -> Result<(), Error> {
        self.process.kill()
    }

    /// On the same ports and data; a broker that still runs is stopped in order before.
    pub(super) fn restart(&mut self) -> Result<(), Error> {
        self.stop()?;
        self.process = self.home.spawn()?;
        self.wait_ready()
    }

    pub(super) fn pause(&mut self) -> Result<(), Error> {
        self.crew().freeze()
    }

    pub(super) fn resume(&mut self) -> Result<(), Error> {
        self.crew().thaw()
    }

    pub(super) fn stop(&mut self) -> Result<(), Error> {
        self.process.stop(&LADDER)
    }

    fn crew(&mut self) -> Crew<'_> {
        Crew { first: &mut self.process, program: PROGRAM, directory: self.home.directory.path() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // After `stop` nothing runs any more; otherwise nobody is left to tell.
        let _ = self.stop();
    }
}

fn find_jars(libs: &Path) -> Result<PathBuf, Error> {
    let missing = || Error::KafkaJarsMissing { libs: libs.to_owned() };
    let has_jar = |path: PathBuf| path.extension().is_some_and(|extension| extension == "jar");
    let entries = fs::read_dir(libs).map_err(|_| missing())?;
    if !entries.flatten().any(|entry| has_jar(entry.path())) {
        return Err(missing());
    }
    libs.canonicalize().map_err(Error::file("find", libs))
}

fn java_missing(error: Error) -> Error {
    match error {
        Error::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => Error::JavaMissing,
        other => other,
    }
}

/// 16 random bytes in URL-safe base64: 21 digits of 6 bits and a last one of 2 bits. It must not start with `-`,
/// which the format tool takes for an option.
pub(super) fn cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = rand::rng();
    let mut digit = |choices: &[u8]| char::from(choices[random.random_range(0..choices.len())]);
    let first = digit(&DIGITS[..62]);
    let middle: String = (0..20).map(|_| digit(DIGITS)).collect();
    let last = digit(b"AQgw");
    format!("{first}{middle}{last}")
}

#[cfg(test)]
mod tests {
    use super::cluster_id;

    #[test]
    fn cluster_id_has_22_digits_and_no_leading_dash() {
        for id in (0..1000).map(|_| cluster_id()) {
            assert_eq!(id.len(), 22);
            assert!(!id.starts_with('-'), "{id}");
        }
    }
}
