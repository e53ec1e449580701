//! The relay's role: what it needs, and what it could do without.

use super::{Facts, Finding};
use crate::Cause;

pub(super) fn judge(facts: &Facts, findings: &mut Vec<Finding>) {
    let (role, migrate) = (&facts.role, "run `lunaria migrate` as the owner");
    let name = &role.name;
    let before = findings.len();
    if !role.may_replicate {
        let remedy = format!("alter role {name} replication");
        findings.push(Finding::doubt(Cause::Role, format!("the role {name} may not replicate"), remedy));
    }
    match role.may_keep_state {
        None => findings.push(Finding::doubt(Cause::State, "there is no table relay_state", migrate)),
        Some(false) => {
            let what = format!("the role {name} may not keep its state in relay_state");
            findings.push(Finding::doubt(Cause::Role, what, migrate));
        }
        Some(true) => {}
    }
    if facts.table.is_some() && !role.may_read_events {
        let what = format!("the role {name} may not read the event table");
        findings.push(Finding::doubt(Cause::Role, what, migrate));
    }
    if facts.standby.is_some() && !role.may_see_standbys {
        let what =
            format!("the role {name} may not see how far standbys are, so that the gate would never open");
        findings.push(Finding::doubt(Cause::Role, what, format!("grant pg_read_all_stats to {name}")));
    }
    if facts.standby.is_none() && !role.may_see_standbys {
        let what = format!(
            "the role {name} may not see when a leader has replied last: a standby relay takes over \
                            from one that is silent only after wal_sender_timeout"
        );
        findings.push(Finding::warning(Cause::Role, what, format!("grant pg_read_all_stats to {name}")));
    }
    if role.is_superuser {
        let remedy = "give the relay a role of its own, with replication and what the migrations grant";
        findings.push(Finding::warning(Cause::Role, format!("the role {name} is a superuser"), remedy));
    }
    if findings.len() == before {
        findings.push(Finding::good(Cause::Role, format!("the role {name} has the rights that it needs")));
    }
}
