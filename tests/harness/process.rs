//! A process of the platform, its log in a file, killed when it is dropped.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testbed::patience;

const POLL: Duration = Duration::from_millis(20);

pub(crate) const LUNARIA: &str = env!("CARGO_BIN_EXE_lunaria");

pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` and waits until it has said where it listens (`announces` lines), which it returns.
    pub(crate) fn start(
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
        announces: usize,
    ) -> (Self, Vec<String>) {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let process = Self { child, log: log.to_owned() };
        let (say, said) = mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(say.send(line))));
        let urls = (0..announces).map(|_| {
            let line =
                said.recv_timeout(patience()).unwrap_or_else(|_| panic!("{arguments:?} did not start"));
            line.rsplit(' ').next().unwrap().to_owned()
        });
        let urls = urls.collect();
        (process, urls)
    }

    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end. Returns whether it ended well.
    pub(crate) fn wait(mut self) -> bool {
        let deadline = Instant::now() + patience();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(POLL);
        }
    }

    /// As Ctrl-C does. Returns whether it ended well.
    pub(crate) fn interrupt(mut self) -> bool {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().filter(|line| !line.contains("\"INFO\"")).collect();
            let last = lines[lines.len().saturating_sub(15)..].join("\n");
            let _ = writeln!(std::io::stderr(), "{}:\n{last}", self.log.display());
        }
    }
}
