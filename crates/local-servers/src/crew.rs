//! A server with all its processes, which are frozen, thawed and killed as one.
//!
//! PostgreSQL's processes are in sessions of their own, so that no signal to a group reaches them all; what they share
//! is the directory that they work in. Only the first one makes others, and it is stopped before they are counted.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::process::Process;
use crate::{Error, survivor};

const POLL: Duration = Duration::from_millis(1);

/// A process stops at the end of its system call, which a slow disk can draw out.
const LIMIT: Duration = Duration::from_secs(30);

/// The processes of one server that runs or has ended.
pub(crate) struct Crew<'a> {
    pub(crate) first: &'a mut Process,
    pub(crate) program: &'static str,
    pub(crate) directory: &'a Path,
}

impl Crew<'_> {
    /// Stops every process where it is, and returns when none of them does anything any more.
    pub(crate) fn freeze(&mut self) -> Result<(), Error> {
        self.first.signal(Signal::STOP)?;
        self.wait_until_still(&[self.first.id()])?;
        let all = self.pids();
        send(&all, Signal::STOP);
        self.wait_until_still(&all)
    }

    pub(crate) fn thaw(&mut self) -> Result<(), Error> {
        send(&self.pids(), Signal::CONT);
        self.first.signal(Signal::CONT)
    }

    /// Ends every process at once, without a chance to write a byte. A server that has ended is no error.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        if !self.first.has_ended() {
            self.freeze()?;
        }
        send(&self.pids(), Signal::KILL);
        self.first.kill()?;
        self.wait(|crew| crew.pids().first().copied())
    }

    fn pids(&self) -> Vec<Pid> {
        survivor::find(self.program, self.directory).iter().map(|found| found.pid).collect()
    }

    fn wait_until_still(&self, pids: &[Pid]) -> Result<(), Error> {
        self.wait(|_| pids.iter().copied().find(|pid| !survivor::is_still(*pid)))
    }

    fn wait(&self, unruly: impl Fn(&Self) -> Option<Pid>) -> Result<(), Error> {
        let deadline = Instant::now() + LIMIT;
        while let Some(pid) = unruly(self) {
            if Instant::now() > deadline {
                let (directory, pid) = (self.directory.to_owned(), pid.as_raw_nonzero().get());
                return Err(Error::Survivor { directory, pid });
            }
            sleep(POLL);
        }
        Ok(())
    }
}

fn send(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // It may have ended meanwhile, which is all that any of the signals could ask of it.
        let _ = kill_process(*pid, signal);
    }
}
