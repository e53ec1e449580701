//! Carrying out what was approved, if it still is what was approved.

use event_store::UnitOfWork;
use uuid::Uuid;

use crate::{CarryOutError, Correction, CorrectionCommand, CorrectionRefusal, Trial, attempt};

#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    #[error("{0}")]
    Refused(CorrectionRefusal),
    /// Nothing was done but to record that.
    #[error("{0}")]
    Stale(String),
    #[error(transparent)]
    Store(#[from] event_store::Error),
}

/// Executes an approved correction within `unit`, which is about nothing else. Where the domain would decide otherwise than the preview
/// shows, the correction is stale, and that is all that is recorded.
pub async fn execute(unit: &mut UnitOfWork, correction_id: Uuid) -> Result<(), ExecuteError> {
    let correction = unit.state::<Correction>(correction_id).await?;
    let correction = correction.ok_or(ExecuteError::Refused(CorrectionRefusal::NotRequested))?;
    correction.may_be_executed(unit.context()).map_err(ExecuteError::Refused)?;
    let approved = correction.preview.ok_or(ExecuteError::Refused(CorrectionRefusal::OtherPreview))?;
    attempt::begin(unit).await?;
    let stale = match Trial::run(unit, correction_id, &correction.requested.kind).await {
        Ok(trial) if trial.hash == approved.hash => {
            let events = trial.events.into_iter().map(Into::into).collect();
            let execute = CorrectionCommand::Execute { preview_hash: trial.hash, events };
            return command(unit, correction_id, execute).await;
        }
        Ok(trial) if trial.computed_on != approved.computed_on => {
            let moved = trial.computed_on.iter().filter(|at| !approved.computed_on.contains(at));
            let moved: Vec<String> = moved.map(|at| format!("{}@{}", at.stream, at.seq)).collect();
            format!("what it is about has moved on: {}", moved.join(", "))
        }
        Ok(_) => "it would do something else than its preview shows".to_owned(),
        Err(CarryOutError::Refused(reason)) => format!("it cannot be done any more: {reason}"),
        Err(CarryOutError::Store(error)) => return Err(error.into()),
    };
    attempt::take_back(unit).await?;
    command(unit, correction_id, CorrectionCommand::FindStale { reason: stale.clone() }).await?;
    Err(ExecuteError::Stale(stale))
}

async fn command(unit: &mut UnitOfWork, id: Uuid, command: CorrectionCommand) -> Result<(), ExecuteError> {
    match unit.execute::<Correction>(id, command).await {
        Ok(_) => Ok(()),
        Err(event_store::ExecuteError::Refused(refusal)) => Err(ExecuteError::Refused(refusal)),
        Err(event_store::ExecuteError::Store(error)) => Err(error.into()),
    }
}
