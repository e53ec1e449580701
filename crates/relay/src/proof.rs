//! The proof that nothing is missing: what has to hold before a session reads the slot, and as long as it does.
//!
//! ```text
//! facts ─► findings ─┬─ any doubt ─► halt, with its remedy; a gap is remembered in the state until it is refilled
//! (read)   (judged)  └─ none ──────► read the slot
//! ```
//!
//! Reading changes nothing and judging is pure, so that a start, the watch and `doctor` come to the same verdict. A
//! doubt halts the relay; it never starts "from now".

mod captured;
mod facts;
mod finding;
mod publication;
mod role;
mod server;
mod sink;
mod slot;

pub(crate) use facts::{Facts, Publication, publication_now};
pub use finding::{Finding, Weight};

use replication::{Client, SlotName};

use crate::state::{RefillNeeded, StateTable, demand_refill};
use crate::{Cause, Config, Error, OpenSink, Reads};

/// All findings, good and bad, without changing anything: what `doctor` shows.
pub async fn examine(config: &Config, sink: &impl OpenSink) -> Vec<Finding> {
    let unreachable = |error: &Error| {
        let remedy = "see that the server runs, and that the relay's login is right";
        vec![Finding::doubt(Cause::Server, format!("the server cannot be examined: {error}"), remedy)]
    };
    let mut findings = Vec::new();
    let account = match sink.account().await {
        Ok(account) => Some(account),
        Err(error) => {
            let remedy = "see that the sink can be reached, and that the relay's login there is right";
            findings.push(Finding::doubt(
                Cause::Topic,
                format!("the sink gives no account: {error}"),
                remedy,
            ));
            None
        }
    };
    let facts = async {
        let mut table = StateTable::connect(&config.login("doctor"), &config.slot).await?;
        Facts::read(&mut table.client, config, account).await
    };
    match facts.await {
        Ok(facts) => findings.extend(judge(&facts).into_iter().map(|finding| as_it_starts(config, finding))),
        Err(error) => findings.extend(unreachable(&error)),
    }
    findings
}

/// A first snapshot is how a capture starts.
fn as_it_starts(config: &Config, mut finding: Finding) -> Finding {
    if config.reads.is_snapshot_first() && finding.cause == Cause::Snapshot {
        finding.weight = Weight::Note;
        finding.remedy.clear();
    }
    finding
}

/// Fails with the first doubt, and remembers it when it is a gap.
pub(crate) async fn prove(client: &mut Client, slot: &SlotName, facts: &Facts) -> Result<(), Error> {
    let findings = judge(facts);
    for finding in findings.iter().filter(|finding| finding.weight == Weight::Warning) {
        tracing::debug!(%slot, %finding, remedy = finding.remedy, "doctor would warn");
    }
    let Some(doubt) = findings.into_iter().find(|finding| finding.weight == Weight::Doubt) else {
        return Ok(());
    };
    if doubt.needs_refill && facts.role.may_keep_state == Some(true) {
        let needed = RefillNeeded { cause: doubt.cause, reason: doubt.to_string() };
        demand_refill(client, slot, &facts.identity(), &needed).await?;
    }
    Err(doubt.into())
}

/// Every finding, in the order in which a person would want to mend them.
pub(crate) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    role::judge(facts, &mut findings);
    findings.extend(refill_needed(facts));
    server::judge(facts, &mut findings);
    match facts.reads {
        Reads::Events => publication::judge(facts, &mut findings),
        Reads::Tables { .. } => captured::judge(facts, &mut findings),
    }
    slot::judge(facts, &mut findings);
    sink::judge(facts, &mut findings);
    findings
}

/// A gap that was found before stays one, however things look now.
fn refill_needed(facts: &Facts) -> Option<Finding> {
    let needed = facts.state.as_ref()?.refill_needed()?;
    Some(Finding::gap(needed.cause, needed.reason.clone(), refill(facts)))
}

fn refill(facts: &Facts) -> String {
    let what = match facts.reads {
        Reads::Events => "which brings the sink up to the event table",
        Reads::Tables { .. } => "which sends all rows as they stand now",
    };
    format!("{}, {what}", facts.reads.remedy(&facts.service))
}
