//! What a decision of the saga does to the payee's account: in the same transaction, so that neither can be without the
//! other.

use cases::Subject;
use event::Aggregate;
use event_store::{FireError, Scheduler, UnitOfWork, fire_in};
use ledger::{Account, AccountCommand};
use uuid::Uuid;

use crate::{Incoming, IncomingCommand, IncomingEvent, IncomingRefusal};

pub type ApplyError = ledger::ApplyError<IncomingRefusal>;

/// Decides the command, and has the account do what follows from it, and a person called who is needed.
pub async fn apply(
    unit: &mut UnitOfWork,
    payment_id: Uuid,
    command: IncomingCommand,
) -> Result<Vec<IncomingEvent>, ApplyError> {
    let before =
        unit.state::<Incoming>(payment_id).await?.map_or_else(Vec::new, |incoming| incoming.attention);
    let events = unit.execute::<Incoming>(payment_id, command).await.map_err(ApplyError::of_saga)?;
    for event in &events {
        if let Some((account_id, command)) = on_account(payment_id, event) {
            unit.execute::<Account>(account_id, command).await.map_err(ApplyError::of_account)?;
        }
    }
    if let Some(incoming) = unit.state::<Incoming>(payment_id).await? {
        let subject = Subject { stream: Incoming::stream(payment_id), amount: incoming.payment.amount };
        let called = events.iter().filter_map(|event| match event {
            IncomingEvent::OperatorAttentionRequired(event) => Some(event.reason.as_str()),
            _ => None,
        });
        cases::follow(unit, &subject, &before, &incoming.attention, &called.collect::<Vec<_>>()).await?;
    }
    Ok(events)
}

/// What an account has to do about an event, and which; None: nothing.
pub fn on_account(payment_id: Uuid, event: &IncomingEvent) -> Option<(Uuid, AccountCommand)> {
    match event {
        IncomingEvent::CreditPosted(event) => {
            Some((event.account_id, AccountCommand::PostCredit { payment_id }))
        }
        IncomingEvent::CreditVoided(_) if event::mutants::active("skip_compensation") => None,
        IncomingEvent::CreditVoided(event) => {
            Some((event.account_id, AccountCommand::VoidCredit { payment_id }))
        }
        _ => None,
    }
}

/// Makes the scheduler fire the deadlines of incoming payments.
#[must_use]
pub fn install(scheduler: Scheduler) -> Scheduler {
    scheduler.with_fire::<Incoming>(|store, due| {
        Box::pin(async move {
            let id = due.stream.uuid().ok_or_else(|| FireError::NotAStream(due.stream.clone()))?;
            let deadline = due.deadline;
            fire_in(&store, &due, move |unit| {
                Box::pin(async move {
                    Ok(!apply(unit, id, IncomingCommand::FireDeadline(deadline)).await?.is_empty())
                })
            })
            .await
        })
    })
}
