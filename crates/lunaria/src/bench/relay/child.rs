//! The relay under test.

use std::time::Duration;

use anyhow::Context;
use event_store::{APPLICATION_ROLE, RELAY_ROLE};

use super::ground::Ground;
use crate::bench::program::Program;

const POLL: Duration = Duration::from_millis(5);
const START_LIMIT: Duration = Duration::from_secs(30);

pub(super) struct RelayChild {
    program: Program,
    pub(super) pid: u32,
    pub(super) ops_url: String,
}

impl RelayChild {
    /// Returns as soon as its process runs; until it reads the slot it may have a refill to do.
    pub(super) async fn spawn(ground: &Ground, slot: &str, further: &[&str]) -> anyhow::Result<Self> {
        let mut settings = vec![
            "transport=kafka".to_owned(),
            format!("core.database.database_url={}", ground.url(APPLICATION_ROLE)),
            format!("core.database.relay_url={}", ground.url(RELAY_ROLE)),
            format!("core.database.slot={slot}"),
            format!("kafka.brokers={}", ground.brokers),
            format!("kafka.prefix={slot}."),
            "ops.listen=127.0.0.1:0".to_owned(),
        ];
        settings.extend(further.iter().map(|&setting| setting.to_owned()));
        let program = Program::spawn(&settings, &["relay", "run", "core"], "ops").await?;
        Ok(Self { pid: program.pid, ops_url: program.url.clone(), program })
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

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.program.stop().await.context("the relay")
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
