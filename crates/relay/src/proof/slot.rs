//! The slot: ours, whole, and nowhere but where we left it.

use pgoutput::Lsn;
use replication::{Slot, WalStatus};

use super::{Facts, Finding, refill};
use crate::{Cause, Reads, State};

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(slot) = &facts.slot else {
        findings.push(missing(facts));
        return;
    };
    if let Some(what) = wrong_kind(facts, slot) {
        let remedy = "drop it if it is not needed, or choose another name";
        findings.push(Finding::doubt(Cause::Slot, what, remedy));
        return;
    }
    let before = findings.len();
    findings.extend(lost(facts, slot));
    match &facts.state {
        Some(state) => findings.extend(moved(facts, slot, state)),
        None => findings.push(unknown(facts, slot)),
    }
    if slot.wal_status == Some(WalStatus::Unreserved) {
        let what = format!(
            "the slot {} is about to be lost: the next checkpoint may remove its log",
            facts.slot_name
        );
        findings.push(Finding::warning(
            Cause::Slot,
            what,
            "let the relay run, or raise max_slot_wal_keep_size",
        ));
    }
    if findings.len() == before {
        let confirmed = slot.confirmed_flush_lsn.unwrap_or_default();
        let what = format!("the slot {} stands where the relay left it", facts.slot_name);
        findings.push(Finding::good(Cause::Slot, what).at([("confirmed", confirmed)]));
    }
    if let Some(pid) = slot.active_pid {
        findings.push(Finding::note(Cause::Slot, format!("the slot is being read, by server process {pid}")));
    }
}

/// A new slot sees what is committed from now on: right for an empty table, a silent gap for any other.
fn missing(facts: &Facts) -> Finding {
    let name = &facts.slot_name;
    if let Some(state) = &facts.state {
        let what = format!("the slot {name} does not exist any more: somebody has dropped it");
        return Finding::gap(Cause::SlotLost, what, refill(facts)).at([("confirmed", state.confirmed_lsn)]);
    }
    if facts.reads.is_snapshot_first() {
        return first_snapshot(facts);
    }
    if has_nothing_to_miss(facts) {
        return Finding::note(
            Cause::Slot,
            format!("the slot {name} will be created, before the first event"),
        );
    }
    let what = format!("the slot {name} does not exist, and there are events that a new one would not see");
    Finding::gap(Cause::Slot, what, refill(facts))
}

fn wrong_kind(facts: &Facts, slot: &Slot) -> Option<String> {
    let name = &facts.slot_name;
    if slot.plugin.as_deref() != Some("pgoutput") {
        Some(format!("the slot {name} is not for pgoutput"))
    } else if slot.database.as_deref() != Some(&facts.database) {
        Some(format!("the slot {name} is for another database"))
    } else if slot.temporary {
        Some(format!("the slot {name} is temporary"))
    } else if slot.synced {
        Some(format!("the slot {name} is a standby's copy"))
    } else {
        None
    }
}

fn lost(facts: &Facts, slot: &Slot) -> Option<Finding> {
    let name = &facts.slot_name;
    let reason = slot.invalidation_reason.as_deref();
    if slot.wal_status != Some(WalStatus::Lost) && reason.is_none() {
        return None;
    }
    let reason = reason.unwrap_or("wal_removed");
    let what = format!("the slot {name} is lost ({reason}): the server has removed what it needs");
    Some(Finding::gap(Cause::SlotLost, what, refill(facts)))
}

fn moved(facts: &Facts, slot: &Slot, state: &State) -> Option<Finding> {
    let (name, confirmed) = (&facts.slot_name, slot.confirmed_flush_lsn.unwrap_or_default());
    let positions = [("slot", confirmed), ("relay", state.confirmed_lsn)];
    if confirmed > state.confirmed_lsn {
        let what = format!(
            "the slot {name} stands further than the relay has ever confirmed: somebody has advanced it or made \
             it anew, and what was committed in between was not relayed"
        );
        return Some(Finding::gap(Cause::SlotAdvanced, what, refill(facts)).at(positions));
    }
    if confirmed < state.slot_lsn && confirmed > Lsn::ZERO {
        let what = format!(
            "the slot {name} is not the one that the relay knows; it begins earlier, so nothing is missing"
        );
        let remedy = "find out who has made it";
        return Some(Finding::warning(Cause::Slot, what, remedy).at(positions));
    }
    None
}

/// A slot without a state: made by a relay that was killed before its verdict, by an older version, or by hand.
fn unknown(facts: &Facts, slot: &Slot) -> Finding {
    let (name, confirmed) = (&facts.slot_name, slot.confirmed_flush_lsn.unwrap_or_default());
    if facts.reads.is_snapshot_first() {
        return first_snapshot(facts);
    }
    if has_nothing_to_miss(facts) || sink_is_ahead(facts, confirmed) {
        let what = format!("the slot {name} has no state yet and will be adopted: it misses nothing");
        return Finding::note(Cause::Slot, what).at([("confirmed", confirmed)]);
    }
    let what = format!(
        "the slot {name} has no state, and there are events: nothing proves that it was there before all of them, \
         and that nobody has moved it"
    );
    Finding::gap(Cause::Slot, what, refill(facts)).at([("confirmed", confirmed)])
}

/// The relay sends in commit order, so what the slot does not deliver any more came before the sink's newest event.
fn sink_is_ahead(facts: &Facts, confirmed: Lsn) -> bool {
    let newest = facts.account.as_ref().and_then(|account| account.newest.as_ref());
    newest.is_some_and(|newest| {
        newest.origin.system_identifier == facts.server.system_identifier
            && newest.origin.timeline == facts.server.timeline
            && confirmed <= newest.at.commit_lsn
    })
}

/// A slot that is new misses what was there before it: no event, or changes of tables that nobody has captured yet.
fn has_nothing_to_miss(facts: &Facts) -> bool {
    match facts.reads {
        Reads::Events => facts.table.as_ref().is_some_and(|table| table.has_events == Some(false)),
        Reads::Tables { .. } => facts.account.as_ref().is_none_or(|account| account.newest.is_none()),
    }
}

fn first_snapshot(facts: &Facts) -> Finding {
    let what = "nothing was captured yet: a snapshot of the tables comes first";
    Finding::gap(Cause::Snapshot, what, refill(facts))
}
