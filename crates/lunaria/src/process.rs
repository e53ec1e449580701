//! The process: its log, its signals, and its end when something panics.

use std::io::{IsTerminal, Write};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::{CaptureAction, Cli, Command, RelayAction};

/// Human-readable on a terminal, JSON otherwise.
pub(crate) fn log_to_stderr(cli: &Cli) {
    let quiet = match &cli.command {
        Command::Dev(_)
        | Command::Bench(_)
        | Command::Doctor
        | Command::Health { .. }
        | Command::Smoke(_) => true,
        Command::Relay { action } => !matches!(action, RelayAction::Run { .. }),
        Command::Capture { action } => {
            !matches!(action, CaptureAction::Run { .. } | CaptureAction::Snapshot { .. })
        }
        _ => false,
    };
    let filter = cli.log.clone().unwrap_or_else(|| if quiet { "error" } else { "info" }.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|error| {
        complain(&format!("--log {filter}: {error}; logging at `info`"));
        EnvFilter::new("info")
    });
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() { subscriber.compact().init() } else { subscriber.json().init() }
}

/// A panic anywhere is a fault that nobody knows the extent of: the process ends, and what it had not confirmed is
/// done again by the next one.
pub(crate) fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// Cancelled by the first SIGINT or SIGTERM; the second ends the process at once.
pub(crate) fn shutdown_signal() -> CancellationToken {
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return complain("signals cannot be handled here");
        };
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                token.cancel();
            }
        }
        std::process::exit(130);
    });
    shutdown
}

/// A line on standard output, at once.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

pub(crate) fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "lunaria: {what}");
}

/// The parts of a process: when one fails, all stop.
pub(crate) struct Parts {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    shutdown: CancellationToken,
}

impl Parts {
    pub(crate) fn new(shutdown: &CancellationToken) -> Self {
        Self { set: JoinSet::new(), shutdown: shutdown.clone() }
    }

    pub(crate) fn start(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, part.await) });
    }

    /// Returns when all have ended, with the first failure.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        while let Some(ended) = self.set.join_next().await {
            let (name, result) = ended.context("a part of the process has panicked")?;
            let result = result.with_context(|| name);
            if result.is_ok() && !self.shutdown.is_cancelled() {
                tracing::debug!(part = name, "ended");
            }
            if let Err(error) = &result {
                tracing::error!(part = name, error = format!("{error:#}"), "failed, the process stops");
                self.shutdown.cancel();
            }
            outcome = outcome.and(result);
        }
        outcome
    }
}
