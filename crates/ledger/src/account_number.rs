//! Whose an account number is, and which accounts are whose: by indexes over the events themselves, so that nothing is known too late.

use event_store::Store;
use sqlx::PgConnection;
use uuid::Uuid;

/// The account with this number, by the index of migrations/core/1004_account_number.sql: as of the last commit. None: nobody has it here, or
/// more than one, as could be before numbers were looked up, and then it is nobody's.
pub async fn account_of(connection: &mut PgConnection, number: &str) -> Result<Option<Uuid>, sqlx::Error> {
    let found: Vec<Uuid> = sqlx::query_scalar(
        "select substr(stream, length('account-') + 1)::uuid from event
         where type = 'Opened' and stream like 'account-%' and data->>'iban' = $1 limit 2",
    )
    .bind(number)
    // Planned each time: a plan of the table's first minutes would scan it for ever.
    .persistent(false)
    .fetch_all(connection)
    .await?;
    Ok(match found[..] {
        [account] => Some(account),
        _ => None,
    })
}

/// Whether an account has this number, or several have.
pub async fn is_number_taken(connection: &mut PgConnection, number: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (select from event where type = 'Opened' and stream like 'account-%' and data->>'iban' = $1)",
    )
    .bind(number)
    .persistent(false)
    .fetch_one(connection)
    .await
}

/// A customer's accounts, in the order of their ids, by the index of migrations/core/1010_customer.sql.
pub async fn accounts_of(
    store: &Store,
    customer: Uuid,
    after: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Uuid>, event_store::Error> {
    let accounts = sqlx::query_scalar(
        "select substr(stream, length('account-') + 1)::uuid from event
         where type = 'Opened' and stream like 'account-%' and data ? 'customer_id' and data->>'customer_id' = $1
           and stream > 'account-' || coalesce($2::uuid::text, '')
         order by stream limit $3",
    )
    .bind(customer.to_string())
    .bind(after)
    .bind(i64::from(limit))
    .persistent(false)
    .fetch_all(store.pool())
    .await?;
    Ok(accounts)
}
