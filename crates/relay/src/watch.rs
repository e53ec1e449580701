//! Looks again, every few seconds, whether all that the proof rested on still holds.
//!
//! A table that is out of the publication for a moment, a state that another session has leased, an operator's pause:
//! nothing of it shows in the stream. The same facts are judged as at the start, so that nothing is watched less closely.

use std::sync::Arc;

use pgoutput::Lsn;
use replication::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::confirmer::{Confirmable, Visible};
use crate::governor::{Governor, Observation};
use crate::proof::{Facts, prove};
use crate::state::note_topics;
use crate::{Config, Error, InFlight, OpenSink, SinkAccount};

pub(crate) struct Watch<O> {
    pub(crate) config: Config,
    pub(crate) open: Arc<O>,
    /// Shared with the gate.
    pub(crate) observer: Arc<Mutex<Client>>,
    pub(crate) epoch: i64,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) confirmable: Confirmable,
}

impl<O: OpenSink> Watch<O> {
    /// Fails with the first doubt; ends well when an operator has paused the relay, or the backlog is for a refill.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let mut governor = Governor::default();
        // The proof has asked the sink just now.
        let mut account_due = Instant::now() + self.config.account_every;
        loop {
            let mut account = None;
            if Instant::now() >= account_due {
                account = self.account().await;
                account_due = Instant::now() + self.config.account_every;
            }
            if self.look(&mut governor, account).await? {
                return Ok(());
            }
            tokio::time::sleep(self.config.watch_every).await;
        }
    }

    /// A sink that does not answer holds the slot by not acknowledging; that is no doubt.
    async fn account(&self) -> Option<SinkAccount> {
        let account = self.open.account().await;
        account.inspect_err(|error| tracing::debug!(%error, "the sink gives no account")).ok()
    }

    /// Returns whether the session has to end, though nothing is wrong.
    async fn look(&self, governor: &mut Governor, account: Option<SinkAccount>) -> Result<bool, Error> {
        let mut client = self.observer.lock().await;
        let (slot, client) = (&self.config.slot, &mut *client);
        // Before the facts: what they show was so all the time until then.
        let visible = visible(client).await?;
        let facts = Facts::read(client, &self.config, account).await?;
        let is_ours = |epoch: i64| epoch == self.epoch;
        if facts.state.as_ref().is_some_and(|state| !is_ours(state.epoch)) {
            return Err(Error::Superseded);
        }
        prove(client, slot, &facts).await?;
        let Some(state) = &facts.state else { return Err(Error::Superseded) };
        self.confirmable.vouch(visible);
        if let Some(account) = &facts.account {
            note_topics(client, slot, self.epoch, &account.topics).await?;
        }
        self.govern(governor, &facts);
        Ok(state.paused || facts.is_far_behind(&self.config))
    }

    fn govern(&self, governor: &mut Governor, facts: &Facts) {
        let Some(slot) = &facts.slot else { return };
        let (status, wal_end) = (&self.config.status, facts.server.wal_end);
        let observation = Observation {
            slot,
            wal_end,
            budget_bytes: facts.server.max_slot_wal_keep_bytes,
            is_in_flight: !self.in_flight.is_empty(),
            is_standby_away: status.report().is_standby_away,
        };
        let backlog = governor.observe(&observation, Instant::now());
        status.observed(slot.confirmed_flush_lsn.unwrap_or(Lsn::ZERO), wal_end, backlog);
    }
}

/// The snapshot is taken before its statement reads the position: what is visible in it was committed before that.
async fn visible(client: &mut Client) -> Result<Visible, Error> {
    let rows =
        client.query("select pg_current_snapshot() as snapshot, pg_current_wal_insert_lsn() as lsn").await?;
    let row = rows.first().ok_or_else(|| Error::Unavailable("the server tells no position".to_owned()))?;
    Ok(Visible { snapshot: row.require("snapshot")?, lsn: row.require("lsn")? })
}
