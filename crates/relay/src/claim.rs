//! The way to a slot of one's own: wait for it, prove it, read it, lease it.
//!
//! ```text
//!            ┌─ another reads it ─► Standby ──┐ 250 ms
//!  connect ──┤                                │ (a leader that is silent for too long is terminated)
//!            ├─ an operator's pause ► Paused ─┤
//!            └─ free ─► prove ─► create it, or adopt it ─► start ─► lease (epoch + 1) ─► prove again
//! ```
//!
//! The lease comes after the start, since only then the slot is ours; and the proof once more after the lease, since
//! until the start anybody could have moved the slot, and the server forwards a start silently.

use std::time::Duration;

use replication::{Client, Lifetime, Lsn, Slot, Snapshot, WalStream};
use tokio::time::{Instant, sleep};

use crate::capture::TEXT_SETTINGS;
use crate::proof::{Facts, prove};
use crate::state::{Identity, Lease, RefillNeeded, StateTable, demand_refill};
use crate::{CapturedTable, Cause, Config, Error, OpenSink, Origin, Phase, Reads};

/// A standby takes over within this time, and what the server needs to see that the leader is gone.
const STANDBY_POLL: Duration = Duration::from_millis(250);
const PAUSED_POLL: Duration = Duration::from_secs(1);
/// The SQLSTATE of a slot that exists already.
const DUPLICATE_OBJECT: &str = "42710";

/// A slot that this session reads, and alone may confirm.
pub(crate) struct Claimed {
    pub(crate) stream: WalStream,
    pub(crate) state: StateTable,
    pub(crate) lease: Lease,
    pub(crate) origin: Origin,
    /// The last refill's: earlier records of the sink may belong to a history that was undone.
    pub(crate) since_epoch: i64,
    /// The tables of a capture.
    pub(crate) captured: Vec<CapturedTable>,
}

pub(crate) async fn claim(config: &Config, open: &impl OpenSink) -> Result<Claimed, Error> {
    let Secured { mut client, mut state, facts } = secure(config, open).await?;
    // From zero: the server goes on from what the slot has confirmed.
    let (slot, publication) = (&config.slot, &config.publication);
    let mut start = Lsn::ZERO;
    if event::mutants::active("start_at_newest_record") {
        let newest = facts.account.as_ref().and_then(|account| account.newest.as_ref());
        start = newest.map_or(start, |newest| newest.at.commit_lsn);
    }
    let stream = match config.reads {
        Reads::Events => client.start_replication(slot, start, publication).await?,
        Reads::Tables { .. } => {
            client.query(TEXT_SETTINGS).await?;
            client.start_replication_in_text(slot, start, publication).await?
        }
    };
    let topics = facts.account.as_ref().map(|account| &account.topics);
    let lease = state.lease(&facts.identity(), topics).await?;
    let facts = Facts::read(&mut state.client, config, None).await?;
    prove(&mut state.client, &config.slot, &facts).await?;
    let Identity { system_identifier, timeline, .. } = facts.identity();
    let origin = Origin { system_identifier, timeline, epoch: lease.epoch };
    let since_epoch = facts.state.as_ref().map_or(0, |state| state.refill_epoch);
    Ok(Claimed { stream, state, lease, origin, since_epoch, captured: facts.captured })
}

/// Makes the slot and its state, before the first event is appended; with the same proof as a session, and no more than
/// that. Safe to repeat.
pub async fn prepare(config: &Config, open: &impl OpenSink) -> Result<(), Error> {
    secure(config, open).await.map(drop)
}

/// A slot that is proven to miss nothing, with its state.
struct Secured {
    client: Client,
    state: StateTable,
    facts: Facts,
}

async fn secure(config: &Config, open: &impl OpenSink) -> Result<Secured, Error> {
    let mut client = Client::connect(&config.replication).await?;
    let mut state = StateTable::connect(&config.login("state"), &config.slot).await?;
    if event::mutants::active("recreate_lost_slot") && client.read_slot(&config.slot).await?.is_none() {
        let created = client.create_slot(&config.slot, Snapshot::Nothing, Lifetime::Permanent).await?;
        let carry_on =
            format!("update public.relay_state set confirmed_lsn = '{}'", created.consistent_point);
        state.client.query(&carry_on).await?;
    }
    let facts = until_free(config, open, &mut state.client).await?;
    prove(&mut state.client, &config.slot, &facts).await?;
    if facts.is_far_behind(config) {
        let reason = "the backlog is longer than catch_up_bytes";
        return Err(Error::halted_by(Cause::Backlog, reason, "the relay refills by itself"));
    }
    match (&facts.slot, &facts.state) {
        (None, _) => create(config, &mut client, &mut state, &facts).await?,
        (Some(slot), None) => adopt(config, slot, &mut state, &facts).await?,
        (Some(_), Some(known)) if known.timeline != facts.server.timeline => {
            let (before, now) = (known.timeline, facts.server.timeline);
            tracing::info!(slot = %config.slot, before, now, "the slot has come along to another timeline");
        }
        (Some(_), Some(_)) => {}
    }
    Ok(Secured { client, state, facts })
}

/// Waits while another session reads the slot, or an operator has paused the relay.
async fn until_free(config: &Config, open: &impl OpenSink, client: &mut Client) -> Result<Facts, Error> {
    let mut leader = None;
    loop {
        if let Some(pid) = client.read_slot(&config.slot).await?.and_then(|slot| slot.active_pid) {
            config.status.enter(Phase::Standby);
            stand_by(config, client, pid, &mut leader).await?;
            sleep(STANDBY_POLL).await;
            continue;
        }
        let account = open.account().await?;
        let facts = Facts::read(client, config, Some(account)).await?;
        // Taken meanwhile, or just being made: then it does not even have a position yet.
        if facts.slot.as_ref().is_some_and(|slot| slot.active_pid.is_some()) {
            continue;
        }
        if facts.state.as_ref().is_some_and(|state| state.paused) {
            config.status.enter(Phase::Paused);
            sleep(PAUSED_POLL).await;
            continue;
        }
        return Ok(facts);
    }
}

/// The session that reads the slot, as it was when it was last seen to live.
struct Leader {
    pid: i32,
    reply_time: String,
    since: Instant,
}

/// Its last reply is compared with the one before, not with a clock: it carries the time of another machine.
async fn stand_by(
    config: &Config,
    client: &mut Client,
    pid: i32,
    leader: &mut Option<Leader>,
) -> Result<(), Error> {
    let slot = &config.slot;
    let seen = client
        .query(&format!(
            "select coalesce(reply_time::text, 'never') as reply_time from pg_stat_replication
             where pid = {pid} and state is not null"
        ))
        .await?;
    // Not visible without pg_read_all_stats: then the server's own `wal_sender_timeout` decides.
    let Some(reply_time) = seen.first().and_then(|row| row.get("reply_time")) else { return Ok(()) };
    match leader {
        Some(known) if known.pid == pid && known.reply_time == reply_time => {
            if known.since.elapsed() >= config.takeover_after {
                tracing::warn!(%slot, pid, "the leader is silent, its connection is terminated");
                let terminate = format!(
                    "select pg_terminate_backend(active_pid) from pg_replication_slots
                     where slot_name = '{slot}' and active_pid = {pid}"
                );
                client.query(&terminate).await?;
                *leader = None;
            }
        }
        _ => *leader = Some(Leader { pid, reply_time: reply_time.to_owned(), since: Instant::now() }),
    }
    Ok(())
}

/// The proof has found that there are no events, or that the sink has what this slot does not deliver.
async fn adopt(config: &Config, slot: &Slot, state: &mut StateTable, facts: &Facts) -> Result<(), Error> {
    let at = slot.confirmed_flush_lsn.unwrap_or_default();
    state.insert(&facts.identity(), at).await?;
    tracing::info!(slot = %config.slot, lsn = %at, "slot adopted");
    Ok(())
}

/// The state's row comes after the verdict: a kill in between leaves a slot that nothing vouches for, not one that
/// looks fine.
async fn create(
    config: &Config,
    client: &mut Client,
    state: &mut StateTable,
    facts: &Facts,
) -> Result<(), Error> {
    let name = &config.slot;
    let lifetime = if config.failover { Lifetime::Failover } else { Lifetime::Permanent };
    let created = match client.create_slot(name, Snapshot::Export, lifetime).await {
        Err(error) if error.sqlstate() == Some(DUPLICATE_OBJECT) => {
            return Err(Error::Unavailable(format!("another relay has just made the slot {name}")));
        }
        created => created?,
    };
    if config.reads != Reads::Events {
        let at = created.consistent_point;
        state.insert(&facts.identity(), at).await?;
        tracing::info!(slot = %name, lsn = %at, "slot created, changes are captured from here on");
        return Ok(());
    }
    // Seen through the slot's own snapshot: exactly what it will not deliver.
    let snapshot = created.snapshot_name.as_deref().unwrap_or_default().replace('\'', "''");
    let looked = state
        .client
        .query(&format!(
            "begin isolation level repeatable read; set transaction snapshot '{snapshot}';
             select exists (select from public.event); commit"
        ))
        .await;
    // Anything but a clear "none" counts as a doubt.
    let any = looked.map(|rows| rows.last().and_then(|row| row.at(0)) != Some("f"));
    if !matches!(any, Ok(false)) {
        client.drop_slot(name, true).await?;
        any?;
        let cause = Cause::Slot;
        let reason =
            format!("the slot {name} does not exist, and there are events that a new one would not see");
        let remedy = config.reads.remedy(&config.service);
        let needed = RefillNeeded { cause, reason: reason.clone() };
        demand_refill(&mut state.client, name, &facts.identity(), &needed).await?;
        return Err(Error::halted_by(cause, reason, remedy));
    }
    let at = created.consistent_point;
    state.insert(&facts.identity(), at).await?;
    tracing::info!(slot = %name, lsn = %at, "slot created");
    Ok(())
}
