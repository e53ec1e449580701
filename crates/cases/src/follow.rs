//! From a saga's reasons to its cases, within the saga's own transaction.

use event::StreamName;
use event_store::{Error, ExecuteError, UnitOfWork};

use crate::{Case, CaseCommand, Subject, case_id};

/// Raises a case for each reason that is new, or for which somebody is `called` once more, and withdraws that of each that is gone.
pub async fn follow(
    unit: &mut UnitOfWork,
    subject: &Subject,
    before: &[String],
    after: &[String],
    called: &[&str],
) -> Result<(), Error> {
    let is_raised = |reason: &&String| !before.contains(reason) || called.contains(&reason.as_str());
    // Of one that is open, that comes to nothing; one that somebody has resolved is raised again.
    for reason in after.iter().filter(is_raised) {
        let raise = CaseCommand::Raise { subject: subject.clone(), reason: reason.clone() };
        execute(unit, &subject.stream, reason, raise).await?;
    }
    for reason in before.iter().filter(|reason| !after.contains(reason)) {
        execute(unit, &subject.stream, reason, CaseCommand::Withdraw).await?;
    }
    Ok(())
}

async fn execute(
    unit: &mut UnitOfWork,
    subject: &StreamName,
    reason: &str,
    command: CaseCommand,
) -> Result<(), Error> {
    // Every saga's stream is named by a UUID.
    let Some(id) = subject.uuid() else { return Ok(()) };
    match unit.execute::<Case>(case_id(id, reason), command).await {
        Ok(_) => Ok(()),
        Err(ExecuteError::Store(error)) => Err(error),
        // Neither of the two is ever refused.
        Err(ExecuteError::Refused(_)) => Err(Error::Conflict),
    }
}
