//! The commonest projection: a table with one row per stream, which follows from that stream's events alone.

use std::collections::HashMap;
use std::sync::OnceLock;

use async_trait::async_trait;
use delivery::{HandleError, Subscription};
use event::{DomainEvent, RecordedEvent, Seq, StreamName};
use event_store::read_before_in;
use jiff::Timestamp;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::Projection;

/// What the events of one stream come to, and the row that shows it. For streams that end: what came before the events at hand is folded
/// once more.
pub trait StreamRow: Sized + Send + Sync + 'static {
    const PROJECTION: &'static str;
    const VERSION: i32 = 1;
    const SUBSCRIPTION: Subscription;
    /// Its primary key is `id`, the stream's.
    const TABLE: &'static str;
    type Event: DomainEvent;
    /// Its fields are the table's columns, all of them.
    type Row<'a>: Serialize + Send + Sync;

    fn evolve(state: Option<Self>, id: Uuid, event: Self::Event, at: Timestamp) -> Option<Self>;

    fn row(&self, id: Uuid) -> Self::Row<'_>;
}

/// The projection of a [`StreamRow`].
pub struct RowPerStream<R> {
    statements: OnceLock<Statements>,
    row: std::marker::PhantomData<fn() -> R>,
}

impl<R> Default for RowPerStream<R> {
    fn default() -> Self {
        Self { statements: OnceLock::new(), row: std::marker::PhantomData }
    }
}

#[async_trait]
impl<R: StreamRow> Projection for RowPerStream<R> {
    fn name(&self) -> &'static str {
        R::PROJECTION
    }

    fn subscription(&self) -> Subscription {
        R::SUBSCRIPTION
    }

    fn version(&self) -> i32 {
        R::VERSION
    }

    async fn project(
        &self,
        events: &[&RecordedEvent],
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let mut folds: HashMap<&StreamName, Fold<'_, R>> = HashMap::new();
        for event in events {
            folds.entry(&event.stream).or_default().events.push(event);
        }
        let first = |fold: &Fold<'_, R>| fold.events.first().map_or(Seq::FIRST, |event| event.seq);
        let begun: Vec<(&StreamName, Seq)> = folds
            .iter()
            .map(|(stream, fold)| (*stream, first(fold)))
            .filter(|(_, seq)| *seq != Seq::FIRST)
            .collect();
        let earlier = if begun.is_empty() { Vec::new() } else { read_before_in(connection, &begun).await? };
        for event in &earlier {
            if let Some(fold) = folds.get_mut(&event.stream) {
                fold.take(event)?;
            }
        }
        for fold in folds.values_mut() {
            for event in std::mem::take(&mut fold.events) {
                fold.take(event)?;
                if fold.state.is_none() {
                    return Err(HandleError::Failed(format!("{} has not begun", event.stream)));
                }
            }
        }
        let mut shown: Vec<(Uuid, &R)> =
            folds.values().filter_map(|fold| fold.id.zip(fold.state.as_ref())).collect();
        // In one order, so that no two writers wait for each other.
        shown.sort_unstable_by_key(|(id, _)| *id);
        let rows: Vec<R::Row<'_>> = shown.iter().map(|(id, state)| state.row(*id)).collect();
        self.write(&rows, begun.is_empty(), connection).await
    }
}

/// One stream as it is folded.
struct Fold<'a, R> {
    id: Option<Uuid>,
    state: Option<R>,
    /// Those at hand.
    events: Vec<&'a RecordedEvent>,
}

impl<R> Default for Fold<'_, R> {
    fn default() -> Self {
        Self { id: None, state: None, events: Vec::new() }
    }
}

impl<R: StreamRow> Fold<'_, R> {
    fn take(&mut self, event: &RecordedEvent) -> Result<(), HandleError> {
        let id = self.id.or_else(|| event.stream.uuid());
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is named by no UUID", event.stream)))?;
        self.id = Some(id);
        self.state = R::evolve(self.state.take(), id, event.decode()?, event.recorded_at);
        Ok(())
    }
}

impl<R: StreamRow> RowPerStream<R> {
    async fn write(
        &self,
        rows: &[R::Row<'_>],
        are_new: bool,
        connection: &mut PgConnection,
    ) -> Result<(), HandleError> {
        let unwritable =
            |error: serde_json::Error| HandleError::Failed(format!("a row of {}: {error}", R::TABLE));
        let Some(first) = rows.first() else { return Ok(()) };
        let statements = match self.statements.get() {
            Some(statements) => statements,
            None => {
                let columns = serde_json::to_value(first).map_err(unwritable)?;
                self.statements.get_or_init(|| Statements::of(R::TABLE, &columns))
            }
        };
        let statement = if are_new { &statements.insert } else { &statements.upsert };
        let rows = serde_json::to_string(rows).map_err(unwritable)?;
        sqlx::query(AssertSqlSafe(statement.as_str())).bind(rows).execute(connection).await?;
        Ok(())
    }
}

/// What writes rows that come as one JSON array.
struct Statements {
    /// Of streams that have no row, since none of their events was handled: costs a quarter less.
    insert: String,
    upsert: String,
}

impl Statements {
    fn of(table: &str, row: &serde_json::Value) -> Self {
        let columns = row.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let changed: Vec<String> = columns
            .filter(|column| *column != "id")
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        let insert = format!(
            "insert into {table} select * from json_populate_recordset(null::{table}, $1::text::json)"
        );
        let upsert = format!("{insert} on conflict (id) do update set {}", changed.join(", "));
        Self { insert, upsert }
    }
}
