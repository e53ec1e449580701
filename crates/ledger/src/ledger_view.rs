//! The ledger: every posting, and the totals of each account. Their sum is zero per currency.

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;

use crate::AccountEvent;

/// Writes `ledger_posting` and `ledger_balance` (migrations/core/1001_ledger.sql).
pub struct LedgerView;

#[async_trait]
impl Handler for LedgerView {
    fn name(&self) -> &'static str {
        "ledger"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &["account"] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let decoded: AccountEvent = event.decode()?;
        let postings = decoded.postings();
        if postings.is_empty() {
            return Ok(());
        }
        let accounts: Vec<String> = postings.iter().map(|posting| posting.account.to_string()).collect();
        let currencies: Vec<&str> = postings.iter().map(|posting| posting.amount.currency().code()).collect();
        let amounts: Vec<i64> = postings.iter().map(|posting| posting.amount.minor()).collect();
        sqlx::query(
            "with posting as (
                 select * from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality
                     as posting (account, currency, amount, n)
             ), written as (
                 insert into ledger_posting (event_id, n, ledger_account, currency, amount, recorded_at)
                 select $4, n, account, currency, amount, $5 from posting
             )
             insert into ledger_balance (ledger_account, currency, amount)
             select account, currency, sum(amount) from posting group by account, currency
             order by account, currency
             on conflict (ledger_account, currency)
                 do update set amount = ledger_balance.amount + excluded.amount",
        )
        .bind(accounts)
        .bind(currencies)
        .bind(amounts)
        .bind(event.id)
        .bind(jiff_sqlx::Timestamp::from(event.recorded_at))
        .execute(unit.connection())
        .await?;
        Ok(())
    }

    /// The internal accounts' totals are rows that all postings meet in.
    fn concurrency(&self) -> usize {
        1
    }
}
