//! Whose things are: what a customer asks about is theirs, or it is not there.

use access::Principal;
use authorisation::{Authorisation, Card};
use event::{Aggregate, StreamName};
use event_store::Store;
use incoming::Incoming;
use ledger::{Account, accounts_of};
use transfer::Transfer;
use uuid::Uuid;

use crate::{Problem, accounts, card_authorisations, cards, customers, incoming_payments, page, transfers};

/// Accounts of one customer, on a list.
const ACCOUNTS_MAX: u32 = 100;

/// What the `{id}` of a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Thing {
    Customer,
    Account,
    Transfer,
    IncomingPayment,
    Card,
    CardAuthorisation,
    /// There is no `{id}`: the handler looks at who asks.
    Asked,
}

impl Thing {
    /// Goes on where it is this customer's. What is not there, and what is another's, cannot be told from each other.
    pub(crate) async fn check(self, id: Option<Uuid>, customer: Uuid, store: &Store) -> Result<(), Problem> {
        if self == Self::Asked {
            return Ok(());
        }
        let Some(id) = id else { return Err(self.unknown()) };
        match self.owner(id, store).await? {
            Some(owner) if owner == customer => Ok(()),
            _ => Err(self.unknown()),
        }
    }

    async fn owner(self, id: Uuid, store: &Store) -> Result<Option<Uuid>, event_store::Error> {
        let account = match self {
            Self::Asked => return Ok(None),
            Self::Customer => return Ok(Some(id)),
            Self::Account => Some(id),
            Self::Transfer => {
                store.load::<Transfer>(id).await?.0.map(|transfer| transfer.request.from_account)
            }
            Self::IncomingPayment => {
                store.load::<Incoming>(id).await?.0.and_then(|payment| payment.account_id)
            }
            Self::Card => store.load::<Card>(id).await?.0.map(|card| card.account_id),
            Self::CardAuthorisation => {
                store.load::<Authorisation>(id).await?.0.and_then(|payment| payment.account_id)
            }
        };
        let Some(account) = account else { return Ok(None) };
        Ok(store.load::<Account>(account).await?.0.and_then(|account| account.customer_id))
    }

    fn unknown(self) -> Problem {
        match self {
            Self::Customer => customers::unknown(),
            Self::Account => accounts::unknown(),
            Self::Transfer => transfers::unknown(),
            Self::IncomingPayment => incoming_payments::unknown(),
            Self::Card => cards::unknown(),
            Self::CardAuthorisation | Self::Asked => card_authorisations::unknown(),
        }
    }
}

/// Whether a stream is about something of this customer's.
pub(crate) async fn is_owned(
    stream: &StreamName,
    customer: Uuid,
    store: &Store,
) -> Result<bool, event_store::Error> {
    let thing = match stream.category() {
        Transfer::CATEGORY => Thing::Transfer,
        Incoming::CATEGORY => Thing::IncomingPayment,
        Authorisation::CATEGORY => Thing::CardAuthorisation,
        _ => return Ok(false),
    };
    let Some(id) = stream.uuid() else { return Ok(false) };
    Ok(thing.owner(id, store).await? == Some(customer))
}

/// The accounts whose things a list shows. None: whatever there is.
pub(crate) async fn accounts_in_sight(
    store: &Store,
    asker: &Principal,
    asked: Option<Uuid>,
) -> Result<Option<Vec<Uuid>>, Problem> {
    let Some(customer) = asker.customer() else { return Ok(asked.map(|account| vec![account])) };
    if let Some(account) = asked {
        let is_theirs = Thing::Account.owner(account, store).await? == Some(customer);
        return Ok(Some(if is_theirs { vec![account] } else { Vec::new() }));
    }
    let theirs = accounts_of(store, customer, None, ACCOUNTS_MAX + 1).await?;
    if theirs.len() > usize::try_from(ACCOUNTS_MAX).unwrap_or(usize::MAX) {
        return Err(page::invalid(
            "there are too many accounts to look at all: name one, with `account`".to_owned(),
        ));
    }
    Ok(Some(theirs))
}
