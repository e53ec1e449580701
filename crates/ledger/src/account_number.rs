//! Whose an account number is.

use sqlx::PgConnection;
use uuid::Uuid;

/// The account with this number, by the index of migrations/core/1004_account_number.sql: as of the last commit, and never of two
/// accounts. None: nobody has it here.
pub async fn account_of(connection: &mut PgConnection, number: &str) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select substr(stream, length('account-') + 1)::uuid from event where type = 'Opened' and data->>'iban' = $1",
    )
    .bind(number)
    // Planned each time: a plan of the table's first minutes would scan it for ever.
    .persistent(false)
    .fetch_optional(connection)
    .await
}
