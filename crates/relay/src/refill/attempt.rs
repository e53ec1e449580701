//! A refill's own notes in `relay_state.refill`, so that the next run can finish what a crash has cut short.
//!
//! ```text
//! {cause, reason, since}            it is needed; the slot is not read while this stands
//!   + copied {before_xid, position} by the horizon: how far the sink has acknowledged
//!   + adopt {lsn, horizon, …}       the sink has everything before this: only the slots have to change places
//! null                              done
//! ```

use pgoutput::Lsn;
use replication::{Row, literal};
use serde::{Deserialize, Serialize};

use super::missing::{Copied, Finished};
use crate::proof::Facts;
use crate::state::{Identity, RefillNeeded, StateTable, demand_refill, topics_literal};
use crate::{Cause, Config, Error, Origin, SinkAccount};

/// One run, and its right to write: the epoch fences whoever held the slot before.
pub(super) struct Attempt {
    pub(super) state: StateTable,
    pub(super) identity: Identity,
    pub(super) cause: Cause,
    /// Everything that was finished then is with the sink.
    pub(super) horizon: Option<Finished>,
    pub(super) copied: Option<Copied>,
    pub(super) adoption: Option<Adoption>,
    pub(super) epoch: i64,
}

/// The sink has everything that `<slot>_refill` does not deliver; that one takes the slot's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Adoption {
    /// The slot's consistent point.
    pub(super) lsn: String,
    /// The snapshot of that point.
    pub(super) horizon: String,
    /// The publication's fingerprint before that point.
    pub(super) publication: String,
}

impl Adoption {
    pub(super) fn lsn(&self) -> Result<Lsn, Error> {
        self.lsn.parse().map_err(|_| Error::Unavailable("the refill's own note is unreadable".to_owned()))
    }
}

impl Attempt {
    /// Marks the refill as under way.
    pub(super) async fn begin(
        config: &Config,
        mut state: StateTable,
        facts: &Facts,
        needed: Option<RefillNeeded>,
    ) -> Result<Self, Error> {
        let identity = facts.identity();
        let asked =
            || RefillNeeded { cause: Cause::State, reason: "an operator has asked for it".to_owned() };
        let needed = needed.unwrap_or_else(asked);
        demand_refill(&mut state.client, &config.slot, &identity, &needed).await?;
        // A database that was restored knows less of its sessions than the sink.
        let newest = facts.account.as_ref().and_then(|account| account.newest.as_ref());
        let known = newest.map_or(0, |newest| newest.origin.epoch);
        let rows = state
            .client
            .query(&format!(
                "update public.relay_state set epoch = greatest(epoch, {known}) + 1, updated_at = now() where slot = '{}'
                 returning epoch, horizon, refill ->> 'cause' as cause,
                     refill -> 'copied' ->> 'before_xid' as before_xid,
                     refill -> 'copied' ->> 'position' as position, refill ->> 'adopt' as adopt",
                config.slot
            ))
            .await?;
        let row = rows.first().ok_or(Error::Superseded)?;
        let horizon = row.get("horizon").and_then(Finished::at);
        Ok(Self {
            identity,
            cause: row.get("cause").and_then(Cause::from_word).unwrap_or(Cause::State),
            // What was copied counts from the horizon on: without it, from nowhere.
            copied: if horizon.is_some() { copied(row)? } else { None },
            horizon,
            adoption: row.get("adopt").and_then(|adopt| serde_json::from_str(adopt).ok()),
            epoch: row.require("epoch")?,
            state,
        })
    }

    /// What its events carry.
    pub(super) fn origin(&self) -> Origin {
        let Identity { system_identifier, timeline, .. } = self.identity;
        Origin { system_identifier, timeline, epoch: self.epoch }
    }

    /// The sink has acknowledged everything up to that position.
    pub(super) async fn note_copied(&mut self, copied: Copied) -> Result<(), Error> {
        let Copied { finished: Finished { before_xid }, position } = copied;
        let value = format!(r#"'{{"before_xid": {before_xid}, "position": {position}}}'"#);
        self.note("copied", &value).await
    }

    pub(super) async fn note_adoption(&mut self, adoption: &Adoption) -> Result<(), Error> {
        let json = serde_json::to_string(adoption).expect("three texts are always JSON");
        self.note("adopt", &literal(&json)).await
    }

    /// The slot that the note speaks of does not exist.
    pub(super) async fn forget_adoption(&mut self) -> Result<(), Error> {
        self.adoption = None;
        self.update("refill = refill - 'adopt'").await
    }

    /// As after a session that has confirmed everything before that point.
    pub(super) async fn finish(&mut self, adoption: &Adoption, account: &SinkAccount) -> Result<(), Error> {
        let (lsn, horizon) = (adoption.lsn()?, literal(&adoption.horizon));
        let (values, topics) = (self.identity.values(), topics_literal(&account.topics));
        self.update(&format!(
            "slot_lsn = '{lsn}', confirmed_lsn = '{lsn}', horizon = {horizon}, refill = null, topics = {topics},
             refill_epoch = {}, (system_identifier, timeline, publication) = row ({values})",
            self.epoch
        ))
        .await
    }

    async fn note(&mut self, key: &str, json: &str) -> Result<(), Error> {
        self.update(&format!("refill = jsonb_set(refill, '{{{key}}}', {json}::jsonb)")).await
    }

    /// Fails when another refill, or a session, has taken over.
    async fn update(&mut self, assignments: &str) -> Result<(), Error> {
        let (slot, epoch) = (&self.state.slot, self.epoch);
        let update = format!(
            "update public.relay_state set {assignments}, updated_at = now()
             where slot = '{slot}' and epoch = {epoch} and refill is not null returning epoch"
        );
        match self.state.client.query(&update).await?.is_empty() {
            true => Err(Error::Superseded),
            false => Ok(()),
        }
    }
}

fn copied(row: &Row) -> Result<Option<Copied>, Error> {
    let (before_xid, position) = (row.parse("before_xid")?, row.parse("position")?);
    let finished = before_xid.map(|before_xid| Finished { before_xid });
    Ok(finished.zip(position).map(|(finished, position)| Copied { finished, position }))
}
