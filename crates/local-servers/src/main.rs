//! `with-servers [--kafka] -- COMMAND ARGS…` runs a command with a PostgreSQL cluster, and a Kafka broker if asked,
//! that live as long as the command.
//!
//! The command finds them by `LUNARIA_TEST_POSTGRES` (the superuser's URL), `LUNARIA_TEST_SOCKET_DIR` and
//! `LUNARIA_TEST_KAFKA` (the bootstrap address); Kafka's jars are in `LUNARIA_KAFKA_LIBS`. The exit code is the
//! command's. Servers and data are gone afterwards, also after SIGINT and SIGTERM.

use std::env;
use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use local_servers::{KafkaBroker, KafkaOptions, PostgresCluster, PostgresOptions};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};
use tokio::signal::unix::{self, SignalKind};

const USAGE: &str = "usage: with-servers [--kafka] -- COMMAND [ARGUMENT…]";
const EXIT_USAGE: u8 = 64;
const EXIT_SERVER: u8 = 69;

/// How long the command may take to end after a signal before it is killed.
const END_LIMIT: Duration = Duration::from_secs(10);

/// Fewer and larger checkpoints than by default: tests write much and keep nothing. Durability stays as it is.
const SETTINGS: [(&str, &str); 3] =
    [("max_wal_size", "4GB"), ("checkpoint_timeout", "30min"), ("log_checkpoints", "off")];

type Failure = Box<dyn std::error::Error>;

struct Servers {
    postgres: PostgresCluster,
    kafka: Option<KafkaBroker>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some((with_kafka, command)) = parse(env::args_os().skip(1).collect()) else {
        return fail(EXIT_USAGE, USAGE);
    };
    match run(with_kafka, &command).await {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(EXIT_SERVER, &format!("with-servers: {error}")),
    }
}

fn parse(arguments: Vec<OsString>) -> Option<(bool, Vec<OsString>)> {
    let separator = arguments.iter().position(|argument| argument == "--")?;
    let (options, command) = arguments.split_at(separator);
    let with_kafka = match options {
        [] => false,
        [option] if option == "--kafka" => true,
        _ => return None,
    };
    let command = command.get(1..)?.to_vec();
    (!command.is_empty()).then_some((with_kafka, command))
}

async fn run(with_kafka: bool, command: &[OsString]) -> Result<u8, Failure> {
    // From here on a signal waits until the servers can be stopped in order.
    let mut interrupts = unix::signal(SignalKind::interrupt())?;
    let mut terminations = unix::signal(SignalKind::terminate())?;
    // Open for passage: the account that runs PostgreSQL need not be ours. /tmp also keeps the socket's path short.
    let directory = tempfile::Builder::new()
        .prefix("lunaria-test-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir_in("/tmp")?;
    let servers = start(directory.path(), with_kafka)?;

    let mut child = spawn(command, &servers)?;
    let status = tokio::select! {
        status = child.wait() => status?,
        _ = interrupts.recv() => end(&mut child, Signal::INT).await?,
        _ = terminations.recv() => end(&mut child, Signal::TERM).await?,
    };

    if let Some(kafka) = servers.kafka {
        kafka.stop()?;
    }
    servers.postgres.stop()?;
    directory.close()?;
    Ok(code_of(status))
}

fn start(directory: &Path, with_kafka: bool) -> Result<Servers, Failure> {
    let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let postgres = PostgresCluster::start(PostgresOptions {
        directory: directory.join("postgres"),
        port: None,
        settings,
    })?;
    if !with_kafka {
        return Ok(Servers { postgres, kafka: None });
    }
    let libs = env::var_os("LUNARIA_KAFKA_LIBS");
    let libs =
        libs.ok_or("LUNARIA_KAFKA_LIBS is not set: export LUNARIA_KAFKA_LIBS=\"$(scripts/kafka.sh)\"")?;
    let options = KafkaOptions::new(directory.join("kafka"), libs);
    Ok(Servers { postgres, kafka: Some(KafkaBroker::start(options)?) })
}

fn spawn(command: &[OsString], servers: &Servers) -> Result<Child, Failure> {
    let (program, arguments) = command.split_first().ok_or(USAGE)?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LUNARIA_TEST_POSTGRES", servers.postgres.superuser_url("postgres"))
        .env("LUNARIA_TEST_SOCKET_DIR", servers.postgres.socket_directory());
    if let Some(kafka) = &servers.kafka {
        command.env("LUNARIA_TEST_KAFKA", kafka.bootstrap());
    }
    if !has_terminal() {
        command.process_group(0);
    }
    command.spawn().map_err(|error| format!("cannot run {}: {error}", program.display()).into())
}

/// With a terminal the command stays in its foreground group, to read from it and to get its Ctrl-C. Without one it
/// gets a group of its own, so that a signal reaches all of its descendants.
fn has_terminal() -> bool {
    io::stdin().is_terminal()
}

async fn end(child: &mut Child, signal: Signal) -> io::Result<ExitStatus> {
    send(child, signal);
    match tokio::time::timeout(END_LIMIT, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            send(child, Signal::KILL);
            child.wait().await
        }
    }
}

fn send(child: &Child, signal: Signal) {
    let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = id {
        let deliver = if has_terminal() { kill_process } else { kill_process_group };
        // It may have ended just now, which is what the signal is for.
        let _ = deliver(pid, signal);
    }
}

/// As a shell reports it: 128 and the signal's number for a command that a signal ended.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn fail(code: u8, message: &str) -> ExitCode {
    // Nothing is left to do if even this cannot be written.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}
