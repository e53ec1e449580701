//! What is broken on purpose, so that each invariant is seen to notice.

use contract::clearing::ClearingEvent;
use ledger::{AccountCommand, AccountEvent, Balances, Debited, FundsCaptured, LedgerAccount, Posting};
use money::Money;
use transfer::{
    AttentionWithdrawn, Captured, Failed, FailureReason, OperatorAttentionRequired, Released, Requested,
    Succeeded, TransferEvent,
};
use uuid::Uuid;

use crate::world::{World, dkk};

/// A defect that a program could have. The world then does the wrong thing; the auditor knows nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// The account is not told of a release.
    SkipRelease,
    /// A hold ends twice: captured, and given back.
    CaptureAndRelease,
    /// A time-out gives the hold back although the rail's rules do not say so.
    ReleaseOnTimeout,
    /// Each attempt is a payment of its own to the rail.
    NewIdentifiers,
    /// A time-out is taken for a no: the payment fails without the rail having said so.
    TimeoutIsFailure,
    /// The deadlines of transfers are not kept.
    LoseDeadlines,
    /// What the rail has answered does not reach core.
    LoseAnswers,
    /// A capture takes a little more than was held.
    CaptureMore,
    /// One leg of a posting is missing.
    OneLeggedPosting,
    /// An account pays without looking at what it has.
    Overdraw,
    /// A deadline fires as soon as it is set.
    FireEarly,
    /// Once the adapter has given up, the rail's deadline rule is forgotten.
    ForgetTheRule,
    /// A transfer succeeds by the time-out alone.
    TimeoutIsSuccess,
    /// A payment is taken from the account once more.
    CaptureTwice,
    /// What has come back is credited once more.
    CreditReturnTwice,
    /// What has come back is not credited.
    SkipReturnCredit,
    /// What has come back does not reach core.
    LoseReturns,
    /// Whoever was to look at what a customer owes is told that it is done.
    ForgetTheDebt,
    /// What another bank has paid is credited once more.
    CreditTwice,
    /// The account is not told that the money has come.
    SkipCredit,
    /// The account is not told that the money will not come.
    SkipVoid,
    /// The customer can spend what we have accepted, and nobody has settled.
    CreditOnAcceptance,
    /// The settlement of an incoming payment does not reach core.
    LoseNews,
}

impl Defect {
    pub const ALL: [Self; 23] = [
        Self::SkipRelease,
        Self::CaptureAndRelease,
        Self::ReleaseOnTimeout,
        Self::NewIdentifiers,
        Self::TimeoutIsFailure,
        Self::LoseDeadlines,
        Self::LoseAnswers,
        Self::CaptureMore,
        Self::OneLeggedPosting,
        Self::Overdraw,
        Self::FireEarly,
        Self::ForgetTheRule,
        Self::TimeoutIsSuccess,
        Self::CaptureTwice,
        Self::CreditReturnTwice,
        Self::SkipReturnCredit,
        Self::LoseReturns,
        Self::ForgetTheDebt,
        Self::CreditTwice,
        Self::SkipCredit,
        Self::SkipVoid,
        Self::CreditOnAcceptance,
        Self::LoseNews,
    ];
}

impl World {
    pub(crate) fn mistake_the_time_out(&mut self, transfer: Uuid) {
        let reservation_id = transfer;
        let released = Released { reservation_id, provisional: false };
        let events: Vec<TransferEvent> = match self.defect {
            Some(Defect::ReleaseOnTimeout) => vec![Released { provisional: true, ..released }.into()],
            Some(Defect::TimeoutIsFailure) => {
                let reason = FailureReason::RejectedByClearing { reason_code: "TM01".to_owned() };
                vec![released.into(), Failed { reason }.into()]
            }
            Some(Defect::TimeoutIsSuccess) => {
                vec![Captured { reservation_id }.into(), Succeeded {}.into()]
            }
            _ => return,
        };
        let is_capture = self.defect == Some(Defect::TimeoutIsSuccess);
        let from = self.transfers.state(transfer).map(|transfer| transfer.request.from_account);
        self.transfers.append(transfer, events);
        if let Some(from) = from {
            let release = AccountCommand::Release { reservation_id };
            let capture = AccountCommand::Capture { reservation_id };
            self.account(from, if is_capture { capture } else { release });
        }
    }

    /// As if nothing was to come any more.
    pub(crate) fn forget_the_rule(&mut self, transfer: Uuid) {
        if self.defect == Some(Defect::ForgetTheRule) {
            let reason = "the adapter has given up".to_owned();
            self.transfers.append(transfer, vec![OperatorAttentionRequired { reason }.into()]);
        }
    }

    /// What the account does about a decision of the saga.
    pub(crate) fn follow(&mut self, request: &Requested, command: AccountCommand) -> Vec<AccountEvent> {
        match (self.defect, &command) {
            (Some(Defect::SkipRelease), AccountCommand::Release { .. })
            | (Some(Defect::SkipReturnCredit), AccountCommand::CreditReturn { .. }) => return vec![],
            (Some(Defect::CreditReturnTwice), AccountCommand::CreditReturn { .. }) => {
                self.account(request.from_account, command.clone());
            }
            (Some(Defect::CaptureMore), AccountCommand::Capture { .. }) => {
                return self.capture_more(request);
            }
            (Some(Defect::CaptureTwice), AccountCommand::Capture { reservation_id }) => {
                let amount = request.amount;
                let again = AccountCommand::CaptureLate { reservation_id: *reservation_id, amount };
                let captured = self.account(request.from_account, command);
                self.account(request.from_account, again);
                return captured;
            }
            (Some(Defect::CaptureAndRelease), AccountCommand::Capture { reservation_id }) => {
                let (account, reservation_id) = (request.from_account, *reservation_id);
                let captured = self.account(account, command);
                let again = AccountCommand::Reserve { reservation_id, amount: request.amount };
                self.account(account, again);
                self.account(account, AccountCommand::Release { reservation_id });
                return captured;
            }
            _ => {}
        }
        let from = request.from_account;
        let events = self.account(from, command);
        if self.defect == Some(Defect::OneLeggedPosting)
            && let Some(AccountEvent::FundsCaptured(event)) =
                self.accounts.events.get_mut(&from).and_then(|events| events.last_mut())
        {
            event.postings.truncate(1);
        }
        events
    }

    pub(crate) fn forget_the_debt(&mut self, transfer: Uuid, is_covered: bool) {
        if self.defect == Some(Defect::ForgetTheDebt) && !is_covered {
            let withdrawn = AttentionWithdrawn { reason: "done".to_owned(), remaining: vec![] };
            self.transfers.append(transfer, vec![withdrawn.into()]);
        }
    }

    pub(crate) fn is_lost(&self, event: &ClearingEvent) -> bool {
        match self.defect {
            Some(Defect::LoseAnswers) => true,
            Some(Defect::LoseReturns) => matches!(event, ClearingEvent::PaymentReturned(_)),
            _ => false,
        }
    }

    fn capture_more(&mut self, request: &Requested) -> Vec<AccountEvent> {
        let (from, reservation_id) = (request.from_account, request.transfer_id);
        let Some(account) = self.accounts.state(from) else { return vec![] };
        let amount = dkk(request.amount.minor() + 1);
        let posted = dkk(account.balances.posted.minor() - amount.minor());
        let reserved = dkk(account.balances.reserved.minor() - amount.minor());
        let postings = pair(amount, LedgerAccount::Reserved(from), LedgerAccount::Settlement);
        let balances = Balances { posted, reserved };
        let event: AccountEvent = FundsCaptured { reservation_id, amount, postings, balances }.into();
        self.accounts.append(from, vec![event.clone()]);
        vec![event]
    }

    pub(crate) fn overdraw(&mut self, id: Uuid, transfer_id: Uuid, amount: Money) {
        let Some(account) = self.accounts.state(id) else { return };
        let posted = dkk(account.balances.posted.minor() - amount.minor());
        let postings = pair(amount, LedgerAccount::Available(id), LedgerAccount::InTransit);
        let balances = Balances { posted, ..account.balances };
        self.accounts.append(id, vec![Debited { transfer_id, amount, postings, balances }.into()]);
    }
}

fn pair(amount: Money, from: LedgerAccount, to: LedgerAccount) -> Vec<Posting> {
    Posting::pair(amount, from, to).unwrap_or_default()
}
