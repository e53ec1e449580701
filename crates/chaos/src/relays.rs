//! The two relays, as processes that can be killed, paused and stopped: whichever has the slot leads, the other stands by.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The binary under test, and which of its seeded mistakes is switched on.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    /// Empty for none.
    pub mutant: String,
}

pub(crate) const RELAYS: usize = 2;

pub(crate) struct Relays {
    program: Program,
    members: Vec<Member>,
}

struct Member {
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    is_paused: bool,
}

/// A session that a relay has told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) relay: usize,
    pub(crate) epoch: i64,
}

impl Relays {
    /// `configs`: the text of each one's configuration file.
    pub(crate) fn new(program: Program, directory: &Path, configs: [String; RELAYS]) -> Self {
        let members = configs.into_iter().enumerate().map(|(number, text)| {
            let config = directory.join(format!("relay-{number}.toml"));
            fs::write(&config, text).unwrap();
            let log = directory.join(format!("relay-{number}.log"));
            File::create(&log).unwrap();
            Member { config, log, child: None, is_paused: false }
        });
        Self { program, members: members.collect() }
    }

    /// Starts those that do not run.
    pub(crate) fn start_all(&mut self) {
        (0..RELAYS).for_each(|relay| self.start(relay));
    }

    pub(crate) fn start(&mut self, relay: usize) {
        let member = &mut self.members[relay];
        if member.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none()) {
            return;
        }
        let log = File::options().append(true).open(&member.log).unwrap();
        let child = Command::new(&self.program.path)
            .arg("--config")
            .arg(&member.config)
            .args(["relay", "run", "core"])
            .env("LUNARIA_MUTANT", &self.program.mutant)
            .env_remove("LUNARIA_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.path.display()));
        member.child = Some(child);
        member.is_paused = false;
    }

    /// kill -9. One that does not run is left as it is.
    pub(crate) fn kill(&mut self, relay: usize) {
        if let Some(mut child) = self.members[relay].child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.members[relay].is_paused = false;
    }

    pub(crate) fn kill_all(&mut self) {
        (0..RELAYS).for_each(|relay| self.kill(relay));
    }

    /// As a supervisor stops it: it has the time to send and confirm what it has.
    pub(crate) fn terminate(&mut self, relay: usize) {
        self.signal(relay, Signal::TERM);
    }

    pub(crate) fn pause(&mut self, relay: usize) {
        self.signal(relay, Signal::STOP);
        self.members[relay].is_paused = true;
    }

    pub(crate) fn resume(&mut self, relay: usize) {
        if std::mem::take(&mut self.members[relay].is_paused) {
            self.signal(relay, Signal::CONT);
        }
    }

    pub(crate) fn resume_all(&mut self) {
        (0..RELAYS).for_each(|relay| self.resume(relay));
    }

    fn signal(&self, relay: usize, signal: Signal) {
        if let Some(child) = &self.members[relay].child {
            // It may have ended meanwhile, and is not waited for before it is started again.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Those that have ended by themselves; they are not told of again.
    pub(crate) fn ended(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        for (relay, member) in self.members.iter_mut().enumerate() {
            if member.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some()) {
                member.child = None;
                ended.push(relay);
            }
        }
        ended
    }

    /// The newest session that any of them has begun.
    pub(crate) fn leader(&self) -> Option<Session> {
        self.sessions().pop()
    }

    /// Every session of both, by epoch.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        let mut sessions: Vec<Session> = (self.members.iter().enumerate())
            .flat_map(|(relay, member)| {
                let log = fs::read_to_string(&member.log).unwrap();
                log.lines().filter_map(|line| session(relay, line)).collect::<Vec<_>>()
            })
            .collect();
        sessions.sort_by_key(|session| session.epoch);
        sessions
    }

    /// Why a relay has halted, if one has: the only way in which the relay may stop by itself.
    pub(crate) fn halt(&self) -> Option<String> {
        self.members.iter().find_map(|member| {
            let log = fs::read_to_string(&member.log).unwrap();
            log.lines().find(|line| line.contains("the relay halts")).map(ToOwned::to_owned)
        })
    }

    /// The last thing that this one has said.
    pub(crate) fn last_line(&self, relay: usize) -> String {
        let log = fs::read_to_string(&self.members[relay].log).unwrap();
        log.lines().last().unwrap_or_default().to_owned()
    }

    /// The lines that say what went wrong last, for a person.
    pub(crate) fn last_words(&self) -> String {
        let words = self.members.iter().enumerate().map(|(relay, member)| {
            let log = fs::read_to_string(&member.log).unwrap();
            let lines: Vec<&str> = log.lines().collect();
            format!("relay {relay}:\n{}", lines[lines.len().saturating_sub(8)..].join("\n"))
        });
        words.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn session(relay: usize, line: &str) -> Option<Session> {
    if !line.contains("relay session started") {
        return None;
    }
    let line: Value = serde_json::from_str(line).ok()?;
    Some(Session { relay, epoch: line["fields"]["epoch"].as_i64()? })
}
