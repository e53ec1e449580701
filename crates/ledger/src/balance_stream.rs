//! Derives `account.v1` from `account`.

use async_trait::async_trait;
use contract::account::{self, BalanceChanged};
use delivery::{HandleError, Handler, Subscription};
use event::{DomainEvent, RecordedEvent, StreamName};
use event_store::UnitOfWork;

use crate::AccountEvent;

pub struct BalanceStream;

#[async_trait]
impl Handler for BalanceStream {
    fn name(&self) -> &'static str {
        "account.v1"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["account"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let decoded: AccountEvent = event.decode()?;
        if decoded.postings().is_empty() {
            return Ok(());
        }
        let account_id = event
            .stream
            .uuid()
            .ok_or_else(|| HandleError::Failed(format!("{} is no account", event.stream)))?;
        let balances = decoded.balances();
        let available = balances.available().map_err(|error| HandleError::Failed(error.to_string()))?;
        let changed = BalanceChanged {
            account_id,
            posted: balances.posted,
            reserved: balances.reserved,
            available,
            reason: decoded.event_type().to_owned(),
        };
        let stream = StreamName::of(account::CATEGORY, account_id);
        unit.append_external(stream, &account::AccountEvent::from(changed), event).await?;
        Ok(())
    }
}
