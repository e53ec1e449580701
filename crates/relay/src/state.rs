//! The relay's account of itself in `relay_state`: how far it has come, on which server, through which publication.
//!
//! ```text
//! the sink has it ─► confirmed_lsn is written, durably ─► the slot is confirmed
//!                    (the ceiling; where epoch = mine)
//! ```
//!
//! In this order, because then a slot that stands beyond the ceiling was moved by somebody else, whatever crashed
//! when. The epoch fences: once another session has leased the slot, this one's write finds no row, and it ends.

use std::collections::BTreeMap;

use pgoutput::Lsn;
use replication::{Client, Row, SlotName, literal};

use crate::{Cause, Error, TopicAccount};

/// The row of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub system_identifier: u64,
    pub timeline: u32,
    /// The slot's consistent point, or where it stood when it was adopted.
    pub slot_lsn: Lsn,
    /// JSON text, as [`crate::proof`] makes it.
    pub publication: String,
    /// The ceiling: the slot is never confirmed beyond it.
    pub confirmed_lsn: Lsn,
    pub epoch: i64,
    /// Of the last refill: the sink has what the table has, and what else it holds from before does not count.
    pub refill_epoch: i64,
    pub topics: BTreeMap<String, TopicAccount>,
    /// A `pg_snapshot`: every transaction that is visible in it is with the sink.
    pub horizon: Option<String>,
    pub refill: Option<RefillNeeded>,
    pub paused: bool,
}

/// Why the sink has to be refilled from the event table before the slot may be read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillNeeded {
    pub cause: Cause,
    pub reason: String,
}

impl State {
    pub fn refill_needed(&self) -> Option<&RefillNeeded> {
        self.refill.as_ref()
    }
}

/// What is known of server and publication when a row is made or leased.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) system_identifier: u64,
    pub(crate) timeline: u32,
    pub(crate) publication: String,
}

/// A session's right to confirm the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) epoch: i64,
    pub(crate) confirmed_lsn: Lsn,
}

/// A connection that reads and writes the row of one slot.
pub(crate) struct StateTable {
    pub(crate) client: Client,
    pub(crate) slot: SlotName,
}

impl StateTable {
    pub(crate) async fn connect(config: &replication::Config, slot: &SlotName) -> Result<Self, Error> {
        let mut client = Client::connect(config).await?;
        // A ceiling that could be lost in a crash, after the slot was confirmed, would accuse us of our own confirm.
        client.query("set synchronous_commit = on").await?;
        Ok(Self { client, slot: slot.clone() })
    }

    pub(crate) async fn read(client: &mut Client, slot: &SlotName) -> Result<Option<State>, Error> {
        let rows = client
            .query(&format!(
                "select system_identifier, timeline, slot_lsn, publication::text as publication, confirmed_lsn,
                        epoch, refill_epoch, topics::text as topics, horizon, paused, refill is not null as needs_refill,
                        refill ->> 'cause' as cause, refill ->> 'reason' as reason
                 from public.relay_state where slot = '{slot}'"
            ))
            .await?;
        rows.first().map(State::from_row).transpose()
    }

    /// The first row of a slot, once it is proven that the slot misses nothing.
    pub(crate) async fn insert(&mut self, identity: &Identity, at: Lsn) -> Result<(), Error> {
        let (slot, values) = (&self.slot, identity.values());
        let insert = format!(
            "insert into public.relay_state
                (slot, system_identifier, timeline, publication, slot_lsn, confirmed_lsn, epoch)
             values ('{slot}', {values}, '{at}', '{at}', 0) on conflict do nothing returning slot"
        );
        if self.client.query(&insert).await?.is_empty() {
            // To be proven again, with what that one knows.
            return Err(Error::Unavailable(format!("another relay has just begun with the slot {slot}")));
        }
        Ok(())
    }

    /// Makes this session the only one that may confirm.
    pub(crate) async fn lease(
        &mut self,
        identity: &Identity,
        topics: Option<&BTreeMap<String, TopicAccount>>,
    ) -> Result<Lease, Error> {
        let (slot, values) = (&self.slot, identity.values());
        let topics = topics.map_or("topics".to_owned(), topics_literal);
        let rows = self
            .client
            .query(&format!(
                "update public.relay_state
                 set epoch = epoch + 1, (system_identifier, timeline, publication) = row ({values}),
                     topics = {topics}, updated_at = now()
                 where slot = '{slot}' returning epoch, confirmed_lsn"
            ))
            .await?;
        let leased = rows.first().ok_or(Error::Superseded)?;
        Ok(Lease { epoch: leased.require("epoch")?, confirmed_lsn: leased.require("confirmed_lsn")? })
    }

    /// Writes the ceiling, durably. Returns where the log stood before and after that: in between it is our own doing.
    pub(crate) async fn raise(
        &mut self,
        epoch: i64,
        ceiling: Lsn,
        horizon: Option<&str>,
    ) -> Result<(Lsn, Lsn), Error> {
        let slot = &self.slot;
        let horizon = horizon.map_or("horizon".to_owned(), literal);
        let rows = self
            .client
            .query(&format!(
                "select pg_current_wal_insert_lsn() as start;
                 begin;
                 update public.relay_state
                 set confirmed_lsn = greatest(confirmed_lsn, '{ceiling}'), horizon = {horizon}, updated_at = now()
                 where slot = '{slot}' and epoch = {epoch} returning epoch;
                 commit;
                 select pg_current_wal_insert_lsn() as end"
            ))
            .await?;
        match &rows[..] {
            [start, _, end] => Ok((start.require("start")?, end.require("end")?)),
            _ => Err(Error::Superseded),
        }
    }

    pub(crate) async fn set_paused(&mut self, paused: bool) -> Result<(), Error> {
        let slot = &self.slot;
        let update = format!(
            "update public.relay_state set paused = {paused}, updated_at = now()
             where slot = '{slot}' and paused <> {paused}"
        );
        self.client.query(&update).await?;
        Ok(())
    }

    /// Has the relay that reads the slot, or the next one, refill the sink by itself. A reason that stands already stays.
    pub(crate) async fn request_refill(&mut self) -> Result<(), Error> {
        let (slot, cause) = (&self.slot, Cause::Requested);
        let update = format!(
            "update public.relay_state
             set refill = jsonb_build_object('cause', '{cause}', 'reason', 'an operator has asked for it', 'since', now()),
                 updated_at = now()
             where slot = '{slot}' and refill is null"
        );
        self.client.query(&update).await?;
        Ok(())
    }

    /// Asks for nothing but a sign of life.
    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        self.client.query("select 1").await?;
        Ok(())
    }
}

/// Notes what the sink holds, while the session of this epoch has the slot.
pub(crate) async fn note_topics(
    client: &mut Client,
    slot: &SlotName,
    epoch: i64,
    topics: &BTreeMap<String, TopicAccount>,
) -> Result<(), Error> {
    let topics = topics_literal(topics);
    let update = format!(
        "update public.relay_state set topics = {topics} where slot = '{slot}' and epoch = {epoch}
         and topics is distinct from {topics}"
    );
    client.query(&update).await?;
    Ok(())
}

/// Remembers that there is a gap, so that putting things back by hand does not hide it. The first reason stays.
pub(crate) async fn demand_refill(
    client: &mut Client,
    slot: &SlotName,
    identity: &Identity,
    needed: &RefillNeeded,
) -> Result<(), Error> {
    let (values, cause) = (identity.values(), needed.cause);
    let refill = format!(
        "jsonb_build_object('cause', '{cause}', 'reason', {}, 'since', now())",
        literal(&needed.reason)
    );
    let horizon = if cause.keeps_horizon() { "relay_state.horizon" } else { "null" };
    let upsert = format!(
        "insert into public.relay_state
            (slot, system_identifier, timeline, publication, slot_lsn, confirmed_lsn, epoch, refill)
         values ('{slot}', {values}, '0/0', '0/0', 0, {refill})
         on conflict (slot) do update
         set refill = coalesce(relay_state.refill, excluded.refill), horizon = {horizon}, updated_at = now()"
    );
    client.query(&upsert).await?;
    Ok(())
}

impl State {
    fn from_row(row: &Row) -> Result<Self, Error> {
        let unreadable = |what: &str| {
            let remedy = "it was not written by the relay; find out who wrote it";
            Error::halted_by(Cause::State, format!("the relay's state has an unreadable {what}"), remedy)
        };
        let topics = serde_json::from_str(row.get("topics").unwrap_or_default());
        let refill = row.flag("needs_refill").then(|| RefillNeeded {
            cause: row.get("cause").and_then(Cause::from_word).unwrap_or(Cause::State),
            reason: row.get("reason").unwrap_or("an operator has asked for it").to_owned(),
        });
        Ok(Self {
            system_identifier: row.require("system_identifier")?,
            timeline: row.require("timeline")?,
            slot_lsn: row.require("slot_lsn")?,
            publication: row.require("publication")?,
            confirmed_lsn: row.require("confirmed_lsn")?,
            epoch: row.require("epoch")?,
            refill_epoch: row.require("refill_epoch")?,
            topics: topics.map_err(|_| unreadable("account of topics"))?,
            horizon: row.get("horizon").map(ToOwned::to_owned),
            refill,
            paused: row.flag("paused"),
        })
    }
}

impl Identity {
    /// In the order system identifier, timeline, publication.
    pub(crate) fn values(&self) -> String {
        let (system_identifier, timeline) = (self.system_identifier, self.timeline);
        format!("'{system_identifier}', {timeline}, {}::jsonb", literal(&self.publication))
    }
}

pub(crate) fn topics_literal(topics: &BTreeMap<String, TopicAccount>) -> String {
    let json = serde_json::to_string(topics).expect("names and numbers are always JSON");
    format!("{}::jsonb", literal(&json))
}
