//! What a decision of the saga does to the card's account: in the same transaction, so that neither can be without the other.

use cases::Subject;
use event::Aggregate;
use event_store::{FireError, Scheduler, UnitOfWork, fire_in};
use ledger::{Account, AccountCommand};
use money::Money;
use uuid::Uuid;

use crate::{Authorisation, AuthorisationCommand, AuthorisationEvent, AuthorisationRefusal};

pub type ApplyError = ledger::ApplyError<AuthorisationRefusal>;

/// Decides the command, and has the account do what follows from it, and a person called who is needed.
pub async fn apply(
    unit: &mut UnitOfWork,
    authorisation_id: Uuid,
    command: AuthorisationCommand,
) -> Result<Vec<AuthorisationEvent>, ApplyError> {
    let before =
        unit.state::<Authorisation>(authorisation_id).await?.map_or_else(Vec::new, |it| it.attention);
    let events =
        unit.execute::<Authorisation>(authorisation_id, command).await.map_err(ApplyError::of_saga)?;
    for event in &events {
        if let Some((account_id, command)) = on_account(authorisation_id, event) {
            unit.execute::<Account>(account_id, command).await.map_err(ApplyError::of_account)?;
        }
    }
    let needs_somebody =
        |event: &AuthorisationEvent| matches!(event, AuthorisationEvent::OperatorAttentionRequired(_));
    if events.iter().any(needs_somebody)
        && let Some(authorisation) = unit.state::<Authorisation>(authorisation_id).await?
    {
        let amount = events.iter().find_map(at_stake).unwrap_or(authorisation.approved);
        let subject = Subject { stream: Authorisation::stream(authorisation_id), amount };
        let called = events.iter().filter_map(|event| match event {
            AuthorisationEvent::OperatorAttentionRequired(event) => Some(event.reason.as_str()),
            _ => None,
        });
        let called: Vec<&str> = called.collect();
        cases::follow(unit, &subject, &before, &authorisation.attention, &called).await?;
    }
    Ok(events)
}

/// What a person has to look after.
fn at_stake(event: &AuthorisationEvent) -> Option<Money> {
    match event {
        AuthorisationEvent::BookedToSuspense(event) => Some(event.amount),
        AuthorisationEvent::StandInNotHeld(event) => Some(event.approved),
        _ => None,
    }
}

/// What an account has to do about an event, and which; None: nothing.
pub fn on_account(authorisation_id: Uuid, event: &AuthorisationEvent) -> Option<(Uuid, AccountCommand)> {
    let hold = |account_id: Uuid, held: Money, is_forced: bool| {
        let reservation_id = authorisation_id;
        Some((account_id, AccountCommand::AdjustReservation { reservation_id, held, is_forced }))
    };
    let collect = |account_id: Uuid, capture_id: Uuid, amount: Money, held: Money| {
        let reservation_id = authorisation_id;
        Some((account_id, AccountCommand::PostCapture { capture_id, reservation_id, amount, held }))
    };
    match event {
        AuthorisationEvent::Approved(event) => hold(event.account_id, event.held, false),
        AuthorisationEvent::Incremented(event) => hold(event.account_id, event.held, false),
        AuthorisationEvent::VerdictWithdrawn(_) | AuthorisationEvent::Reversed(_)
            if event::mutants::active("skip_compensation") =>
        {
            None
        }
        AuthorisationEvent::VerdictWithdrawn(event) => hold(event.account_id, event.held, false),
        AuthorisationEvent::StandInApplied(event) => hold(event.account_id, event.held, true),
        AuthorisationEvent::StandInDeclined(event) => hold(event.account_id?, event.held, false),
        AuthorisationEvent::Reversed(event) => hold(event.account_id?, event.held, false),
        AuthorisationEvent::Expired(event) => hold(event.account_id, event.held, false),
        AuthorisationEvent::Captured(event) => {
            collect(event.account_id, event.message_id, event.amount, event.held)
        }
        AuthorisationEvent::ForcePosted(event) => {
            collect(event.account_id, event.message_id, event.amount, event.held)
        }
        AuthorisationEvent::Refunded(event) => {
            let (refund_id, amount) = (event.message_id, event.amount);
            Some((event.account_id, AccountCommand::CreditRefund { refund_id, amount }))
        }
        AuthorisationEvent::Opened(_)
        | AuthorisationEvent::Declined(_)
        | AuthorisationEvent::IncrementDeclined(_)
        | AuthorisationEvent::StandInNotHeld(_)
        | AuthorisationEvent::BookedToSuspense(_)
        | AuthorisationEvent::OperatorAttentionRequired(_) => None,
    }
}

/// Makes the scheduler end the holds that nobody has collected.
#[must_use]
pub fn install(scheduler: Scheduler) -> Scheduler {
    scheduler.with_fire::<Authorisation>(|store, due| {
        Box::pin(async move {
            let id = due.stream.uuid().ok_or_else(|| FireError::NotAStream(due.stream.clone()))?;
            let deadline = due.deadline;
            fire_in(&store, &due, move |unit| {
                Box::pin(async move {
                    let fired = AuthorisationCommand::FireDeadline(deadline);
                    Ok(!apply(unit, id, fired).await?.is_empty())
                })
            })
            .await
        })
    })
}
