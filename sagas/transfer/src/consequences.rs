//! What a decision of the saga does to the payer's account: in the same transaction, so that neither can be without the
//! other.

use cases::Subject;
use event::Aggregate;
use event_store::{FireError, Scheduler, UnitOfWork, fire_in};
use ledger::{Account, AccountCommand, AccountEvent};
use uuid::Uuid;

use crate::{Requested, Transfer, TransferCommand, TransferEvent, TransferRefusal};

pub type ApplyError = ledger::ApplyError<TransferRefusal>;

/// Decides the command, and has the account do what follows from it, and a person called who is needed.
pub async fn apply(
    unit: &mut UnitOfWork,
    transfer_id: Uuid,
    command: TransferCommand,
) -> Result<Vec<TransferEvent>, ApplyError> {
    let before =
        unit.state::<Transfer>(transfer_id).await?.map_or_else(Vec::new, |transfer| transfer.reasons());
    let events = unit.execute::<Transfer>(transfer_id, command).await.map_err(ApplyError::of_saga)?;
    if events.is_empty() {
        return Ok(events);
    }
    let request = unit.state::<Transfer>(transfer_id).await?.map(|transfer| transfer.request);
    let Some(request) = request else { return Ok(events) };
    for event in &events {
        let Some(on_account) = on_account(&request, event) else { continue };
        let is_late = matches!(on_account, AccountCommand::CaptureLate { .. });
        let done = unit
            .execute::<Account>(request.from_account, on_account)
            .await
            .map_err(ApplyError::of_account)?;
        if is_late {
            let covered = done.iter().any(|event| matches!(event, AccountEvent::LateCaptured(_)));
            let outcome = TransferCommand::RecordLateCapture { covered };
            unit.execute::<Transfer>(transfer_id, outcome).await.map_err(ApplyError::of_saga)?;
        }
    }
    let after =
        unit.state::<Transfer>(transfer_id).await?.map_or_else(Vec::new, |transfer| transfer.reasons());
    let subject = Subject { stream: Transfer::stream(transfer_id), amount: request.amount };
    let called = events.iter().filter_map(|event| match event {
        TransferEvent::OperatorAttentionRequired(event) => Some(event.reason.as_str()),
        _ => None,
    });
    cases::follow(unit, &subject, &before, &after, &called.collect::<Vec<_>>()).await?;
    Ok(events)
}

/// What the payer's account has to do about an event; None: nothing.
pub fn on_account(request: &Requested, event: &TransferEvent) -> Option<AccountCommand> {
    match event {
        TransferEvent::Captured(event) => {
            Some(AccountCommand::Capture { reservation_id: event.reservation_id })
        }
        TransferEvent::Released(_) if event::mutants::active("skip_compensation") => None,
        TransferEvent::Released(event) => {
            Some(AccountCommand::Release { reservation_id: event.reservation_id })
        }
        TransferEvent::LateSettlementDetected(event) => {
            let (reservation_id, amount) = (event.reservation_id, request.amount);
            Some(AccountCommand::CaptureLate { reservation_id, amount })
        }
        TransferEvent::ReturnCredited(event) => {
            let (transfer_id, amount) = (request.transfer_id, event.amount);
            Some(AccountCommand::CreditReturn { transfer_id, amount })
        }
        TransferEvent::ReceivableCleared(event) => {
            let (reservation_id, amount) = (event.reservation_id, event.amount);
            Some(AccountCommand::ClearReceivable { reservation_id, amount })
        }
        _ => None,
    }
}

/// Makes the scheduler fire the deadlines of transfers.
#[must_use]
pub fn install(scheduler: Scheduler) -> Scheduler {
    scheduler.with_fire::<Transfer>(|store, due| {
        Box::pin(async move {
            let id = due.stream.uuid().ok_or_else(|| FireError::NotAStream(due.stream.clone()))?;
            let deadline = due.deadline;
            fire_in(&store, &due, move |unit| {
                Box::pin(async move {
                    Ok(!apply(unit, id, TransferCommand::FireDeadline(deadline)).await?.is_empty())
                })
            })
            .await
        })
    })
}
