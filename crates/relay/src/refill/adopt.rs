//! Puts the new slot in the old one's place: each step can be the last one before a crash.
//!
//! ```text
//! slot, slot_refill ─ drop ─► slot_refill ─ copy ─► slot', slot_refill ─ drop ─► slot' ─► the state is whole again
//! ```
//!
//! Whether `slot` is the old one or the copy shows in where it stands: the copy stands at the new slot's consistent
//! point. Until the state is whole, nobody reads either.

use replication::{Slot, WalStatus};

use super::attempt::{Adoption, Attempt};
use super::refill_slot;
use crate::proof::publication_now;
use crate::{Config, Error, OpenSink};

/// Returns false when it cannot be done any more: the publication was touched after all, or the new slot is gone or lost.
pub(super) async fn adopt(
    config: &Config,
    open: &impl OpenSink,
    attempt: &mut Attempt,
    adoption: &Adoption,
) -> Result<bool, Error> {
    let (slot, spare, lsn) = (&config.slot, refill_slot(&config.slot)?, adoption.lsn()?);
    let client = &mut attempt.state.client;
    // What was committed while a table was out of it, the new slot will not deliver.
    let publication = publication_now(client, &config.publication, config.reads).await?;
    if publication.as_ref() != Some(&adoption.publication) {
        return Ok(false);
    }
    let stands_there = |slot: &Slot| slot.confirmed_flush_lsn == Some(lsn) && !is_lost(slot);
    let old = client.read_slot(slot).await?;
    if !old.as_ref().is_some_and(stands_there) {
        if !client.read_slot(&spare).await?.as_ref().is_some_and(stands_there) {
            return Ok(false);
        }
        if old.is_some() {
            client.drop_slot(slot, false).await?;
        }
        client.copy_slot(&spare, slot).await?;
    }
    if config.failover && !client.read_slot(slot).await?.is_some_and(|slot| slot.failover) {
        client.make_failover(slot).await?;
    }
    if client.read_slot(&spare).await?.is_some() {
        client.drop_slot(&spare, false).await?;
    }
    attempt.identity.publication.clone_from(&adoption.publication);
    let account = open.account().await?;
    attempt.finish(adoption, &account).await?;
    Ok(true)
}

fn is_lost(slot: &Slot) -> bool {
    slot.wal_status == Some(WalStatus::Lost) || slot.invalidation_reason.is_some()
}
