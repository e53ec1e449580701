//! What a decision of the saga does to the credit line and the accounts: in the same transaction, so that none can be without the others.

use event::{Aggregate, Context, Deadline};
use event_store::{ExecuteError, FireError, Scheduler, UnitOfWork, fire_in};
use jiff::SignedDuration;
use ledger::{Account, AccountCommand, AccountEvent};
use uuid::Uuid;

use crate::{Credit, CreditCommand, CreditRefusal, Order, OrderCommand, OrderEvent, OrderRefusal, Placed};

pub type ApplyError = ledger::ApplyError<OrderRefusal>;

/// How payment is tried.
#[derive(Debug, Clone, Copy)]
pub struct PaymentPolicy {
    /// From the order on.
    pub within: SignedDuration,
    /// Between two tries.
    pub retry_pause: SignedDuration,
}

/// An order that nothing comes of: nothing is recorded but the request itself.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    #[error("the account to pay from does not exist")]
    UnknownFromAccount,
    #[error("the account to pay to does not exist")]
    UnknownToAccount,
    #[error("an account cannot pay itself")]
    SelfPayment,
    #[error("the accounts and the order are not in one currency")]
    CurrenciesDiffer,
    #[error("{0}")]
    Credit(CreditRefusal),
    #[error(transparent)]
    Store(#[from] event_store::Error),
}

/// Places an order within `unit`: its stream and the credit line's, in one append.
pub async fn place(unit: &mut UnitOfWork, placed: Placed) -> Result<Order, PlaceError> {
    let from = unit.state::<Account>(placed.from_account).await?.ok_or(PlaceError::UnknownFromAccount)?;
    let to = unit.state::<Account>(placed.to_account).await?.ok_or(PlaceError::UnknownToAccount)?;
    if from.id == to.id {
        return Err(PlaceError::SelfPayment);
    }
    let currency = placed.amount.currency();
    if from.currency() != currency || to.currency() != currency {
        return Err(PlaceError::CurrenciesDiffer);
    }
    let (order_id, amount) = (placed.order_id, placed.amount);
    let reserve = CreditCommand::Reserve { order_id, amount };
    let reserved = unit.execute::<Credit>(placed.credit_id, reserve).await.map_err(|error| match error {
        ExecuteError::Refused(refusal) => PlaceError::Credit(refusal),
        ExecuteError::Store(error) => PlaceError::Store(error),
    })?;
    let is_covered = !reserved.iter().any(|event| matches!(event, crate::CreditEvent::CreditRejected(_)));
    unit.expect_new::<Order>(order_id);
    match unit.execute::<Order>(order_id, OrderCommand::Place { placed, is_covered }).await {
        Ok(_) => {}
        Err(ExecuteError::Store(error)) => return Err(error.into()),
        // Another try of the same request was first, which a rerun will see.
        Err(ExecuteError::Refused(_)) => return Err(event_store::Error::Conflict.into()),
    }
    unit.state(order_id).await?.ok_or(PlaceError::Store(event_store::Error::Conflict))
}

/// Decides the command, and has the credit line and the accounts do what follows from it.
pub async fn apply(
    unit: &mut UnitOfWork,
    order_id: Uuid,
    command: OrderCommand,
) -> Result<Vec<OrderEvent>, ApplyError> {
    let events = unit.execute::<Order>(order_id, command).await.map_err(ApplyError::of_saga)?;
    let Some(Order { placed, .. }) = unit.state::<Order>(order_id).await? else { return Ok(events) };
    for event in &events {
        if let Some(command) = on_credit(order_id, event) {
            let told = unit.execute::<Credit>(placed.credit_id, command).await;
            told.map_err(|error| match error {
                ExecuteError::Refused(refusal) => ApplyError::Other(format!("the credit line: {refusal}")),
                ExecuteError::Store(error) => ApplyError::Store(error),
            })?;
        }
        if matches!(event, OrderEvent::PaymentTaken(_)) {
            for (account_id, command) in payment(&placed) {
                unit.execute::<Account>(account_id, command).await.map_err(ApplyError::of_account)?;
            }
        }
    }
    Ok(events)
}

/// What the credit line has to do about an event; None: nothing.
pub fn on_credit(order_id: Uuid, event: &OrderEvent) -> Option<CreditCommand> {
    match event {
        OrderEvent::Confirmed(_) => Some(CreditCommand::Confirm { order_id }),
        OrderEvent::CreditReleased(_) if event::mutants::active("skip_compensation") => None,
        OrderEvent::CreditReleased(_) => Some(CreditCommand::Release { order_id }),
        _ => None,
    }
}

/// Both sides of a payment.
fn payment(placed: &Placed) -> [(Uuid, AccountCommand); 2] {
    let (transfer_id, amount) = (placed.order_id, placed.amount);
    [
        (placed.from_account, AccountCommand::Debit { transfer_id, amount }),
        (placed.to_account, AccountCommand::Credit { transfer_id, amount }),
    ]
}

/// Whether both accounts can do it just now, or why not.
async fn payable(unit: &mut UnitOfWork, placed: &Placed) -> Result<Result<(), String>, event_store::Error> {
    for (account_id, command) in payment(placed) {
        let account = unit.state::<Account>(account_id).await?;
        match Account::decide(account.as_ref(), command, &Context::at_rest("order")) {
            Ok(events) if events.iter().any(|event| matches!(event, AccountEvent::DebitRejected(_))) => {
                return Ok(Err("the account has not enough money".to_owned()));
            }
            Ok(_) => {}
            Err(refusal) => return Ok(Err(refusal.to_string())),
        }
    }
    Ok(Ok(()))
}

async fn pay(
    unit: &mut UnitOfWork,
    order_id: Uuid,
    deadline: Deadline,
    retry_pause: SignedDuration,
) -> Result<Vec<OrderEvent>, ApplyError> {
    let Some(order) = unit.state::<Order>(order_id).await? else { return Ok(Vec::new()) };
    let payable = payable(unit, &order.placed).await?;
    apply(unit, order_id, OrderCommand::Pay { deadline, payable, retry_pause }).await
}

/// Makes the scheduler take the payments that are due.
#[must_use]
pub fn install(scheduler: Scheduler, policy: PaymentPolicy) -> Scheduler {
    scheduler.with_fire::<Order>(move |store, due| {
        Box::pin(async move {
            let id = due.stream.uuid().ok_or_else(|| FireError::NotAStream(due.stream.clone()))?;
            let deadline = due.deadline;
            fire_in(&store, &due, move |unit| {
                Box::pin(async move { Ok(!pay(unit, id, deadline, policy.retry_pause).await?.is_empty()) })
            })
            .await
        })
    })
}
