//! The publication of a capture: it exists, has tables, all of their operations, and was never touched since.

use super::{Facts, Finding, refill};
use crate::CapturedTable;
use crate::Cause;
use crate::capture::without_topic;

const REMEDY: &str = "make it as `lunaria capture prepare` does";

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let doubt = |what: &str| {
        // Without a state no session has read through it: nothing can have been missed yet.
        if facts.state.is_some() {
            Finding::gap(Cause::Publication, what, format!("{REMEDY}, then {}", refill(facts)))
        } else {
            Finding::doubt(Cause::Publication, what, REMEDY)
        }
    };
    let Some(publication) = &facts.publication else {
        findings.push(doubt("the publication does not exist"));
        return;
    };
    let name = &publication.name;
    if facts.captured.is_empty() {
        findings.push(doubt(&format!("the publication {name} has no tables")));
        return;
    }
    if !publication.is_whole(facts.reads) {
        findings.push(doubt(&format!("the publication {name} does not publish all operations")));
        return;
    }
    if facts.state.as_ref().is_some_and(|state| state.publication != publication.fingerprint) {
        let what = format!(
            "the tables or settings of the publication {name} were changed: what was committed to a table while it \
             was not in it was not captured, nor what stood in it before, and nothing in the log says so"
        );
        findings.push(Finding::gap(Cause::Publication, what, refill(facts)));
        return;
    }
    let what =
        format!("the publication {name} has all operations of {}, and is unchanged", publication.tables);
    findings.push(Finding::good(Cause::Publication, what));
    tables(&facts.captured, findings);
}

fn tables(captured: &[CapturedTable], findings: &mut Vec<Finding>) {
    if let Some(table) = without_topic(captured) {
        let what = format!("the name of {table} gives a topic that is another table's already");
        let remedy = "leave one of them out of the publication, or rename it";
        findings.push(Finding::doubt(Cause::Topic, what, remedy));
    }
    for table in captured {
        let name = format!("{}.{}", table.schema, table.name);
        findings.push(Finding::note(Cause::Table, format!("{name}: {}", before(table))));
        if !table.has_key() {
            let what = format!(
                "{name} has no key: all of its changes go to one partition under the table's name, without tombstones"
            );
            findings.push(Finding::warning(Cause::Table, what, "give it a primary key"));
        }
        if !table.is_readable {
            let what = format!("the rows of {name} may not be read: a snapshot would fail");
            let remedy = format!("grant select on {name} to this role");
            findings.push(Finding::warning(Cause::Role, what, remedy));
        }
        if table.is_narrowed || table.row_filter.is_some() {
            let what = format!("the publication leaves some rows or columns of {name} out");
            findings.push(Finding::note(Cause::Publication, what));
        }
    }
}

fn before(table: &CapturedTable) -> &'static str {
    match table.identity.as_str() {
        "f" => "`before` is the whole row",
        "n" => "inserts alone: without a replica identity, Postgres refuses updates and deletes",
        _ if table.has_key() => {
            "`before` is the key of a deleted row, and null in an update (replica identity full has all)"
        }
        _ => "inserts alone: without a primary key, Postgres refuses updates and deletes",
    }
}
