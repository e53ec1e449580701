//! A server as our child process: in a group of its own, its output in a log file, stopped by ever harder signals.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;

const POLL: Duration = Duration::from_millis(10);

/// Of a log: what fits on a screen.
const TAIL_LINES: usize = 15;

/// A signal, and how long to wait for its effect before the next one.
pub(crate) struct Rung {
    pub(crate) signal: Signal,
    pub(crate) patience: Duration,
}

impl Rung {
    pub(crate) const fn new(signal: Signal, patience_s: u64) -> Self {
        Self { signal, patience: Duration::from_secs(patience_s) }
    }
}

pub(crate) struct Process {
    server: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a server with a new log; the log of the run before stays beside it.
    pub(crate) fn spawn(server: &'static str, command: &mut Command, log: &Path) -> Result<Self, Error> {
        redirect(command, log, true)?;
        // A Ctrl-C in the terminal goes to the foreground group: to the owner, who stops its servers in order.
        command.process_group(0);
        let child = command.spawn().map_err(|source| run_error(command, source))?;
        Ok(Self { server, child, log: log.to_owned() })
    }

    /// Runs a preparing step to its end, with its output in the log.
    pub(crate) fn run(server: &'static str, command: &mut Command, log: &Path) -> Result<(), Error> {
        redirect(command, log, false)?;
        let status = command.process_group(0).status().map_err(|source| run_error(command, source))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Ended { server, log: log.to_owned(), tail: tail(log) })
    }

    /// Polls `is_ready` until it says yes, the server ends or the limit is over.
    pub(crate) fn wait_until(
        &mut self,
        limit: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        while !is_ready() {
            let (server, log) = (self.server, self.log.clone());
            if self.has_ended() {
                return Err(Error::Ended { server, tail: tail(&log), log });
            }
            if Instant::now() > deadline {
                return Err(Error::Silent { server, limit_s: limit.as_secs(), tail: tail(&log), log });
            }
            sleep(POLL);
        }
        Ok(())
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// To a server that has ended nothing is sent: its number may belong to a stranger.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        if self.has_ended() || kill_process(self.id(), signal).is_err() {
            return Err(Error::NotRunning { server: self.server });
        }
        Ok(())
    }

    /// Ends the server at once, as a crash of its machine would. One that has ended is left as it is.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        let run_error = |source| Error::Run { program: format!("kill {}", self.server), source };
        // Reaps it as well, so that nothing of it holds a file, a lock or a port any more.
        self.child.kill().and_then(|()| self.child.wait()).map(drop).map_err(run_error)
    }

    /// Goes up the ladder until the server has ended; whoever had to be killed is reported.
    pub(crate) fn stop(&mut self, ladder: &[Rung]) -> Result<(), Error> {
        let pid = self.id();
        // A paused server would heed no rung but the last.
        let _ = self.signal(Signal::CONT);
        for rung in ladder {
            // The child is not reaped yet, so that the number is still its own.
            if self.has_ended() {
                return Ok(());
            }
            // No effect on a server that has just ended, which the loop below sees.
            let _ = kill_process(pid, rung.signal);
            let deadline = Instant::now() + rung.patience;
            while Instant::now() < deadline {
                if self.has_ended() {
                    let is_killed = rung.signal == Signal::KILL;
                    return if is_killed { Err(Error::Killed { server: self.server }) } else { Ok(()) };
                }
                sleep(POLL);
            }
        }
        Err(Error::Killed { server: self.server })
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

fn redirect(command: &mut Command, log: &Path, is_new: bool) -> Result<(), Error> {
    if is_new && log.exists() {
        fs::rename(log, log.with_extension("log.1")).map_err(Error::file("rename", log))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)
        .map_err(Error::file("open", log))?;
    let copy = file.try_clone().map_err(Error::file("open", log))?;
    command.stdin(Stdio::null()).stdout(file).stderr(copy);
    Ok(())
}

fn run_error(command: &Command, source: std::io::Error) -> Error {
    Error::Run { program: command.get_program().display().to_string(), source }
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}
