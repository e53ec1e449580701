//! Accounts and their postings.
//!
//! An account is a long-lived stream. Every event that moves money carries balanced postings, counter-leg
//! included; the internal accounts (funding, settlement, in transit, suspense) are projections of those postings and not
//! streams, so that none of them becomes hot.

mod posting;
pub use posting::{InternalAccount, LedgerAccount, Posting, postings_balance};

mod account_event;
pub use account_event::{
    AccountEvent, Adjusted, Balances, CapturePosted, CreditPending, CreditPosted, CreditVoided, Credited,
    DebitRejected, Debited, Deposited, FundsCaptured, FundsReleased, FundsReserved, LateCaptured, Opened,
    ReceivableBooked, ReceivableCleared, RefundCredited, RejectionReason, ReservationAdjusted,
    ReservationRejected, ReturnCredited,
};

mod account;
pub use account::{Account, AccountCommand, AccountRefusal};

mod entry;
pub use entry::Entry;

mod apply_error;
pub use apply_error::ApplyError;

mod account_number;
pub use account_number::{account_of, accounts_of, is_number_taken};

mod ledger_view;
pub use ledger_view::LedgerView;

mod balance_stream;
pub use balance_stream::BalanceStream;
