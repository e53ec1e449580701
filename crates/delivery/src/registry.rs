//! Which handlers are known, and which of them are behind: to read the history before they are fed.

use sqlx::PgPool;

use crate::identity::Identity;

/// Registers the handler; one that was not known is behind. Returns whether it is behind.
pub(crate) async fn register(pool: &PgPool, identity: Identity<'_>) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "insert into handler (name, source, behind, behind_reason) values ($1, $2, true, 'new')
         on conflict do nothing",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .execute(pool)
    .await?;
    sqlx::query_scalar("select behind from handler where name = $1 and source = $2")
        .bind(identity.handler)
        .bind(identity.source)
        .fetch_one(pool)
        .await
}

pub(crate) async fn mark_behind(
    pool: &PgPool,
    identity: Identity<'_>,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update handler set behind = $3 is not null, behind_reason = $3, changed_at = now()
         where name = $1 and source = $2",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(reason)
    .execute(pool)
    .await?;
    Ok(())
}
