//! How a rebuild ends: its tables change places with those that serve, or are compared with them, or are thrown away.

use event_store::{Error, UnitOfWork};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::rebuild::RebuildCompleted;
use crate::run::Run;
use crate::{Difference, RebuildCommand};

#[derive(sqlx::FromRow)]
struct Compared {
    only_serving: i64,
    only_rebuilt: i64,
    examples: Json<Value>,
}

impl Run {
    /// Has what was built serve. Passing while somebody reads what serves for long.
    pub(crate) async fn replace(&self) -> Result<(), Error> {
        sqlx::query("select analyze_rebuild_tables($1)").bind(self.name()).execute(self.store.pool()).await?;
        let mut unit = self.stand_still().await?;
        if self.place(&mut unit).await?.is_none() {
            return Ok(());
        }
        sqlx::query("select take_rebuild_tables($1)").bind(self.id).execute(unit.connection()).await?;
        self.complete(unit, &[], None).await
    }

    /// Compares what was built with what serves: both follow the events together, so that any moment will do.
    pub(crate) async fn compare(&self) -> Result<(), Error> {
        let tables: Vec<String> = sqlx::query_scalar("select unnest(tables) from projection where name = $1")
            .bind(self.name())
            .fetch_all(self.store.pool())
            .await?;
        let (mut differences, mut examples) = (Vec::new(), serde_json::Map::new());
        let mut connection = self.store.pool().acquire().await?;
        for table in tables {
            let compared = compare(&mut connection, &table).await?;
            let (only_serving, only_rebuilt) = (compared.only_serving, compared.only_rebuilt);
            if only_serving + only_rebuilt > 0 {
                examples.insert(table.clone(), compared.examples.0);
                differences.push(Difference { table, only_serving, only_rebuilt });
            }
        }
        drop(connection);
        let mut unit = self.stand_still().await?;
        if self.place(&mut unit).await?.is_none() {
            return Ok(());
        }
        self.drop_tables(&mut unit).await?;
        self.complete(unit, &differences, Some(Value::Object(examples))).await
    }

    async fn complete(
        &self,
        mut unit: UnitOfWork,
        differences: &[Difference],
        examples: Option<Value>,
    ) -> Result<(), Error> {
        let events: i64 = sqlx::query_scalar(
            "update projection_rebuild set state = 'completed', has_tables = false, examples = $3, changed_at = now()
             where projection = $1 and id = $2 returning events_done",
        )
        .bind(self.name())
        .bind(self.id)
        .bind(examples.map(Json))
        .fetch_one(unit.connection())
        .await?;
        let completed = RebuildCompleted { events, differences: differences.to_vec() };
        // Somebody has cancelled it just now: then nothing of this has happened.
        if self.end(&mut unit, RebuildCommand::Complete(completed)).await? {
            unit.commit().await?;
        }
        Ok(())
    }

    /// Throws away what was built.
    pub(crate) async fn abandon(&self, reason: &str) -> Result<(), Error> {
        let mut unit = self.stand_still().await?;
        let abandoned = sqlx::query(
            "update projection_rebuild set has_tables = false, changed_at = now(),
                 state = case state when 'cancelled' then state else 'failed' end,
                 reason = case state when 'cancelled' then null else coalesce(reason, $3) end
             where projection = $1 and id = $2",
        )
        .bind(self.name())
        .bind(self.id)
        .bind(reason)
        .execute(unit.connection())
        .await?;
        // Otherwise the tables are those of a later one.
        if abandoned.rows_affected() > 0 {
            self.drop_tables(&mut unit).await?;
        }
        self.end(&mut unit, RebuildCommand::Fail { reason: reason.to_owned() }).await?;
        unit.commit().await?;
        Ok(())
    }

    async fn drop_tables(&self, unit: &mut UnitOfWork) -> Result<(), Error> {
        sqlx::query("select drop_rebuild_tables($1)").bind(self.name()).execute(unit.connection()).await?;
        Ok(())
    }
}

async fn compare(connection: &mut PgConnection, table: &str) -> Result<Compared, Error> {
    let table = table.replace('"', "\"\"");
    // One statement, and so one moment.
    let compare = format!(
        "with only_serving as (table public.\"{table}\" except all table rebuild.\"{table}\"),
              only_rebuilt as (table rebuild.\"{table}\" except all table public.\"{table}\")
         select (select count(*) from only_serving) as only_serving, (select count(*) from only_rebuilt) as only_rebuilt,
                jsonb_build_object(
                    'only_serving', (select coalesce(jsonb_agg(example), '[]') from (table only_serving limit 10) as example),
                    'only_rebuilt', (select coalesce(jsonb_agg(example), '[]') from (table only_rebuilt limit 10) as example)
                ) as examples"
    );
    Ok(sqlx::query_as(AssertSqlSafe(compare)).persistent(false).fetch_one(connection).await?)
}
