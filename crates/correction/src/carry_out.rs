//! What a correction does: the sagas' and accounts' own commands, and what they decide.

use delivery::skip_parked_in;
use event::{Causation, CausationKind, Context};
use event_store::UnitOfWork;
use ledger::{Account, AccountCommand};
use transfer::{ApplyError, TransferCommand};
use uuid::Uuid;

use crate::Kind;

#[derive(Debug, thiserror::Error)]
pub enum CarryOutError {
    /// The domain's rules do not allow it.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] event_store::Error),
}

/// Decides within `unit`, on behalf of the correction. What was decided before it stays, and so does whose unit it is.
pub async fn carry_out(unit: &mut UnitOfWork, correction_id: Uuid, kind: &Kind) -> Result<(), CarryOutError> {
    let (now, actor) = (unit.context().now, unit.context().actor.clone());
    let cause = Causation { kind: CausationKind::Correction, id: correction_id };
    let asker =
        unit.replace_context(Context::because_of(cause, kind.correlation_id(correction_id), actor, now));
    let done = decide(unit, correction_id, kind).await;
    unit.set_context(asker);
    done
}

async fn decide(unit: &mut UnitOfWork, correction_id: Uuid, kind: &Kind) -> Result<(), CarryOutError> {
    match kind {
        Kind::ResolveTransfer { transfer_id, outcome } => {
            let resolve = TransferCommand::Resolve { correction_id, outcome: outcome.clone() };
            transfer::apply(unit, *transfer_id, resolve).await.map_err(refused)?;
        }
        Kind::ReverseTransfer { transfer_id } => {
            transfer::reverse(unit, *transfer_id, correction_id).await.map_err(refused)?;
        }
        Kind::AdjustAccount { account_id, amount, against } => {
            let adjust = AccountCommand::Adjust { correction_id, amount: *amount, against: *against };
            let done = unit.execute::<Account>(*account_id, adjust).await;
            done.map_err(|error| refused(ApplyError::of_account(error)))?;
        }
        Kind::SkipParked { handler, stream, seq } => {
            if projection::is_kept(unit.connection(), handler).await? {
                let reason = format!("{handler} is a read model, which would be wrong without it");
                return Err(CarryOutError::Refused(reason));
            }
            skip_parked_in(unit.connection(), handler, stream, *seq).await?;
        }
    }
    Ok(())
}

fn refused(error: ApplyError) -> CarryOutError {
    match error {
        ApplyError::Store(error) => CarryOutError::Store(error),
        error => CarryOutError::Refused(error.to_string()),
    }
}
