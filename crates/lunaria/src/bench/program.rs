//! This program once more, as its users run it, so that CPU and memory are its own.

use std::process::Stdio;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(super) struct Program {
    child: Child,
    pub(super) pid: u32,
    /// Where it listens.
    pub(super) url: String,
}

impl Program {
    /// Returns once it has said where it listens as `part`.
    pub(super) async fn spawn(settings: &[String], role: &[&str], part: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--log", "warn"])
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .args(role)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().with_context(|| format!("{role:?} has ended"))?;
        let output = child.stdout.take().with_context(|| format!("{role:?} has no output"))?;
        let mut lines = BufReader::new(output).lines();
        let announced = format!("listening {part} ");
        let url = loop {
            let line = lines.next_line().await?;
            let line = line.with_context(|| format!("{role:?} did not start"))?;
            if let Some(url) = line.strip_prefix(&announced) {
                break url.to_owned();
            }
        };
        // It may go on to write.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, pid, url })
    }

    /// As an operator ends it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(pid, Signal::INT)?;
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("it ended with {status}");
        }
        Ok(())
    }
}
