//! The rail's adapter → saga → account: another bank pays, has paid, or will not.

use async_trait::async_trait;
use contract::incoming::{self, IncomingEvent, IncomingReceived};
use delivery::{HandleError, Handler, Subscription};
use event::{Aggregate, Context, RecordedEvent};
use event_store::{ExecuteError, UnitOfWork};
use ledger::{Account, AccountCommand, AccountRefusal, account_of};
use uuid::Uuid;

use crate::consequences::ApplyError;
use crate::{Incoming, IncomingCommand, Limits, apply};

/// ISO 20022 `ExternalStatusReason1Code`: the creditor's account number is incorrect.
const NO_SUCH_ACCOUNT: &str = "AC01";
/// Of the same: a currency, or an amount, that is not allowed, and an amount of nothing.
const OTHER_CURRENCY: &str = "AM03";
const TOO_LARGE: &str = "AM02";
const NOTHING: &str = "AM01";
/// `ExternalReturnReason1Code`: not specified.
const NOTHING_ELSE: &str = "MS03";

/// Listens to the adapter that whoever composes the services has chosen.
pub struct Arrivals {
    pub adapter: &'static str,
    pub limits: Limits,
}

#[async_trait]
impl Handler for Arrivals {
    fn name(&self) -> &'static str {
        "incoming.arrivals"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: self.adapter, categories: &[incoming::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        match heard_of(event.decode()?, self.limits) {
            Heard::Payment(payment) => self.receive(payment, unit).await,
            Heard::News(payment_id, command) => {
                let command = with_the_accounts_word(payment_id, command, unit).await?;
                Ok(apply(unit, payment_id, command).await.map(drop)?)
            }
        }
    }
}

impl Arrivals {
    async fn receive(
        &self,
        payment: Box<IncomingReceived>,
        unit: &mut UnitOfWork,
    ) -> Result<(), HandleError> {
        let id = payment.payment_id;
        let decision = match unit.state::<Incoming>(id).await? {
            // What was decided once is not asked of the account again.
            Some(known) => known.account_id.ok_or_else(String::new),
            None => expect(&payment, unit).await?,
        };
        let settle_within = self.limits.settlement;
        let receive = IncomingCommand::Receive { payment, decision, settle_within };
        unit.execute::<Incoming>(id, receive)
            .await
            .map(drop)
            .map_err(|error| ApplyError::of_saga(error).into())
    }
}

/// Asks the account before the saga decides that it is credited: money that has come and that it cannot take goes back.
async fn with_the_accounts_word(
    payment_id: Uuid,
    command: IncomingCommand,
    unit: &mut UnitOfWork,
) -> Result<IncomingCommand, HandleError> {
    let IncomingCommand::RecordSettled { uetr, settled_at, return_within, .. } = command else {
        return Ok(command);
    };
    let account_id = unit.state::<Incoming>(payment_id).await?.and_then(|incoming| incoming.account_id);
    let account = match account_id {
        Some(account_id) => unit.state::<Account>(account_id).await?,
        None => None,
    };
    let refusal = account.and_then(|account| refusal_of(&account, payment_id, unit.context()));
    Ok(IncomingCommand::RecordSettled { uetr, settled_at, refusal, return_within })
}

/// Why an account cannot take what it has expected. None: it can, or has never expected it.
pub fn refusal_of(account: &Account, payment_id: Uuid, context: &Context) -> Option<String> {
    let post = AccountCommand::PostCredit { payment_id };
    match Account::decide(Some(account), post, context) {
        Ok(_) | Err(AccountRefusal::NotExpected) => None,
        Err(refusal) => Some(reason_code(&refusal).unwrap_or(NOTHING_ELSE).to_owned()),
    }
}

/// The account that will be credited, or the code of the reason why none can be.
async fn expect(
    payment: &IncomingReceived,
    unit: &mut UnitOfWork,
) -> Result<Result<Uuid, String>, HandleError> {
    let Some(account_id) = account_of(unit.connection(), payment.creditor.account.expose()).await? else {
        return Ok(Err(NO_SUCH_ACCOUNT.to_owned()));
    };
    let expected = AccountCommand::ExpectCredit { payment_id: payment.payment_id, amount: payment.amount };
    match unit.execute::<Account>(account_id, expected).await {
        Ok(_) => Ok(Ok(account_id)),
        Err(ExecuteError::Store(error)) => Err(error.into()),
        Err(ExecuteError::Refused(refusal)) => {
            let code = reason_code(&refusal);
            let failed = || HandleError::Failed(format!("the account: {refusal}"));
            code.map(|code| Err(code.to_owned())).ok_or_else(failed)
        }
    }
}

/// What a bank is told of an account's refusal; None: it is none of its business.
pub fn reason_code(refusal: &AccountRefusal) -> Option<&'static str> {
    match refusal {
        AccountRefusal::NotOpen => Some(NO_SUCH_ACCOUNT),
        AccountRefusal::OtherCurrency(_) => Some(OTHER_CURRENCY),
        AccountRefusal::BalanceTooLarge => Some(TOO_LARGE),
        AccountRefusal::AmountNotPositive => Some(NOTHING),
        _ => None,
    }
}

/// What the adapter's word is to the saga.
pub enum Heard {
    Payment(Box<IncomingReceived>),
    News(Uuid, IncomingCommand),
}

pub fn heard_of(event: IncomingEvent, limits: Limits) -> Heard {
    match event {
        IncomingEvent::IncomingReceived(payment) => Heard::Payment(Box::new(payment)),
        IncomingEvent::IncomingSettled(event) => {
            let (uetr, settled_at, return_within) = (event.uetr, event.settled_at, limits.payment_return);
            let refusal = None;
            let settled = IncomingCommand::RecordSettled { uetr, settled_at, refusal, return_within };
            Heard::News(event.payment_id, settled)
        }
        IncomingEvent::IncomingCancelled(event) => {
            let (uetr, reason_code) = (event.uetr, event.reason_code);
            Heard::News(event.payment_id, IncomingCommand::RecordCancelled { uetr, reason_code })
        }
        IncomingEvent::IncomingOutcomeUnknown(event) => {
            Heard::News(event.payment_id, IncomingCommand::RecordUndetermined { uetr: event.uetr })
        }
        IncomingEvent::IncomingContradicted(event) => {
            let (uetr, status) = (event.uetr, event.status);
            Heard::News(event.payment_id, IncomingCommand::RecordContradicted { uetr, status })
        }
        IncomingEvent::ReturnSettled(event) => {
            let (uetr, return_id) = (event.uetr, event.return_id);
            Heard::News(event.payment_id, IncomingCommand::RecordReturnSettled { uetr, return_id })
        }
        IncomingEvent::ReturnRejected(event) => {
            let (uetr, return_id, reason_code) = (event.uetr, event.return_id, event.reason_code);
            let rejected = IncomingCommand::RecordReturnRejected { uetr, return_id, reason_code };
            Heard::News(event.payment_id, rejected)
        }
        IncomingEvent::ReturnOutcomeUnknown(event) => {
            let (uetr, return_id) = (event.uetr, event.return_id);
            Heard::News(event.payment_id, IncomingCommand::RecordReturnUndetermined { uetr, return_id })
        }
    }
}
