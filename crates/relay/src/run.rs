//! The relay's loop: one session after the other, from what the slot has confirmed, with a refill in between when one
//! is needed and allowed.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::proof::{Facts, prove};
use crate::refill::refill_for;
use crate::session::run_session;
use crate::state::StateTable;
use crate::{Cause, Config, Error, OpenSink, Phase, RefillMode, RefillNeeded, RefillProgress};

const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// What the server says of a slot or publication that is lost, or gone: `object_not_in_prerequisite_state` and
/// `undefined_object`.
const REFUSALS: [&str; 2] = ["55000", "42704"];

/// Relays until `shutdown`. Returns an error only when it has to halt.
pub async fn run(
    config: Config,
    open: impl OpenSink + 'static,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let open = Arc::new(open);
    let mut pause = PAUSE_FIRST;
    config.status.enter(Phase::Waiting);
    loop {
        let outcome = run_session(&config, &open, &shutdown).await;
        if config.status.report().phase == Phase::Relaying {
            pause = PAUSE_FIRST;
        }
        config.status.enter(Phase::Waiting);
        if shutdown.is_cancelled() {
            return Ok(());
        }
        // An operator's pause: the next session waits for its end.
        let Err(error) = outcome else { continue };
        let mut error = explained(&config, error).await;
        if let Some(needed) = mendable(&config, &error) {
            match mend(&config, open.as_ref(), needed, &shutdown).await {
                Ok(()) => continue,
                Err(refill) => error = refill,
            }
        }
        if shutdown.is_cancelled() {
            config.status.enter(Phase::Waiting);
            return Ok(());
        }
        if !error.is_transient() {
            config.status.halted(&error);
            return Err(error);
        }
        config.status.session_ended(&error);
        tracing::warn!(slot = %config.slot, %error, "relay session ended, a new one begins");
        tokio::select! {
            () = tokio::time::sleep(rand::random_range(pause / 2..=pause)) => {}
            () = shutdown.cancelled() => return Ok(()),
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// Why to refill, when the relay may do so by itself.
fn mendable(config: &Config, error: &Error) -> Option<RefillNeeded> {
    let Error::Halted { cause, reason, .. } = error else { return None };
    let is_allowed = config.refill == RefillMode::Automatic && cause.is_mended_by_refill();
    // A backlog and a first snapshot were asked for by their settings, and a refill by a person.
    let is_mendable = is_allowed || matches!(cause, Cause::Backlog | Cause::Snapshot | Cause::Requested);
    is_mendable.then(|| RefillNeeded { cause: *cause, reason: reason.clone() })
}

async fn mend(
    config: &Config,
    open: &impl OpenSink,
    needed: RefillNeeded,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    config.status.enter(Phase::Refilling);
    tracing::warn!(slot = %config.slot, cause = %needed.cause, reason = needed.reason, "the relay refills the sink");
    let on_progress = |progress: RefillProgress| {
        let (rate, left_s) = (progress.events_per_second(), progress.left().map(|left| left.as_secs()));
        tracing::info!(slot = %config.slot, sent = progress.sent, rate, left_s, "refilling");
    };
    refill_for(config, open, Some(needed), &on_progress, shutdown).await.map(drop)
}

/// The server's refusal to go on says little: the proof says what has happened, and what to do.
async fn explained(config: &Config, error: Error) -> Error {
    if !error.sqlstate().is_some_and(|sqlstate| REFUSALS.contains(&sqlstate)) {
        return error;
    }
    let proven = async {
        let mut state = StateTable::connect(&config.login("state"), &config.slot).await?;
        let facts = Facts::read(&mut state.client, config, None).await?;
        prove(&mut state.client, &config.slot, &facts).await
    };
    match proven.await {
        Err(doubt) => doubt,
        Ok(()) => {
            let remedy = format!("drop it and {}", config.reads.remedy(&config.service));
            Error::halted_by(
                Cause::Slot,
                format!("the server refuses the slot {}: {error}", config.slot),
                remedy,
            )
        }
    }
}
