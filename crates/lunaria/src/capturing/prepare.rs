//! `lunaria capture prepare`: what a capture needs in a database that knows nothing of us.
//!
//! A role that may replicate and read the tables, the table in which it keeps its account, and a publication. Only what
//! lacks is made, so that it can be run again, also for further tables.

use anyhow::{Context, ensure};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::cli::PrepareOptions;
use crate::config::{Capture, Config, Snapshot};
use crate::process::say;
use crate::relays::{capture_config, find_capture};

/// As our own databases have it, but for the grants to roles that do not exist elsewhere.
const STATE: &str = include_str!("../../../../migrations/0006_relay_state.sql");
const REFILL: &str = include_str!("../../../../migrations/0007_relay_refill.sql");

/// One statement; `shown` is without a password.
struct Step {
    sql: String,
    shown: String,
}

struct Plan {
    role: String,
    is_role_there: bool,
    steps: Vec<Step>,
}

pub(super) async fn run(config: &Config, options: PrepareOptions) -> anyhow::Result<()> {
    let PrepareOptions { name, superuser_url, tables, dry_run } = options;
    let capture = find_capture(&name, config)?;
    let mut connection = PgConnection::connect_with(&superuser_url.application()?)
        .await
        .with_context(|| format!("cannot connect to {superuser_url}"))?;
    let steps = plan(&mut connection, capture, &tables).await?;
    for step in &steps {
        say(&format!("{};", step.shown))?;
    }
    if dry_run {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    for step in &steps {
        let ran = sqlx::raw_sql(AssertSqlSafe(step.sql.clone())).execute(&mut *transaction).await;
        ran.with_context(|| step.shown.clone())?;
    }
    transaction.commit().await?;
    if capture.snapshot == Snapshot::Never {
        let (relay, open) = capture_config(&name, config)?;
        relay::prepare(&relay, &open).await?;
        return say(&format!("the slot {} is there: what is committed from now on is captured", relay.slot));
    }
    say(&format!("`lunaria capture run {name}` begins with a snapshot of the tables"))
}

async fn plan(
    connection: &mut PgConnection,
    capture: &Capture,
    tables: &[String],
) -> anyhow::Result<Vec<Step>> {
    let login = capture.relay_url.replication()?;
    let database: String =
        sqlx::query_scalar("select current_database()").fetch_one(&mut *connection).await?;
    ensure!(
        database == login.database,
        "the superuser's URL names the database {database}, relay_url {}",
        login.database
    );
    let can: Option<bool> = sqlx::query_scalar(
        "select rolcanlogin and (rolreplication or rolsuper) from pg_roles where rolname = $1",
    )
    .bind(&login.user)
    .fetch_optional(&mut *connection)
    .await?;
    let mut plan = Plan { role: quoted(&login.user), is_role_there: can.is_some(), steps: Vec::new() };
    let role = plan.role.clone();
    match (can, &login.password) {
        (Some(true), _) => {}
        (Some(false), _) => plan.step(format!("alter role {role} login replication")),
        (None, None) => plan.step(format!("create role {role} login replication")),
        (None, Some(password)) => {
            let create = format!("create role {role} login replication password ");
            plan.steps.push(Step {
                shown: format!("{create}'…'"),
                sql: create + &replication::literal(password.expose()),
            });
        }
    }
    plan.rights(connection, &login.user, &database).await?;
    plan.state(connection, &login.user).await?;
    plan.publication(connection, &login.user, &capture.publication(), tables).await?;
    Ok(plan.steps)
}

impl Plan {
    fn step(&mut self, sql: impl Into<String>) {
        let sql = sql.into();
        self.steps.push(Step { shown: sql.clone(), sql });
    }

    /// Plans a grant, unless `has`, a condition on the role $1 and the object $2, holds already.
    async fn grant(
        &mut self,
        connection: &mut PgConnection,
        (user, object): (&str, &str),
        has: &'static str,
        what: String,
    ) -> anyhow::Result<()> {
        let ask = sqlx::query_scalar(has).bind(user).bind(object);
        let is_granted = self.is_role_there && ask.fetch_one(connection).await?;
        if !is_granted {
            self.step(format!("grant {what} to {}", self.role));
        }
        Ok(())
    }

    async fn rights(
        &mut self,
        connection: &mut PgConnection,
        user: &str,
        database: &str,
    ) -> anyhow::Result<()> {
        let has = "select has_database_privilege($1, $2, 'connect')";
        let what = format!("connect on database {}", quoted(database));
        self.grant(connection, (user, database), has, what).await?;
        // To see when the leader of several has replied last.
        let stats = "pg_read_all_stats";
        let has = "select pg_has_role($1, $2, 'usage')";
        self.grant(connection, (user, stats), has, stats.to_owned()).await
    }

    async fn state(&mut self, connection: &mut PgConnection, user: &str) -> anyhow::Result<()> {
        let exists = "select to_regclass('public.relay_state') is not null";
        let is_there: bool = sqlx::query_scalar(exists).fetch_one(&mut *connection).await?;
        let (usage, state) =
            ("usage on schema public".to_owned(), "select, insert, update on public.relay_state");
        self.grant(connection, (user, "public"), "select has_schema_privilege($1, $2, 'usage')", usage)
            .await?;
        if is_there {
            let has = "select has_table_privilege($1, $2, 'select') and has_table_privilege($1, $2, 'insert')
                       and has_table_privilege($1, $2, 'update')";
            return self.grant(connection, (user, "public.relay_state"), has, state.to_owned()).await;
        }
        self.step("set local search_path = public");
        self.step(statement(STATE, "create table relay_state").context("migrations/0006")?);
        self.step(statement(REFILL, "alter table relay_state").context("migrations/0007")?);
        self.step(format!("grant {state} to {}", self.role));
        Ok(())
    }

    async fn publication(
        &mut self,
        connection: &mut PgConnection,
        user: &str,
        name: &str,
        tables: &[String],
    ) -> anyhow::Result<()> {
        let exists = "select exists (select from pg_publication where pubname = $1)";
        let is_there: bool = sqlx::query_scalar(exists).bind(name).fetch_one(&mut *connection).await?;
        let mut lacking = Vec::new();
        for table in tables {
            let found: Option<(String, String, bool)> = sqlx::query_as(
                "select format('%I.%I', nspname, relname), nspname::text,
                        exists (select from pg_publication_tables where pubname = $2
                                and schemaname = nspname and tablename = relname)
                 from pg_class join pg_namespace as namespace on namespace.oid = relnamespace
                 where pg_class.oid = to_regclass($1)",
            )
            .bind(table)
            .bind(name)
            .fetch_optional(&mut *connection)
            .await?;
            let (table, schema, is_published) =
                found.with_context(|| format!("there is no table {table}"))?;
            let usage = format!("usage on schema {}", quoted(&schema));
            if schema != "public" {
                let has = "select has_schema_privilege($1, $2, 'usage')";
                self.grant(connection, (user, &schema), has, usage).await?;
            }
            let has = "select has_table_privilege($1, $2, 'select')";
            self.grant(connection, (user, &table), has, format!("select on {table}")).await?;
            if !is_published {
                lacking.push(table);
            }
        }
        ensure!(
            is_there || !tables.is_empty(),
            "there is no publication {name} yet: say its tables by --table"
        );
        let (name, list) = (quoted(name), lacking.join(", "));
        match (is_there, lacking.is_empty()) {
            (false, _) => self.step(format!("create publication {name} for table {list}")),
            (true, false) => self.step(format!("alter publication {name} add table {list}")),
            (true, true) => {}
        }
        Ok(())
    }
}

/// The one that begins so, without its end.
fn statement(migration: &str, beginning: &str) -> Option<String> {
    let from = migration.find(beginning)?;
    migration[from..].split_once(";\n").map(|(statement, _)| statement.to_owned())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{REFILL, STATE, statement};

    #[test]
    fn the_state_is_made_as_the_migrations_make_it_but_for_its_grants() {
        let create = statement(STATE, "create table relay_state").unwrap();
        assert!(create.ends_with("with (fillfactor = 50)") && create.contains("epoch "), "{create}");
        let alter = statement(REFILL, "alter table relay_state").unwrap();
        assert_eq!(alter, "alter table relay_state add column refill_epoch bigint not null default 0");
        assert_eq!(statement(STATE, "create index"), None);
    }
}
