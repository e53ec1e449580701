//! Asking for a transfer: one append over the streams of the transfer and its accounts.

use contract::payment::Party;
use event::{Deadline, Personal};
use event_store::{ExecuteError, UnitOfWork};
use ledger::{Account, AccountCommand, AccountEvent, AccountRefusal};
use money::Money;
use uuid::Uuid;

use crate::{Beneficiary, FailureReason, Limits, Requested, Transfer, TransferCommand};

/// What a customer asks for.
#[derive(Debug, Clone)]
pub struct TransferRequest {
    /// Made for this request.
    pub transfer_id: Uuid,
    pub from_account: Uuid,
    pub to: Beneficiary,
    pub amount: Money,
    pub remittance: Option<Personal<String>>,
}

/// A request that no transfer comes of: nothing is recorded but the request itself.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("the account to pay from does not exist")]
    UnknownFromAccount,
    #[error("the account to pay to does not exist")]
    UnknownToAccount,
    #[error("an account cannot pay itself")]
    SelfTransfer,
    #[error("the accounts are held in {from} and {to}")]
    AccountsDiffer { from: money::Currency, to: money::Currency },
    #[error("the account to pay from: {0}")]
    FromAccount(AccountRefusal),
    #[error("the account to pay to: {0}")]
    ToAccount(AccountRefusal),
    #[error(transparent)]
    Store(#[from] event_store::Error),
}

/// Decides the request within `unit`; what is decided stands once the unit commits. A refusal for want of money is
/// a transfer that has failed.
pub async fn request(
    unit: &mut UnitOfWork,
    request: TransferRequest,
    limits: Limits,
) -> Result<Transfer, RequestError> {
    unit.expect_new::<Transfer>(request.transfer_id);
    let from = unit.state::<Account>(request.from_account).await?.ok_or(RequestError::UnknownFromAccount)?;
    let command = match request.to {
        Beneficiary::Account { account_id } => book(unit, &request, account_id, &from).await?,
        Beneficiary::Bank { .. } => reserve(unit, &request, &from, limits).await?,
    };
    execute(unit, request.transfer_id, command).await?;
    unit.state(request.transfer_id).await?.ok_or(RequestError::Store(event_store::Error::Conflict))
}

async fn reserve(
    unit: &mut UnitOfWork,
    request: &TransferRequest,
    from: &Account,
    limits: Limits,
) -> Result<TransferCommand, RequestError> {
    let reserve = AccountCommand::Reserve { reservation_id: request.transfer_id, amount: request.amount };
    let events = account(unit, from.id, reserve, RequestError::FromAccount).await?;
    if events.iter().any(|event| matches!(event, AccountEvent::ReservationRejected(_))) {
        let reason = FailureReason::InsufficientFunds;
        return Ok(TransferCommand::RequestRefused { request: requested(request, from, None), reason });
    }
    let deadline = Deadline::after(limits.reservation, unit.context());
    Ok(TransferCommand::Request(requested(request, from, Some(deadline))))
}

async fn book(
    unit: &mut UnitOfWork,
    request: &TransferRequest,
    to: Uuid,
    from: &Account,
) -> Result<TransferCommand, RequestError> {
    if to == from.id {
        return Err(RequestError::SelfTransfer);
    }
    let payee = unit.state::<Account>(to).await?.ok_or(RequestError::UnknownToAccount)?;
    if payee.currency() != from.currency() {
        return Err(RequestError::AccountsDiffer { from: from.currency(), to: payee.currency() });
    }
    let (transfer_id, amount) = (request.transfer_id, request.amount);
    let debit = AccountCommand::Debit { transfer_id, amount };
    let events = account(unit, from.id, debit, RequestError::FromAccount).await?;
    let rejected = events.iter().any(|event| matches!(event, AccountEvent::DebitRejected(_)));
    let outcome = if rejected {
        Err(FailureReason::InsufficientFunds)
    } else {
        let credit = AccountCommand::Credit { transfer_id, amount };
        account(unit, to, credit, RequestError::ToAccount).await?;
        Ok(())
    };
    Ok(TransferCommand::Book { request: requested(request, from, None), outcome })
}

/// The identifiers are fixed here, once, for every attempt that may ever be made.
fn requested(request: &TransferRequest, from: &Account, deadline: Option<Deadline>) -> Requested {
    Requested {
        transfer_id: request.transfer_id,
        from_account: request.from_account,
        to: request.to.clone(),
        amount: request.amount,
        remittance: request.remittance.clone(),
        debtor: Party { iban: from.iban.clone(), name: from.owner_name.clone() },
        uetr: contract::uetr_of(request.transfer_id),
        // ISO 20022 allows 35 characters: a UUID without its dashes.
        end_to_end_id: request.transfer_id.simple().to_string(),
        deadline,
    }
}

async fn account(
    unit: &mut UnitOfWork,
    id: Uuid,
    command: AccountCommand,
    refused: fn(AccountRefusal) -> RequestError,
) -> Result<Vec<AccountEvent>, RequestError> {
    unit.execute::<Account>(id, command).await.map_err(|error| match error {
        ExecuteError::Refused(refusal) => refused(refusal),
        ExecuteError::Store(error) => RequestError::Store(error),
    })
}

/// A transfer with this id exists: another try of the same request was first, which a rerun will see.
async fn execute(unit: &mut UnitOfWork, id: Uuid, command: TransferCommand) -> Result<(), RequestError> {
    unit.execute::<Transfer>(id, command).await.map(drop).map_err(|error| match error {
        ExecuteError::Refused(_) => RequestError::Store(event_store::Error::Conflict),
        ExecuteError::Store(error) => RequestError::Store(error),
    })
}
