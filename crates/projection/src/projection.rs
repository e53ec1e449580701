//! What a projection is, and the handler that keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::RecordedEvent;
use event_store::UnitOfWork;
use sqlx::PgConnection;

/// A function of events into tables of its own, which migrations name in `projection`.
#[async_trait]
pub trait Projection: Send + Sync + 'static {
    /// As in the table `projection`; also the handler's name, so: for ever.
    fn name(&self) -> &'static str;

    /// Of its own service alone: what is elsewhere cannot be read again in order.
    fn subscription(&self) -> Subscription;

    /// Of its rules. With a new one, its rows are built anew.
    fn version(&self) -> i32 {
        1
    }

    /// Writes what these events, in order, make of its rows. Says the tables' names without a schema, and reads nothing but them and the
    /// event table: the same events make the same rows, whenever and however many at a time.
    async fn project(
        &self,
        events: &[&RecordedEvent],
        connection: &mut PgConnection,
    ) -> Result<(), HandleError>;
}

/// Keeps a projection, and what is being built in its place.
pub struct Projecting(pub Arc<dyn Projection>);

#[async_trait]
impl Handler for Projecting {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn subscription(&self) -> Subscription {
        self.0.subscription()
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        self.handle_all(&[event], unit).await
    }

    async fn handle_all(&self, events: &[&RecordedEvent], unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let connection = unit.connection();
        let loaded_to: Option<String> = sqlx::query_scalar("select follow_rebuild($1, $2)")
            .bind(self.name())
            .bind(self.0.version())
            .fetch_one(&mut *connection)
            .await?;
        self.0.project(events, connection).await?;
        if let Some(loaded_to) = loaded_to {
            self.follow(events, &loaded_to, connection).await?;
        }
        Ok(())
    }
}

impl Projecting {
    /// The same into what is being built. If the projection fails there, the rebuild has failed, and nothing else.
    async fn follow(
        &self,
        events: &[&RecordedEvent],
        loaded_to: &str,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let loaded = |event: &&RecordedEvent| event.stream.as_str() <= loaded_to;
        let events: Vec<&RecordedEvent> = events.iter().copied().filter(loaded).collect();
        if events.is_empty() {
            return Ok(());
        }
        sqlx::raw_sql("savepoint rebuild").execute(&mut *connection).await?;
        if let Err(error) = self.project_into_rebuild(&events, connection).await {
            if error.is_passing() {
                return Err(error);
            }
            tracing::error!(projection = self.name(), %error, "rebuild failed at a new event");
            sqlx::raw_sql("rollback to savepoint rebuild").execute(&mut *connection).await?;
            sqlx::query(
                "update projection_rebuild set state = 'failed', reason = $2, changed_at = now() where projection = $1",
            )
            .bind(self.name())
            .bind(error.to_string())
            .execute(connection)
            .await?;
        }
        Ok(())
    }

    async fn project_into_rebuild(
        &self,
        events: &[&RecordedEvent],
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        into_rebuild(&*self.0, events, connection).await?;
        sqlx::raw_sql("set local search_path to default; release savepoint rebuild")
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Leaves the transaction with the rebuild's tables in front of those that serve.
pub(crate) async fn into_rebuild(
    projection: &dyn Projection,
    events: &[&RecordedEvent],
    connection: &mut PgConnection,
) -> Result<(), HandleError> {
    sqlx::raw_sql("set local search_path to rebuild, public").execute(&mut *connection).await?;
    projection.project(events, connection).await
}
