//! The ledger: every posting, and the totals of each account. Their sum is zero per currency.

use async_trait::async_trait;
use delivery::{HandleError, Subscription};
use event::{DecodeError, RecordedEvent};
use projection::Projection;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::Posting;

/// Writes `ledger_posting` and `ledger_balance` (migrations/core/1001_ledger.sql), from whatever moves money.
pub struct LedgerView {
    pub categories: &'static [&'static str],
    /// Of an event of these.
    pub postings: fn(&RecordedEvent) -> Result<Vec<Posting>, DecodeError>,
}

#[async_trait]
impl Projection for LedgerView {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: self.categories }
    }

    async fn project(
        &self,
        events: &[&RecordedEvent],
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        if let Some(event) = events.first().filter(|_| event::mutants::active("post_nothing")) {
            return Err(HandleError::Failed(format!("{} cannot be posted", event.stream)));
        }
        let mut postings = Vec::new();
        for event in events {
            let posted = (self.postings)(event)?;
            postings.extend((1_i64..).zip(posted).map(|(n, posting)| (*event, n, posting)));
        }
        if postings.is_empty() {
            return Ok(());
        }
        let of = postings.iter();
        let ids: Vec<Uuid> = of.clone().map(|(event, ..)| event.id).collect();
        let numbers: Vec<i64> = of.clone().map(|(_, n, _)| *n).collect();
        let accounts: Vec<String> = of.clone().map(|(.., posting)| posting.account.to_string()).collect();
        let currencies: Vec<&str> =
            of.clone().map(|(.., posting)| posting.amount.currency().code()).collect();
        let amounts: Vec<i64> = of.clone().map(|(.., posting)| posting.amount.minor()).collect();
        let times: Vec<jiff_sqlx::Timestamp> =
            of.map(|(event, ..)| jiff_sqlx::Timestamp::from(event.recorded_at)).collect();
        sqlx::query(
            "with posting as (
                 select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
                     as posting (event_id, n, account, currency, amount, recorded_at)
             ), written as (
                 insert into ledger_posting (event_id, n, ledger_account, currency, amount, recorded_at)
                 select event_id, n, account, currency, amount, recorded_at from posting
             )
             insert into ledger_balance (ledger_account, currency, amount)
             select account, currency, sum(amount) from posting group by account, currency
             order by account, currency
             on conflict (ledger_account, currency)
                 do update set amount = ledger_balance.amount + excluded.amount",
        )
        .bind(ids)
        .bind(numbers)
        .bind(accounts)
        .bind(currencies)
        .bind(amounts)
        .bind(times)
        .execute(connection)
        .await?;
        Ok(())
    }
}
