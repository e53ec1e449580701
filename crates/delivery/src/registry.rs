//! Which handlers are known, and which of them are behind: to read the history before they are fed.

use sqlx::PgPool;

use crate::identity::Identity;

/// Registers the handler; one that was not known is behind, and so is one that was fed from elsewhere, or with other
/// categories, before: what that had taken on and not delivered, nobody else will. Returns whether it is behind.
pub(crate) async fn register(
    pool: &PgPool,
    identity: Identity<'_>,
    fed_by: &str,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "insert into handler (name, source, fed_by, behind, behind_reason) values ($1, $2, $3, true, 'new')
         on conflict (name, source) do update set
             behind = handler.behind or handler.fed_by <> excluded.fed_by,
             behind_reason = case when handler.fed_by <> excluded.fed_by then 'fed from elsewhere before'
                                  else handler.behind_reason end,
             fed_by = excluded.fed_by
         returning behind",
    )
    .bind(identity.handler)
    .bind(identity.source)
    .bind(fed_by)
    .fetch_one(pool)
    .await
}

/// Says of all other handlers of a database that they are behind: what is delivered meanwhile, they do not hear of.
pub async fn leave_out_others(pool: &PgPool, running: &[&str]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update handler set behind = true, behind_reason = 'it was not running', changed_at = now()
         where not name = any($1) and not behind",
    )
    .bind(running)
    .execute(pool)
    .await?;
    Ok(())
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
