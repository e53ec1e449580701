//! Brings the sink up to the event table, after a gap or a backlog that is too long to read out of the log.
//!
//! ```text
//!  what does the sink hold? ──► slot_refill is made at C ──► the rows that are missing ──► sink ──► slot_refill takes
//!  (or: the horizon)             with a snapshot of C         as that snapshot shows them          the slot's place
//! ```
//!
//! The snapshot shows exactly what the new slot does not deliver, so that copy and log meet without a gap. What is sent
//! twice on the way, consumers skip by seq; what they got in another order than that of the commits was never ordered:
//! it belongs to other streams.
//!
//! A refill can end at any point and be run again. Nobody reads the slot while it is under way, since the state says so.

mod adopt;
mod attempt;
mod copy;
mod missing;

use std::time::Duration;

use pgoutput::Lsn;
use replication::{Client, Lifetime, SlotName, Snapshot, literal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::capture::{TEXT_SETTINGS, read_tables};
use crate::proof::{Facts, Publication, Weight, judge};
use crate::state::{StateTable, demand_refill};
use crate::{Cause, CommitPosition, Config, Error, OpenSink, Reads, RefillNeeded, Retained};

use adopt::adopt;
use attempt::{Adoption, Attempt};
use copy::Copy;
pub use missing::Way;
use missing::{Finished, Missing, is_recent, note_held};
pub(crate) use missing::{number, prepare, select_events};

/// The server needs a moment to see that a session, or the refill before, has ended.
const END_LIMIT: Duration = Duration::from_secs(5);
const END_POLL: Duration = Duration::from_millis(50);
/// A publication that changes, or a new slot that is lost, while it is copied: no third time by itself.
const ROUNDS_MAX: usize = 3;
const SPARE_SUFFIX: &str = "_refill";
/// `NAMEDATALEN` less the final NUL.
const SLOT_NAME_BYTES_MAX: usize = 63;

/// Told about once a second.
pub type OnProgress<'a> = dyn Fn(RefillProgress) + Send + Sync + 'a;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefillProgress {
    pub sent: u64,
    /// From a sample of the table, and never below what was sent.
    pub estimate: u64,
    pub took: Duration,
}

/// What a refill has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refilled {
    /// None: an earlier run had sent everything, and only the slots were left to change.
    pub way: Option<Way>,
    pub events: u64,
    /// The slot stands here now, and the sink has everything before.
    pub lsn: Lsn,
}

impl RefillProgress {
    pub fn events_per_second(&self) -> u64 {
        let events = u128::from(self.sent) * 1_000 / self.took.as_millis().max(1);
        u64::try_from(events).unwrap_or(u64::MAX)
    }

    /// None while it cannot be told.
    pub fn left(&self) -> Option<Duration> {
        let rate = self.events_per_second();
        let left = self.estimate.saturating_sub(self.sent);
        left.saturating_mul(1_000).checked_div(rate).map(Duration::from_millis)
    }
}

/// Refills the sink, and leaves a slot from which a relay goes on without a gap. Refuses while one reads the slot.
///
/// The publication and the table have to be whole again before. A restored or promoted server may lack events that the
/// sink has: those cannot be taken back, and where the table has other ones of the same stream and seq, they are not
/// seen as missing.
pub async fn refill(
    config: &Config,
    open: &impl OpenSink,
    on_progress: &OnProgress<'_>,
    shutdown: &CancellationToken,
) -> Result<Refilled, Error> {
    refill_for(config, open, None, on_progress, shutdown).await
}

/// The same, and why, unless a reason stands already.
pub(crate) async fn refill_for(
    config: &Config,
    open: &impl OpenSink,
    needed: Option<RefillNeeded>,
    on_progress: &OnProgress<'_>,
    shutdown: &CancellationToken,
) -> Result<Refilled, Error> {
    tokio::select! {
        refilled = Box::pin(run(config, open, needed, on_progress)) => refilled,
        () = shutdown.cancelled() => {
            Err(Error::Unavailable("the refill was stopped; run again, it goes on".to_owned()))
        }
    }
}

async fn run<O: OpenSink>(
    config: &Config,
    open: &O,
    needed: Option<RefillNeeded>,
    on_progress: &OnProgress<'_>,
) -> Result<Refilled, Error> {
    let (slot, began) = (&config.slot, Instant::now());
    let mut state = StateTable::connect(&config.login("refill"), slot).await?;
    lock(&mut state.client, slot).await?;
    let facts = ready(config, open, &mut state.client).await?;
    let is_trusted = distrust(config, &facts, &mut state.client).await?;
    let mut attempt = Attempt::begin(config, state, &facts, needed).await?;
    if let Some(adoption) = attempt.adoption.take().filter(|_| is_trusted) {
        if adopt(config, open, &mut attempt, &adoption).await? {
            tracing::info!(%slot, lsn = %adoption.lsn, "the refill that was cut short is finished");
            return Ok(Refilled { way: None, events: 0, lsn: adoption.lsn()? });
        }
        attempt.forget_adoption().await?;
    }
    let mut events = 0;
    for _ in 0..ROUNDS_MAX {
        let (way, sent, adoption) = round(config, open, &mut attempt, on_progress).await?;
        events += sent;
        attempt.note_adoption(&adoption).await?;
        if adopt(config, open, &mut attempt, &adoption).await? {
            let (lsn, took_ms) = (adoption.lsn()?, began.elapsed().as_millis());
            tracing::info!(%slot, ?way, events, %lsn, took_ms, "refilled");
            return Ok(Refilled { way: Some(way), events, lsn });
        }
        tracing::warn!(%slot, "the publication was changed or the new slot lost meanwhile, the refill begins again");
        attempt.forget_adoption().await?;
        let facts = ready(config, open, &mut attempt.state.client).await?;
        attempt.identity = facts.identity();
    }
    Err(Error::Unavailable("the publication or the new slot did not last as long as the refill".to_owned()))
}

/// From the question what is missing to the sink's last acknowledgement.
async fn round<O: OpenSink>(
    config: &Config,
    open: &O,
    attempt: &mut Attempt,
    on_progress: &OnProgress<'_>,
) -> Result<(Way, u64, Adoption), Error> {
    let mut source = Client::connect(&config.login("refill copy")).await?;
    prepare(&mut source).await?;
    let missing = match config.reads {
        Reads::Events => missing(open, attempt, &mut source).await?,
        Reads::Tables { .. } => Missing::Everything,
    };
    let spare = refill_slot(&config.slot)?;
    let mut maker = Client::connect(&config.login("refill slot")).await?;
    if maker.read_slot(&spare).await?.is_some() {
        maker.drop_slot(&spare, false).await?;
    }
    let created = maker.create_slot(&spare, Snapshot::Export, Lifetime::Permanent).await?;
    let exported = literal(created.snapshot_name.as_deref().unwrap_or_default());
    let rows = source
        .query(&format!(
            "begin isolation level repeatable read read only; set transaction snapshot {exported};
             select pg_current_snapshot()::text as snapshot"
        ))
        .await?;
    drop(maker);
    let horizon = rows.first().and_then(|row| row.get("snapshot")).unwrap_or_default().to_owned();
    let lsn = created.consistent_point;
    let publication = attempt.identity.publication.clone();
    let unreadable = || Error::Unavailable(format!("the server has made no snapshot: {horizon:?}"));
    let finished = Finished::at(&horizon).ok_or_else(unreadable)?;
    let adoption = Adoption { lsn: lsn.to_string(), horizon: horizon.clone(), publication };
    let way = missing.way();
    // Only now: what a handler reads after this includes all that the new slot will not deliver.
    if missing == Missing::Everything && open.refill_from_history().await? {
        return Ok((way, 0, adoption));
    }
    let captured = match config.reads {
        Reads::Events => Vec::new(),
        Reads::Tables { .. } => {
            source.query(TEXT_SETTINGS).await?;
            read_tables(&mut source, &config.publication).await?
        }
    };
    let estimate = match config.reads {
        Reads::Events => missing.estimate(&mut source).await?,
        Reads::Tables { .. } => captured.iter().map(|table| table.rows_estimate.unsigned_abs()).sum(),
    };
    tracing::info!(slot = %config.slot, ?way, estimate, lsn = %lsn, cause = %attempt.cause, "refill begins");
    // Before all that the new slot delivers, so that none of it is taken for a repetition.
    let at = CommitPosition { commit_lsn: Lsn::new(lsn.as_u64().saturating_sub(1)), ordinal: 0 };
    let mut copy = Copy { config, open, attempt, on_progress, missing, captured, finished, at, estimate };
    let sent = copy.run(&mut source).await?;
    Ok((way, sent, adoption))
}

async fn missing(open: &impl OpenSink, attempt: &Attempt, source: &mut Client) -> Result<Missing, Error> {
    let horizon = match attempt.horizon {
        Some(horizon) if is_recent(source, horizon).await? => Some(horizon),
        _ => None,
    };
    if let (Cause::Backlog, Some(horizon)) = (attempt.cause, horizon) {
        return Ok(Missing::Since { horizon, copied: attempt.copied });
    }
    Ok(match note_held(source, open).await? {
        Retained::Nothing => Missing::Everything,
        Retained::All => Missing::AfterHeld { unknown_since: None },
        Retained::Recent => Missing::AfterHeld { unknown_since: horizon },
    })
}

/// One refill of a slot at a time, for as long as this connection lives.
async fn lock(client: &mut Client, slot: &SlotName) -> Result<(), Error> {
    let lock =
        format!("select pg_try_advisory_lock(hashtextextended('lunaria relay refill {slot}', 0)) as locked");
    let began = Instant::now();
    while !client.query(&lock).await?.first().is_some_and(|row| row.flag("locked")) {
        if began.elapsed() >= END_LIMIT {
            return Err(Error::Unavailable(format!("another refill of {slot} is under way")));
        }
        sleep(END_POLL).await;
    }
    Ok(())
}

/// Waits until nobody reads the slot; fails with the first doubt that a refill does not mend.
async fn ready(config: &Config, open: &impl OpenSink, client: &mut Client) -> Result<Facts, Error> {
    let began = Instant::now();
    while let Some(pid) = client.read_slot(&config.slot).await?.and_then(|slot| slot.active_pid) {
        if began.elapsed() >= END_LIMIT {
            let slot = &config.slot;
            let what = format!("server process {pid} reads the slot {slot}: stop that relay before a refill");
            return Err(Error::Unavailable(what));
        }
        sleep(END_POLL).await;
    }
    let account = open.account().await?;
    let facts = Facts::read(client, config, Some(account)).await?;
    if !facts.publication.as_ref().is_some_and(|one: &Publication| one.is_whole(config.reads)) {
        let (lacks, remedy) = match config.reads {
            Reads::Events => (
                "is not the whole event table with all operations",
                "put it back as migrations/0001_event.sql makes it, then refill",
            ),
            Reads::Tables { .. } => (
                "does not publish all operations of some table",
                "make it as `lunaria capture prepare` does, then take the snapshot",
            ),
        };
        let what = format!("the publication {} {lacks}", config.publication);
        return Err(Error::halted_by(Cause::Publication, what, remedy));
    }
    let blocks = |finding: &crate::Finding| finding.weight == Weight::Doubt && !finding.needs_refill;
    match judge(&facts).into_iter().find(blocks) {
        Some(doubt) => Err(doubt.into()),
        None => Ok(facts),
    }
}

/// Has the sink asked, whatever was known of it, when it does not hold what it held, or belongs to another history.
/// Returns false then.
async fn distrust(config: &Config, facts: &Facts, client: &mut Client) -> Result<bool, Error> {
    let findings = judge(facts).into_iter().filter(|finding| finding.needs_refill);
    let mut is_trusted = true;
    for finding in findings.filter(|finding| !finding.cause.keeps_horizon()) {
        let needed = RefillNeeded { cause: finding.cause, reason: finding.to_string() };
        demand_refill(client, &config.slot, &facts.identity(), &needed).await?;
        is_trusted = false;
    }
    Ok(is_trusted)
}

fn refill_slot(slot: &SlotName) -> Result<SlotName, Error> {
    let kept = slot.as_str().len().min(SLOT_NAME_BYTES_MAX - SPARE_SUFFIX.len());
    Ok(SlotName::new(format!("{}{SPARE_SUFFIX}", &slot.as_str()[..kept]))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spare_slots_name_is_one_that_postgres_takes() {
        let name = |name: &str| refill_slot(&SlotName::new(name).unwrap()).unwrap().to_string();
        assert_eq!(name("relay"), "relay_refill");
        assert_eq!(name(&"a".repeat(63)).len(), 63);
    }

    #[test]
    fn what_is_left_follows_from_the_rate() {
        let progress = RefillProgress { sent: 1_000, estimate: 3_000, took: Duration::from_secs(2) };
        assert_eq!(progress.events_per_second(), 500);
        assert_eq!(progress.left(), Some(Duration::from_secs(4)));
        assert_eq!(RefillProgress { sent: 0, ..progress }.left(), None);
    }
}
