//! The server: the same one, on the same history, set up to keep what the relay needs.

use replication::WalStatus;

use super::{Facts, Finding, refill};
use crate::{Cause, State};

/// The first of each major version in which `output_plugin_libraries` limits what a replication role can load:
/// <https://www.postgresql.org/docs/release/15.19/>.
const OUTPUT_PLUGIN_FIXES: [u32; 4] = [15_0019, 16_0015, 17_0011, 18_0006];
const VERSION_MIN: u32 = 15_0000;
const FAILOVER_SLOTS_SINCE: u32 = 17_0000;
const NAMES_SINCE: u32 = 1_0000;

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    version(facts, findings);
    if facts.server.wal_level != "logical" {
        let what = format!("wal_level is {}", facts.server.wal_level);
        let remedy = "set wal_level = logical and restart the server";
        findings.push(Finding::doubt(Cause::Server, what, remedy));
    }
    if let Some(state) = &facts.state {
        findings.push(history(facts, state));
    }
    settings(facts, findings);
}

fn version(facts: &Facts, findings: &mut Vec<Finding>) {
    let version = facts.server.version;
    let (major, minor) = (version / NAMES_SINCE, version % NAMES_SINCE);
    let shown = format!("the server is PostgreSQL {major}.{minor}");
    if version < VERSION_MIN {
        findings.push(Finding::doubt(Cause::Server, shown, "upgrade it to 15 or later"));
        return;
    }
    let fixed = OUTPUT_PLUGIN_FIXES.into_iter().find(|fixed| fixed / NAMES_SINCE == major);
    match fixed.filter(|fixed| version < *fixed) {
        None => findings.push(Finding::good(Cause::Server, shown)),
        Some(fixed) => {
            let what =
                format!("{shown}, in which any replication role can load any library as an output plugin");
            let remedy = format!("upgrade it to {major}.{} or later", fixed % NAMES_SINCE);
            findings.push(Finding::warning(Cause::Server, what, remedy));
        }
    }
}

/// Positions mean something on one server and one timeline only.
fn history(facts: &Facts, state: &State) -> Finding {
    let (server, now, then) = (&facts.server, facts.server.timeline, state.timeline);
    let positions = [("confirmed", state.confirmed_lsn), ("log's end", server.wal_end)];
    if server.system_identifier != state.system_identifier {
        let what = format!(
            "this is another server: its system identifier is {}, the slot was read on {}",
            server.system_identifier, state.system_identifier
        );
        return Finding::gap(Cause::Server, what, refill(facts)).at(positions);
    }
    if server.wal_end < state.confirmed_lsn {
        let what = "the server was restored to an earlier state: its log ends before what was confirmed, \
                    and events of the range in between may be known to the sink alone";
        return Finding::gap(Cause::Restored, what, refill(facts)).at(positions);
    }
    if now == then {
        return Finding::good(Cause::Server, "it is the server that the relay knows, on the same timeline");
    }
    if came_along(facts, state) {
        let what =
            format!("the server was promoted (timeline {then} to {now}), and the failover slot came along");
        return Finding::note(Cause::Timeline, what).at(positions);
    }
    let what = format!(
        "the server was promoted or restored (timeline {then} to {now}) without a failover slot that is in step: \
         what was committed before may be missing here, or in the sink"
    );
    Finding::gap(Cause::Timeline, what, refill(facts)).at(positions)
}

fn came_along(facts: &Facts, state: &State) -> bool {
    facts.server.version >= FAILOVER_SLOTS_SINCE
        && facts.slot.as_ref().is_some_and(|slot| {
            slot.failover
                && slot.wal_status != Some(WalStatus::Lost)
                && slot.invalidation_reason.is_none()
                && slot.confirmed_flush_lsn.is_some_and(|confirmed| confirmed <= state.confirmed_lsn)
        })
}

fn settings(facts: &Facts, findings: &mut Vec<Finding>) {
    let server = &facts.server;
    for (name, is_on) in [("fsync", server.is_fsync), ("full_page_writes", server.is_full_page_writes)] {
        if !is_on {
            let what = format!("{name} is off: a power cut loses what was committed, and relayed");
            findings.push(Finding::warning(Cause::Server, what, format!("set {name} = on")));
        }
    }
    if server.synchronous_commit == "off" {
        let what = "synchronous_commit is off: a crash loses commits that a client was told of";
        findings.push(Finding::warning(Cause::Server, what, "set synchronous_commit = on"));
    }
    if server.wal_sender_timeout == "0" {
        let what = "wal_sender_timeout is 0: the server does not notice a relay that was cut off";
        findings.push(Finding::warning(Cause::Server, what, "set wal_sender_timeout = 60s"));
    }
    if server.synchronous_standby_names.contains('*') {
        let what = "synchronous_standby_names contains *, which the relay's connection matches too";
        findings.push(Finding::warning(Cause::Server, what, "name the standbys"));
    }
    findings.push(match server.max_slot_wal_keep_bytes {
        Some(bytes) => {
            let what = format!(
                "a relay that stands still may hold back {bytes} bytes of log, then the slot is lost"
            );
            Finding::note(Cause::Slot, format!("{what} and refilled"))
        }
        None => Finding::note(
            Cause::Slot,
            "max_slot_wal_keep_size is not set: a relay that stands still fills the disk in the end",
        ),
    });
}
