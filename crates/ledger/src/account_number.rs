//! Whose an account number is.

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
