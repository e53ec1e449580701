//! A private Apache Kafka broker: one KRaft node that is its own controller, plain text on 127.0.0.1.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rand::Rng;
use rustix::process::Signal;

use crate::directory::{self, Directory};
use crate::metadata;
use crate::process::{Process, Rung};
use crate::{Error, port, survivor};

const SERVER: &str = "Kafka";

/// A start takes 3 to 4 s on two idle cores, and a loaded machine is many times slower.
const READY_LIMIT: Duration = Duration::from_secs(60);

const LADDER: [Rung; 2] = [Rung::new(Signal::TERM, 30), Rung::new(Signal::KILL, 5)];

/// What the Java process needs for a broker of this size, and flags that halve its start.
const JAVA_FLAGS: [&str; 3] = ["-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Marks a finished format, so that one that was killed in the middle is done again.
const FORMATTED: &str = "formatted";
const PROPERTIES: &str = "server.properties";

/// What to start and where.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// The broker's alone. A directory of an earlier start keeps its topics.
    pub directory: PathBuf,
    /// `None`: the port of the last start while it is free, else a free one.
    pub port: Option<u16>,
    /// The directory with Kafka's jars, as `scripts/kafka.sh` prints it.
    pub libs: PathBuf,
}

/// A running broker; dropping it stops the broker as well, without a word about failures.
pub struct KafkaBroker {
    process: Process,
    port: u16,
    // Last, so that the directory is given free after the broker has ended.
    _directory: Directory,
}

impl KafkaBroker {
    /// Starts a broker and returns when it answers to clients.
    pub fn start(options: KafkaOptions) -> Result<Self, Error> {
        let libs = find_jars(&options.libs)?;
        let directory = Directory::own(&options.directory)?;
        survivor::stop_all("java", directory.path(), &LADDER)?;
        let (process, port) = port::retry(options.port, || launch(&directory, options.port, &libs))?;
        port::remember(port, &directory.join("port"))?;
        Ok(Self { process, port, _directory: directory })
    }

    /// `host:port` for `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Shuts the broker down in order and waits for its end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.process.stop(&LADDER)
    }
}

impl Drop for KafkaBroker {
    fn drop(&mut self) {
        // After `stop` nothing runs any more; otherwise nobody is left to tell.
        let _ = self.process.stop(&LADDER);
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

fn launch(directory: &Directory, asked: Option<u16>, libs: &Path) -> Result<(Process, u16), Error> {
    let port = port::choose(asked, &directory.join("port"))?;
    let controller_file = directory.join("controller-port");
    let controller_port = port::choose(None, &controller_file)?;
    port::remember(controller_port, &controller_file)?;
    let properties = directory.join(PROPERTIES);
    fs::write(&properties, server_properties(port, controller_port))
        .map_err(Error::file("write", &properties))?;
    format_once(directory, libs)?;

    let mut command = java(directory, libs);
    command.args(["kafka.Kafka", PROPERTIES]);
    let process = Process::spawn(SERVER, &mut command, &directory.join("kafka.log"));
    let mut process = process.map_err(java_missing)?;
    match process.wait_until(READY_LIMIT, || metadata::has_broker(port)) {
        Ok(()) => Ok((process, port)),
        Err(error) => {
            // Why it is not ready says more than how it stopped.
            let _ = process.stop(&LADDER);
            Err(error)
        }
    }
}

fn format_once(directory: &Directory, libs: &Path) -> Result<(), Error> {
    let formatted = directory.join(FORMATTED);
    if formatted.exists() {
        return Ok(());
    }
    directory::remove(&directory.join("data"))?;
    let cluster_id = cluster_id();
    let mut command = java(directory, libs);
    command.args(["kafka.tools.StorageTool", "format", "--standalone", "-t", &cluster_id, "-c", PROPERTIES]);
    Process::run("Kafka's format", &mut command, &directory.join("format.log")).map_err(java_missing)?;
    fs::write(&formatted, cluster_id).map_err(Error::file("write", &formatted))
}

fn java(directory: &Directory, libs: &Path) -> Command {
    let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let program = home.filter(|java| java.is_file()).unwrap_or_else(|| PathBuf::from("java"));
    let mut command = Command::new(program);
    command.current_dir(directory.path()).args(JAVA_FLAGS).arg("-cp").arg(libs.join("*"));
    command
}

fn java_missing(error: Error) -> Error {
    match error {
        Error::Run { source, .. } if source.kind() == io::ErrorKind::NotFound => Error::JavaMissing,
        other => other,
    }
}

/// 16 random bytes in URL-safe base64: 21 digits of 6 bits and a last one of 2 bits. It must not start with `-`,
/// which the format tool takes for an option.
fn cluster_id() -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut random = rand::rng();
    let mut digit = |choices: &[u8]| char::from(choices[random.random_range(0..choices.len())]);
    let first = digit(&DIGITS[..62]);
    let middle: String = (0..20).map(|_| digit(DIGITS)).collect();
    let last = digit(b"AQgw");
    format!("{first}{middle}{last}")
}

/// Paths are relative to the broker's directory, where it works.
fn server_properties(port: u16, controller_port: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=3
auto.create.topics.enable=false
"
    )
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
