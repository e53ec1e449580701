//! A private PostgreSQL cluster: SCRAM on every door, durable by default, ready for logical replication.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::Rng;
use rand::distr::Alphanumeric;
use rustix::process::Signal;

use crate::account::Account;
use crate::directory::{self, Directory};
use crate::installation::{Installation, Installations};
use crate::port::{self, ReservedPort};
use crate::process::{Process, Rung};
use crate::{Error, survivor};

mod copy;
mod fault;
mod standby;

const SERVER: &str = "PostgreSQL";
const PROGRAM: &str = "postgres";

/// Recovery after a kill -9 replays up to `max_wal_size` of log before the server answers.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Fast shutdown waits for its replication clients, which a hung one can hold for `wal_sender_timeout` (60 s).
/// Immediate shutdown waits for nobody; the next start recovers.
const LADDER: [Rung; 3] =
    [Rung::new(Signal::INT, 70), Rung::new(Signal::QUIT, 10), Rung::new(Signal::KILL, 5)];

/// `sun_path` in unix(7) has 108 bytes with the closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_NAME_BYTES_MAX: usize = "/socket/.s.PGSQL.65535".len();

const PASSWORD_LENGTH: usize = 32;

const SETTINGS: [(&str, &str); 8] = [
    ("listen_addresses", "127.0.0.1"),
    // Relative to the data directory, so that no character of the path needs quoting.
    ("unix_socket_directories", "../socket"),
    ("wal_level", "logical"),
    ("max_replication_slots", "64"),
    ("max_wal_senders", "64"),
    ("max_connections", "200"),
    ("shared_buffers", "256MB"),
    ("timezone", "UTC"),
];

/// What to start and where.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// The cluster's alone: `data/`, `socket/`, `password`, logs. A directory of an earlier start keeps its data.
    pub directory: PathBuf,
    /// `None`: the port of the last start while it is free, else a free one.
    pub port: Option<u16>,
    /// Server settings on top of the built-in ones, which they may override.
    pub settings: Vec<(String, String)>,
}

/// A cluster; dropping it stops the server as well, without a word about failures.
///
/// It can be hurt on purpose: see [`PostgresCluster::kill`] and what stands beside it.
pub struct PostgresCluster {
    process: Process,
    port: ReservedPort,
    socket_directory: PathBuf,
    password: String,
    // Last, so that the directory is given free after the server has ended.
    home: Home,
}

/// What every start of the same cluster has in common.
struct Home {
    account: Account,
    installation: Installation,
    settings: Vec<(String, String)>,
    directory: Directory,
}

impl PostgresCluster {
    /// Starts a cluster with the newest PostgreSQL of this machine and returns when it accepts connections.
    pub fn start(options: PostgresOptions) -> Result<Self, Error> {
        Self::start_from(options, &Installations::default())
    }

    /// The same, with the server programs from the given places.
    pub fn start_from(options: PostgresOptions, installations: &Installations) -> Result<Self, Error> {
        // Before anything is created, so that a machine without PostgreSQL is left as it was.
        let installation = installations.find(&options.directory.join("data"))?;
        let home = Home::own(&options.directory, installation, options.settings)?;
        survivor::stop_all(PROGRAM, &home.data(), &LADDER)?;
        let password = initialise(&home.directory, &home.account, &home.installation)?;
        Self::start_in(home, options.port, password)
    }

    fn start_in(home: Home, asked: Option<u16>, password: String) -> Result<Self, Error> {
        clean(&home.directory, &home.account)?;
        let port_file = home.directory.join("port");
        let (process, port) = port::retry(asked, || {
            let port = ReservedPort::of(port::choose(asked, &port_file)?)?;
            Ok((launch(&home, port.number())?, port))
        })?;
        port::remember(port.number(), &port_file)?;
        let socket_directory = home.directory.join("socket");
        Ok(Self { process, port, socket_directory, password, home })
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    pub fn socket_directory(&self) -> &Path {
        &self.socket_directory
    }

    pub fn superuser_password(&self) -> &str {
        &self.password
    }

    /// Over TCP, as the superuser `postgres`.
    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port())
    }

    /// Ends all sessions, writes what is in memory and waits for the server's end.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    fn end(&mut self) -> Result<(), Error> {
        // Its children could not end while they are paused.
        let _ = self.resume();
        self.process.stop(&LADDER)
    }
}

impl Drop for PostgresCluster {
    fn drop(&mut self) {
        // After `stop` nothing runs any more; otherwise nobody is left to tell.
        let _ = self.end();
    }
}

impl Home {
    fn own(path: &Path, installation: Installation, settings: Vec<(String, String)>) -> Result<Self, Error> {
        let account = Account::not_root()?;
        let directory = Directory::own(path)?;
        let directory_bytes_max = SOCKET_PATH_BYTES_MAX - SOCKET_NAME_BYTES_MAX;
        if directory.path().as_os_str().len() > directory_bytes_max {
            let directory = directory.path().to_owned();
            return Err(Error::DirectoryTooLong { directory, bytes_max: directory_bytes_max });
        }
        account.keep(directory.path(), 0o700)?;
        account.must_reach(directory.path())?;
        Ok(Self { account, installation, settings, directory })
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }
}

/// Makes the data directory and its superuser's password once; returns the password.
fn initialise(
    directory: &Directory,
    account: &Account,
    installation: &Installation,
) -> Result<String, Error> {
    let data = directory.join("data");
    let password_file = directory.join("password");
    if data.exists() {
        let password = fs::read_to_string(&password_file);
        return password.map_err(|_| Error::PasswordLost { file: password_file });
    }
    let password: String =
        rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect();
    directory::write_secret(&password_file, &password)?;
    account.keep(&password_file, 0o600)?;

    // A run that was killed in the middle leaves a draft, never half a data directory.
    let draft = directory.join("data.new");
    directory::remove(&draft)?;
    let mut initdb = account.command(&installation.program("initdb"));
    initdb.args(["--username=postgres", "--auth-host=scram-sha-256", "--auth-local=scram-sha-256"]);
    initdb.args(["--encoding=UTF8", "--locale=C", "--no-sync"]);
    initdb.arg("--pwfile").arg(&password_file).arg("--pgdata").arg(&draft);
    Process::run("initdb", &mut initdb, &directory.join("initdb.log"))?;
    fs::rename(&draft, &data).map_err(Error::file("rename", &draft))?;
    Ok(password)
}

/// Removes what a killed server left behind. Nothing works in the data directory any more when this is called.
fn clean(directory: &Directory, account: &Account) -> Result<(), Error> {
    // Its number may belong to a stranger by now, which PostgreSQL would take for a running server.
    let pid_file = directory.join("data/postmaster.pid");
    if pid_file.exists() {
        fs::remove_file(&pid_file).map_err(Error::file("remove", &pid_file))?;
    }
    let sockets = directory.join("socket");
    directory::remove(&sockets)?;
    directory::create(&sockets)?;
    account.keep(&sockets, 0o700)
}

fn launch(home: &Home, port: u16) -> Result<Process, Error> {
    let Home { account, installation, settings, directory } = home;
    let mut command = account.command(&installation.program("postgres"));
    command.arg("-D").arg(directory.join("data")).arg("-p").arg(port.to_string());
    let settings = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in SETTINGS.into_iter().chain(settings) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let mut process = Process::spawn(SERVER, &mut command, &directory.join("postgres.log"))?;
    // Only our server can be behind this socket, and it opens it after its TCP port.
    let socket = directory.join("socket").join(format!(".s.PGSQL.{port}"));
    match process.wait_until(READY_LIMIT, || accepts_connections(&socket)) {
        Ok(()) => Ok(process),
        Err(error) => {
            // Why it is not ready says more than how it stopped.
            let _ = process.stop(&LADDER);
            Err(error)
        }
    }
}

/// Asks for a session and hangs up: a server that is ready asks for the password (`R`), one that still recovers
/// refuses (`E`). <https://www.postgresql.org/docs/current/protocol-message-formats.html>
fn accepts_connections(socket: &Path) -> bool {
    const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let answer = || -> std::io::Result<u8> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(STARTUP)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    answer().is_ok_and(|kind| kind == b'R')
}

#[cfg(test)]
mod tests {
    #[test]
    fn startup_message_states_its_own_length() {
        assert_eq!(8 + b"user\0postgres\0database\0postgres\0\0".len(), 0x29);
    }
}
