//! `lunaria capture`: tables of an existing system, one capture at a time.

mod prepare;

use std::process::ExitCode;

use relay::{Changed, RefillProgress, Weight};
use tokio_util::sync::CancellationToken;

use crate::cli::CaptureAction;
use crate::config::Config;
use crate::process::say;
use crate::relaying::{show, tell};
use crate::relays::capture_config;
use crate::roles;

pub(crate) async fn run(
    config: Config,
    action: CaptureAction,
    shutdown: CancellationToken,
) -> anyhow::Result<ExitCode> {
    match action {
        CaptureAction::Run { name } => roles::capture(config, &name, shutdown).await?,
        CaptureAction::Doctor { name } => {
            let (relay, open) = capture_config(&name, &config)?;
            let findings = relay::examine(&relay, &open).await;
            tell(&findings)?;
            if findings.iter().any(|finding| finding.weight == Weight::Doubt) {
                return Ok(ExitCode::FAILURE);
            }
        }
        CaptureAction::Status { name, json } => {
            let overview = relay::overview(&capture_config(&name, &config)?.0).await?;
            if json { say(&serde_json::to_string(&overview)?)? } else { show(&overview, "snapshot")? }
        }
        CaptureAction::Prepare(options) => prepare::run(&config, options).await?,
        CaptureAction::Snapshot { name } => {
            let (relay, open) = capture_config(&name, &config)?;
            let on_progress = |progress: RefillProgress| {
                let (rate, left_s) =
                    (progress.events_per_second(), progress.left().map(|left| left.as_secs()));
                tracing::info!(capture = name, sent = progress.sent, rate, left_s, "snapshot");
            };
            let taken = relay::refill(&relay, &open, &on_progress, &shutdown).await?;
            say(&format!(
                "the snapshot of {name} is in Kafka: {} rows; `lunaria capture run {name}` goes on at {}",
                taken.events, taken.lsn
            ))?;
        }
        CaptureAction::Pause { name } => {
            let changed = relay::pause(&capture_config(&name, &config)?.0).await?;
            let already = if changed == Changed::AlreadySo { " already" } else { "" };
            say(&format!(
                "the capture {name} is{already} paused; it goes on with `lunaria capture resume {name}`"
            ))?;
        }
        CaptureAction::Resume { name } => {
            let changed = relay::resume(&capture_config(&name, &config)?.0).await?;
            let outcome = if changed == Changed::AlreadySo { "was not paused" } else { "goes on" };
            say(&format!("the capture {name} {outcome}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
