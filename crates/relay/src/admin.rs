//! What an operator asks of a slot's relay: over the database, so that it works whichever process relays, or none.

use pgoutput::Lsn;
use replication::SlotName;
use serde::Serialize;

use crate::state::{State, StateTable};
use crate::{Config, Error};

/// A slot and its relay, as the database knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overview {
    pub service: String,
    pub slot: String,
    /// The server process of the relay that reads the slot.
    pub active_pid: Option<i32>,
    /// Everything before is with the sink.
    #[serde(serialize_with = "as_text")]
    pub confirmed_lsn: Option<Lsn>,
    #[serde(serialize_with = "as_text")]
    pub wal_end: Option<Lsn>,
    /// Log that is not confirmed. With an idle database this is other databases' log, and no event.
    pub lag_bytes: Option<u64>,
    pub is_paused: bool,
    /// How many sessions have relayed from this slot.
    pub sessions: i64,
    /// Why the relay will not go on before `lunaria relay refill`.
    pub refill_needed: Option<String>,
}

/// Whether the relay was paused, or ran, before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Now,
    AlreadySo,
}

pub async fn overview(config: &Config) -> Result<Overview, Error> {
    let StateTable { mut client, .. } = StateTable::connect(&config.login("status"), &config.slot).await?;
    let state = StateTable::read(&mut client, &config.slot).await?;
    let slot = client.read_slot(&config.slot).await?;
    let rows = client.query("select pg_current_wal_flush_lsn() as wal_end").await?;
    let wal_end: Option<Lsn> = match rows.first() {
        Some(row) => Some(row.require("wal_end")?),
        None => None,
    };
    let confirmed_lsn = slot.as_ref().and_then(|slot| slot.confirmed_flush_lsn);
    let distance = |(end, confirmed): (Lsn, Lsn)| end.as_u64().saturating_sub(confirmed.as_u64());
    Ok(Overview {
        service: config.service.clone(),
        slot: config.slot.to_string(),
        active_pid: slot.and_then(|slot| slot.active_pid),
        confirmed_lsn,
        wal_end,
        lag_bytes: wal_end.zip(confirmed_lsn).map(distance),
        is_paused: state.as_ref().is_some_and(|state| state.paused),
        sessions: state.as_ref().map_or(0, |state| state.epoch),
        refill_needed: state.as_ref().and_then(State::refill_needed).map(|needed| needed.reason.clone()),
    })
}

/// The relay ends its session in good order within a few seconds, and reads nothing until it is resumed; the slot holds
/// back the log meanwhile.
pub async fn pause(config: &Config) -> Result<Changed, Error> {
    set_paused(config, true).await
}

pub async fn resume(config: &Config) -> Result<Changed, Error> {
    set_paused(config, false).await
}

/// The relay that reads the slot sees it within seconds, ends its session, refills the sink, and goes on.
pub async fn request_refill(config: &Config) -> Result<(), Error> {
    let mut table = StateTable::connect(&config.login("refill request"), &config.slot).await?;
    StateTable::read(&mut table.client, &config.slot).await?.ok_or_else(|| never_ran(&config.slot))?;
    table.request_refill().await
}

async fn set_paused(config: &Config, paused: bool) -> Result<Changed, Error> {
    let mut table = StateTable::connect(&config.login("pause"), &config.slot).await?;
    let known = StateTable::read(&mut table.client, &config.slot).await?;
    let known = known.ok_or_else(|| never_ran(&config.slot))?;
    table.set_paused(paused).await?;
    Ok(if known.paused == paused { Changed::AlreadySo } else { Changed::Now })
}

fn never_ran(slot: &SlotName) -> Error {
    Error::Unavailable(format!(
        "no relay has ever read the slot {slot}: is it the right service and database?"
    ))
}

fn as_text<S: serde::Serializer>(lsn: &Option<Lsn>, serializer: S) -> Result<S::Ok, S::Error> {
    lsn.map(|lsn| lsn.to_string()).serialize(serializer)
}
