//! A settled book transfer is taken back: one append over the streams of the transfer and its accounts.

use event_store::UnitOfWork;
use ledger::{Account, AccountCommand, InternalAccount};
use money::Money;
use uuid::Uuid;

use crate::{ApplyError, Beneficiary, Transfer, TransferCommand, TransferRefusal, apply};

/// What the payee's account does not cover, is not taken back.
pub async fn reverse(
    unit: &mut UnitOfWork,
    transfer_id: Uuid,
    correction_id: Uuid,
) -> Result<(), ApplyError> {
    let transfer = unit.state::<Transfer>(transfer_id).await?;
    let request = transfer.ok_or(ApplyError::Refused(TransferRefusal::NotRequested))?.request;
    let Beneficiary::Account { account_id: payee } = request.to else {
        return Err(ApplyError::Refused(TransferRefusal::NothingToReverse));
    };
    apply(unit, transfer_id, TransferCommand::Reverse { correction_id }).await?;
    let back = request.amount.negated().map_err(|error| ApplyError::Other(error.to_string()))?;
    adjust(unit, payee, correction_id, back).await?;
    adjust(unit, request.from_account, correction_id, request.amount).await
}

async fn adjust(
    unit: &mut UnitOfWork,
    account: Uuid,
    correction_id: Uuid,
    amount: Money,
) -> Result<(), ApplyError> {
    let against = InternalAccount::InTransit;
    let adjust = AccountCommand::Adjust { correction_id, amount, against };
    unit.execute::<Account>(account, adjust).await.map(drop).map_err(ApplyError::of_account)
}
