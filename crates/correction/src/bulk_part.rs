//! The items of a bulk correction: each is a correction of its own, made with the list and done in its turn.

use event::{Causation, CausationKind, Context, derived_id};
use event_store::{Error, ExecuteError, UnitOfWork};
use uuid::Uuid;

use crate::preview::hex_digest;
use crate::{
    Bulk, BulkCommand, BulkRefusal, BulkRequest, CarryOutError, Correction, CorrectionCommand,
    CorrectionRefusal, Kind, Part, Request, Trial, attempt,
};

/// Which correction an item is.
pub fn part_id(bulk_id: Uuid, number: u32) -> Uuid {
    derived_id(bulk_id, "bulk", usize::try_from(number).unwrap_or(usize::MAX))
}

/// What a list is known by.
pub fn list_hash(list: &[Kind]) -> Result<String, serde_json::Error> {
    Ok(hex_digest(&serde_json::to_vec(list)?))
}

/// Freezes the list: a stream of its own for each item, in the transaction of `unit`.
pub async fn request_bulk(
    unit: &mut UnitOfWork,
    bulk_id: Uuid,
    request: BulkRequest,
    list: &[Kind],
) -> Result<(), ExecuteError<BulkRefusal>> {
    let BulkRequest { reason_code, evidence, person_within, .. } = request.clone();
    let items = u32::try_from(list.len()).unwrap_or(u32::MAX);
    let list_hash = list_hash(list).map_err(Error::from)?;
    unit.expect_new::<Bulk>(bulk_id);
    unit.execute::<Bulk>(bulk_id, BulkCommand::Request { request, items, list_hash }).await?;
    let requested = unit.state::<Bulk>(bulk_id).await?.ok_or(Error::Conflict)?.requested;
    for (number, kind) in (1..).zip(list) {
        let request = Request {
            kind: kind.clone(),
            reason_code,
            evidence: evidence.clone(),
            corrects: None,
            approvals: 1,
            execute_within: person_within,
        };
        let part = Part { bulk_id, number };
        let command = CorrectionCommand::RequestPart { request, part, deadline: requested.deadline };
        let id = part_id(bulk_id, number);
        unit.expect_new::<Correction>(id);
        command_part(unit, id, command).await?;
    }
    Ok(())
}

/// What has come of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartDone {
    Executed,
    Failed,
    /// It is not its turn, or it was done before.
    Not(CorrectionRefusal),
}

/// Does one item within `unit`, which is about nothing else, on behalf of whoever has let its bulk correction go on, if that is under way and the
/// item would still do what was approved. Else it fails, and that is all that is recorded.
pub async fn execute_part(unit: &mut UnitOfWork, bulk_id: Uuid, number: u32) -> Result<PartDone, Error> {
    let id = part_id(bulk_id, number);
    let (bulk, correction) = (unit.state::<Bulk>(bulk_id).await?, unit.state::<Correction>(id).await?);
    let (Some(bulk), Some(correction)) = (bulk, correction) else {
        return Ok(PartDone::Not(CorrectionRefusal::NotRequested));
    };
    if let Err(refusal) = correction.part_may_be_executed(&bulk) {
        return Ok(PartDone::Not(refusal));
    }
    let (Some(approved), Some(run_by)) = (correction.preview, bulk.run_by.clone()) else {
        return Ok(PartDone::Not(CorrectionRefusal::OtherPreview));
    };
    let cause = Causation { kind: CausationKind::Correction, id: bulk_id };
    unit.set_context(Context::because_of(cause, bulk_id, run_by, unit.context().now));
    attempt::begin(unit).await?;
    let reason = match Trial::run(unit, id, &correction.requested.kind).await {
        Ok(trial) if trial.effect == approved.effect => {
            let events = trial.events.into_iter().map(Into::into).collect();
            let (bulk, preview_hash) = (Box::new(bulk), approved.hash);
            let done = CorrectionCommand::ExecutePart { bulk, preview_hash, events };
            command_part(unit, id, done).await?;
            return Ok(PartDone::Executed);
        }
        Ok(_) => "it would do something else than its preview shows".to_owned(),
        Err(CarryOutError::Refused(reason)) => reason,
        // The transaction may be of no use any more.
        Err(CarryOutError::Store(error)) => return Err(error),
    };
    attempt::take_back(unit).await?;
    command_part(unit, id, CorrectionCommand::FailPart { reason }).await?;
    Ok(PartDone::Failed)
}

/// Classes of errors that are about what is written: data, integrity, access, limits, and what functions raise
/// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const ITS_OWN: [&str; 6] = ["22", "23", "42", "54", "P0", "LU"];

/// Why an item cannot be done that has met this. None: it says nothing about the item, and is waited out.
pub(crate) fn failure_of(error: &Error) -> Option<String> {
    match error {
        Error::Undecodable(_) | Error::WrongAggregate(_) | Error::Unencodable(_) | Error::TooLarge(_) => {
            Some(error.to_string())
        }
        Error::Database(sqlx::Error::Database(raised)) => {
            let is_its_own = |code: &str| ITS_OWN.iter().any(|class| code.starts_with(class));
            let code = raised.code().filter(|code| is_its_own(code))?;
            Some(format!("the database does not take what it would write ({code})"))
        }
        Error::Conflict | Error::Database(_) | Error::Migration(_) => None,
    }
}

/// What its state allows has been looked at in the same unit.
async fn command_part(unit: &mut UnitOfWork, id: Uuid, command: CorrectionCommand) -> Result<(), Error> {
    match unit.execute::<Correction>(id, command).await {
        Ok(_) => Ok(()),
        // The same list asked for twice, which the commit finds out.
        Err(ExecuteError::Refused(_)) => Err(Error::Conflict),
        Err(ExecuteError::Store(error)) => Err(error),
    }
}
