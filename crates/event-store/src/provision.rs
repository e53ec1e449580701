//! Makes a service's database and the three roles that touch it. Needs a superuser; done once per service.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::{Error, migrate};

/// Owns the tables and runs migrations.
pub const OWNER_ROLE: &str = "lunaria_owner";
/// Appends through `append_events`, reads, and keeps cursors and projections.
pub const APPLICATION_ROLE: &str = "lunaria_app";
/// Reads the replication slot.
pub const RELAY_ROLE: &str = "lunaria_relay";

/// The roles' passwords. Letters and digits only.
#[derive(Clone)]
pub struct Passwords {
    pub owner: String,
    pub application: String,
    pub relay: String,
}

/// Creates roles and database where they are missing, sets the passwords, and migrates. Safe to repeat.
pub async fn provision(
    superuser: &PgConnectOptions,
    database: &str,
    service: &str,
    passwords: &Passwords,
) -> Result<(), Error> {
    let mut connection = PgConnection::connect_with(superuser).await?;
    // Roles belong to the whole cluster: one provisioning at a time.
    sqlx::query("select pg_advisory_lock(hashtext('lunaria provision'))").execute(&mut connection).await?;
    for (role, rights, password) in [
        (OWNER_ROLE, "", &passwords.owner),
        (APPLICATION_ROLE, "", &passwords.application),
        (RELAY_ROLE, "replication", &passwords.relay),
    ] {
        create_role(&mut connection, role, rights, password).await?;
    }
    // How far standbys are, and when the leading relay has last replied, is shown to nobody else.
    let grant = format!("grant pg_read_all_stats to {RELAY_ROLE}");
    sqlx::query(AssertSqlSafe(grant)).execute(&mut connection).await?;
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(database)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        let create = format!("create database {} owner {OWNER_ROLE} template template0", quoted(database));
        sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await?;
        let revoke = format!("revoke all on database {} from public", quoted(database));
        sqlx::query(AssertSqlSafe(revoke)).execute(&mut connection).await?;
        let grant =
            format!("grant connect on database {} to {APPLICATION_ROLE}, {RELAY_ROLE}", quoted(database));
        sqlx::query(AssertSqlSafe(grant)).execute(&mut connection).await?;
    }
    connection.close().await?;
    migrate(&owner_pool(superuser, database, passwords).await?, service).await
}

async fn owner_pool(
    superuser: &PgConnectOptions,
    database: &str,
    passwords: &Passwords,
) -> Result<PgPool, Error> {
    let owner = superuser.clone().database(database).username(OWNER_ROLE).password(&passwords.owner);
    Ok(PgPoolOptions::new().max_connections(1).connect_with(owner).await?)
}

async fn create_role(
    connection: &mut PgConnection,
    role: &str,
    rights: &str,
    password: &str,
) -> Result<(), Error> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    let verb = if exists { "alter" } else { "create" };
    let password = password.replace('\'', "''");
    let statement = format!("{verb} role {role} login {rights} password '{password}'");
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
