//! The sink: it holds what it held, and nothing that this database does not know.

use super::{Facts, Finding, refill};
use crate::{Cause, Relayed, SinkAccount, TopicAccount};

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(account) = &facts.account else { return };
    let before = findings.len();
    if let Some(newest) = &account.newest {
        findings.extend(foreign(facts, newest));
    }
    if let Some(state) = &facts.state {
        for (name, then) in &state.topics {
            let what = match account.topics.get(name) {
                None => Some(format!("the topic {name} does not exist any more")),
                Some(now) => shrunk(name, then, now),
            };
            findings.extend(what.map(|what| Finding::gap(Cause::Topic, what, refill(facts))));
        }
    }
    if findings.len() == before {
        findings.push(holds(account));
    }
}

/// The newest record must come from this database as it is, not from another one or from a future that was undone.
fn foreign(facts: &Facts, newest: &Relayed) -> Option<Finding> {
    let (server, at) = (&facts.server, newest.at.commit_lsn);
    if facts.state.as_ref().is_some_and(|state| newest.origin.epoch < state.refill_epoch) {
        return None;
    }
    let gap = |cause, what: String| Some(Finding::gap(cause, what, refill(facts)));
    if newest.origin.system_identifier != server.system_identifier {
        let what = format!(
            "the sink's newest event comes from another server: system identifier {}, here it is {}",
            newest.origin.system_identifier, server.system_identifier
        );
        return gap(Cause::Server, what);
    }
    let positions = [("sink", at), ("log's end", server.wal_end)];
    let restored = |why: &str| {
        let what = format!("the server was restored to an earlier state: {why}");
        Some(Finding::gap(Cause::Restored, what, refill(facts)).at(positions))
    };
    if newest.origin.timeline > server.timeline {
        return restored("the sink has an event of a later timeline");
    }
    if at > server.wal_end {
        return restored("the sink has an event from beyond the end of the log");
    }
    if facts.state.as_ref().is_some_and(|state| newest.origin.epoch > state.epoch) {
        return restored("the sink has an event of a session that the state does not know");
    }
    // A commit that waits for a synchronous standby is in the log before it is visible in the table.
    let is_certain = server.synchronous_standby_names.is_empty() || facts.standby.is_some();
    if facts.table.as_ref().is_some_and(|table| !table.has_newest) && is_certain {
        return restored("the sink has an event that the table does not have");
    }
    None
}

fn shrunk(name: &str, then: &TopicAccount, now: &TopicAccount) -> Option<String> {
    if then.partitions != now.partitions {
        return Some(format!(
            "the topic {name} had {} partitions and has {}: streams would change their partition",
            then.partitions, now.partitions
        ));
    }
    let mut ends = then.ends.iter().zip(&now.ends).enumerate();
    let (partition, (then, now)) = ends.find(|(_, (then, now))| now < then)?;
    Some(format!(
        "the topic {name} was made anew, or has lost records: partition {partition} ends at {now}, it ended at {then}"
    ))
}

fn holds(account: &SinkAccount) -> Finding {
    let what = match account.topics.len() {
        0 => "the sink keeps no account of its own".to_owned(),
        topics => format!("the sink holds what it held, in {topics} topics"),
    };
    Finding::good(Cause::Topic, what)
}
