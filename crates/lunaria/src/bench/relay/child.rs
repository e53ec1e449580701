//! The relay under test: this program once more, as its users run it, so that CPU and memory are its own.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use event_store::{APPLICATION_ROLE, RELAY_ROLE};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::ground::Ground;

const POLL: Duration = Duration::from_millis(5);
const START_LIMIT: Duration = Duration::from_secs(30);

pub(super) struct RelayChild {
    child: Child,
    pub(super) pid: u32,
    pub(super) ops_url: String,
}

impl RelayChild {
    /// Returns as soon as its process runs; until it reads the slot it may have a refill to do.
    pub(super) async fn spawn(ground: &Ground, slot: &str, further: &[&str]) -> anyhow::Result<Self> {
        let settings = [
            "transport=kafka".to_owned(),
            format!("core.database.database_url={}", ground.url(APPLICATION_ROLE)),
            format!("core.database.relay_url={}", ground.url(RELAY_ROLE)),
            format!("core.database.slot={slot}"),
            format!("kafka.brokers={}", ground.brokers),
            format!("kafka.prefix={slot}."),
            "ops.listen=127.0.0.1:0".to_owned(),
        ];
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--log", "warn"])
            .args(
                settings
                    .iter()
                    .map(String::as_str)
                    .chain(further.iter().copied())
                    .flat_map(|it| ["--set", it]),
            )
            .args(["relay", "run", "core"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("the relay has ended")?;
        let output = child.stdout.take().context("the relay has no output")?;
        let line = BufReader::new(output).lines().next_line().await?.context("the relay did not start")?;
        let ops_url =
            line.strip_prefix("listening ops ").context("the relay says something else")?.to_owned();
        Ok(Self { child, pid, ops_url })
    }

    /// Returns as soon as it reads the slot.
    pub(super) async fn start(ground: &Ground, slot: &str, further: &[&str]) -> anyhow::Result<Self> {
        let relay = Self::spawn(ground, slot, further).await?;
        let reading = tokio::time::timeout(START_LIMIT, until_read(ground, slot));
        reading.await.context("the relay does not read its slot")??;
        Ok(relay)
    }

    /// The value of one of its counters.
    pub(super) async fn counted(&self, counter: &str) -> anyhow::Result<f64> {
        let text = reqwest::get(format!("{}/metrics", self.ops_url)).await?.text().await?;
        let line = text.lines().find_map(|line| line.strip_prefix(counter)?.rsplit(' ').next());
        Ok(line.with_context(|| format!("the relay exports no {counter}"))?.parse()?)
    }

    /// As an operator ends it.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no pid")?;
        kill_process(pid, Signal::INT)?;
        let status = self.child.wait().await?;
        if !status.success() {
            bail!("the relay ended with {status}");
        }
        Ok(())
    }
}

async fn until_read(ground: &Ground, slot: &str) -> anyhow::Result<()> {
    let mut connection = ground.connection().await?;
    let ask = "select active_pid is not null from pg_replication_slots where slot_name = $1";
    while !sqlx::query_scalar::<_, bool>(ask).bind(slot).fetch_one(&mut connection).await? {
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
