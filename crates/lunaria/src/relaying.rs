//! `lunaria relay …`: one service's relay, and what an operator does with it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use relay::{
    Changed, Finding, Found, OpenEmbedded, OpenKafka, Overview, RefillProgress, Refilled, ReplayRange,
    TopicPlan, Way, Weight,
};
use tokio_util::sync::CancellationToken;

use crate::cli::{RelayAction, ReplayOptions, ServiceName};
use crate::config::{Config, Transport};
use crate::process::say;
use crate::relays::{kafka_config, relay_config};
use crate::roles;

pub(crate) async fn run(
    config: Config,
    action: RelayAction,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    match action {
        RelayAction::Run { service } => roles::relay(config, service, shutdown).await?,
        RelayAction::Doctor { service } => {
            let relay = relay_config(service, &config)?;
            let findings = match config.transport {
                Transport::Kafka => {
                    relay::examine(&relay, &OpenKafka { config: kafka_config(service, &config)? }).await
                }
                Transport::Embedded => relay::examine(&relay, &OpenEmbedded { outlets: Arc::new([]) }).await,
            };
            tell(&findings)?;
            if findings.iter().any(|finding| finding.weight == Weight::Doubt) {
                return Ok(ExitCode::FAILURE);
            }
        }
        RelayAction::Status { service, json } => {
            let overview = relay::overview(&relay_config(service, &config)?).await?;
            if json { say(&serde_json::to_string(&overview)?)? } else { show(&overview, "refill")? }
        }
        RelayAction::Pause { service } => {
            let changed = relay::pause(&relay_config(service, &config)?).await?;
            let already = if changed == Changed::AlreadySo { " already" } else { "" };
            let service = service.as_str();
            say(&format!(
                "the relay of {service} is{already} paused; it goes on with `lunaria relay resume {service}`"
            ))?;
        }
        RelayAction::Resume { service } => {
            let changed = relay::resume(&relay_config(service, &config)?).await?;
            let outcome = if changed == Changed::AlreadySo { "was not paused" } else { "goes on" };
            say(&format!("the relay of {} {outcome}", service.as_str()))?;
        }
        // With the embedded transport Kafka has nothing, and the handlers would never see what is refilled there.
        RelayAction::Refill { .. } | RelayAction::Replay(_) | RelayAction::Topics { .. }
            if config.transport == Transport::Embedded =>
        {
            bail!(
                "there is no Kafka with the embedded transport; for another configuration: --set transport=kafka"
            )
        }
        RelayAction::Refill { service } => refill(service, &config, &shutdown).await?,
        RelayAction::Replay(options) => replay(options, &config).await?,
        RelayAction::Topics { service, dry_run } => topics(service, &config, dry_run).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn refill(service: ServiceName, config: &Config, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let relay = relay_config(service, config)?;
    let open = OpenKafka { config: kafka_config(service, config)? };
    let bar = progress_bar();
    let refilled = relay::refill(&relay, &open, &|progress| advance(&bar, progress), shutdown).await;
    bar.finish_and_clear();
    let Refilled { way, events, lsn } = refilled?;
    let how = match way {
        Some(Way::Compare) => "by comparing the event table with Kafka",
        Some(Way::Horizon) => "by what was committed since the relay last looked",
        Some(Way::Everything) => "all of the event table",
        None => "an earlier run had sent everything",
    };
    say(&format!("{events} events sent, {how}; the slot {} stands at {lsn}", relay.slot))?;
    say(&format!("the relay goes on: lunaria relay run {}", service.as_str()))
}

async fn replay(options: ReplayOptions, config: &Config) -> anyhow::Result<()> {
    let ReplayOptions { service, to, stream, category, since, until, dry_run } = options;
    let range = ReplayRange { stream, category, since, until };
    let relay = relay_config(service, config)?;
    if dry_run {
        let count = relay::count_replay(&relay, &range).await?;
        return say(&format!("{count} events would be sent to {to}"));
    }
    let kafka = kafka_config(service, config)?;
    let bar = progress_bar();
    let sent = relay::replay(&relay, &kafka, &to, &range, &|progress| advance(&bar, progress)).await;
    bar.finish_and_clear();
    say(&format!("{} events sent to {to}", sent?))
}

async fn topics(service: ServiceName, config: &Config, dry_run: bool) -> anyhow::Result<()> {
    let kafka = kafka_config(service, config)?;
    let plans = relay::plan_topics(&kafka, service.categories()).await?;
    if !dry_run {
        relay::create_topics(&kafka, &plans).await?;
    }
    for TopicPlan { name, partitions, replication, settings, found } in &plans {
        let settings: String = settings.iter().map(|(key, value)| format!(", {key} = {value}")).collect();
        match found {
            Found::AsWanted => say(&format!("ok      {name}"))?,
            Found::Missing => {
                let mark = if dry_run { "create " } else { "created" };
                say(&format!("{mark} {name}: {partitions} partitions, {replication} replicas{settings}"))?;
            }
            Found::Different(differences) => say(&format!("DIFFERS {name}: {}", differences.join("; ")))?,
        }
    }
    Ok(())
}

/// Drawn on a terminal only.
fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn advance(bar: &ProgressBar, progress: RefillProgress) {
    bar.set_length(progress.estimate);
    bar.set_position(progress.sent);
}

/// `mend`: what ends a gap.
pub(crate) fn show(overview: &Overview, mend: &str) -> anyhow::Result<()> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let Overview { service, slot, active_pid, confirmed_lsn, wal_end, lag_bytes, .. } = overview;
    let reader = match (overview.is_paused, active_pid) {
        (true, _) => "paused by an operator".to_owned(),
        (false, Some(pid)) => format!("read by server process {pid}"),
        (false, None) => "read by nobody".to_owned(),
    };
    say(&format!("{service}: slot {slot}, {reader}, session {}", overview.sessions))?;
    let (confirmed, end) =
        (text(confirmed_lsn.map(|lsn| lsn.to_string())), text(wal_end.map(|lsn| lsn.to_string())));
    say(&format!(
        "confirmed {confirmed}, log ends at {end}, {} bytes behind",
        text(lag_bytes.map(|bytes| bytes.to_string()))
    ))?;
    if let Some(reason) = &overview.refill_needed {
        say(&format!("needs a {mend}: {reason}"))?;
    }
    Ok(())
}

pub(crate) fn tell(findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for finding in findings {
        let mark = match finding.weight {
            Weight::Good => "ok   ",
            Weight::Note => "note ",
            Weight::Warning => "warn ",
            Weight::Doubt => "FAIL ",
        };
        writeln!(out, "{mark} {finding}")?;
        if !finding.remedy.is_empty() {
            writeln!(out, "      {}", finding.remedy)?;
        }
    }
    out.flush()
}
