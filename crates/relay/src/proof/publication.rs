//! The publication: the whole event table, all operations, and never touched since.

use super::{Facts, Finding, refill};
use crate::Cause;

const REMEDY: &str = "put it back as migrations/0001_event.sql makes it";

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    table(facts, findings);
    let doubt = |what: &str| {
        // Without a state no session has read through it: nothing can have been missed yet.
        if facts.state.is_some() {
            Finding::gap(Cause::Publication, what, format!("{REMEDY}, then {}", refill(facts)))
        } else {
            Finding::doubt(Cause::Publication, what, format!("{REMEDY}, before the slot is created"))
        }
    };
    let Some(publication) = &facts.publication else {
        findings.push(doubt("the publication does not exist"));
        return;
    };
    let name = &publication.name;
    if !publication.is_whole(facts.reads) {
        let what = format!("the publication {name} is not the whole event table with all operations");
        findings.push(doubt(&what));
        return;
    }
    let is_changed = |before: &str| before != publication.fingerprint;
    if facts.state.as_ref().is_some_and(|state| is_changed(&state.publication)) {
        let what = format!(
            "the publication {name} was changed and put back, or made anew: what was committed meanwhile was \
             not relayed, and nothing in the log says so"
        );
        findings.push(Finding::gap(Cause::Publication, what, refill(facts)));
        return;
    }
    let what = format!("the publication {name} is the whole event table, and unchanged");
    findings.push(Finding::good(Cause::Publication, what));
}

fn table(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(table) = &facts.table else {
        let remedy = "run `lunaria migrate` as the owner";
        findings.push(Finding::doubt(Cause::Table, "there is no event table", remedy));
        return;
    };
    if !table.is_plain {
        let what = "the event table is not a plain, logged table, so that its rows are not in the log";
        findings.push(Finding::doubt(Cause::Table, what, "alter table event set logged"));
    }
    if !table.is_guarded {
        let what = "the trigger that refuses changes of events is disabled";
        findings.push(Finding::warning(
            Cause::Table,
            what,
            "alter table event enable trigger event_append_only",
        ));
    }
}
