//! The schema of a service database: what all have, and what the service adds.

use sqlx::PgPool;
use sqlx::migrate::Migrator;

use crate::Error;

/// `migrations/`: for every service database.
static EVERY_SERVICE: Migrator = sqlx::migrate!("../../migrations");
/// `migrations/core/`: the tables of `core`. Numbered from 1001, as both keep their record in one table.
static CORE: Migrator = sqlx::migrate!("../../migrations/core");

/// Brings the database of `service` to the current schema. Connect as the owner.
pub async fn migrate(pool: &PgPool, service: &str) -> Result<(), Error> {
    let own: &[&Migrator] = match service {
        "core" => &[&CORE],
        _ => &[],
    };
    let every = [&EVERY_SERVICE];
    for migrator in every.into_iter().chain(own.iter().copied()) {
        let mut migrator = Migrator { migrations: migrator.migrations.clone(), ..Migrator::DEFAULT };
        migrator.set_ignore_missing(true).run(pool).await?;
    }
    Ok(())
}
