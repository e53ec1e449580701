//! The code that gets each event of some categories, in stream order, and acts.

use async_trait::async_trait;
use event::{Context, RecordedEvent};
use event_store::UnitOfWork;

use crate::HandleError;

/// What a handler listens to: categories of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription {
    pub source: &'static str,
    pub categories: &'static [&'static str],
}

/// Effects go into the unit of work, which commits with the handler's cursor: no pool, no clock, no I/O here, so
/// that an effect happens once and a preview can roll it back.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Its cursor's name: once deployed, for ever.
    fn name(&self) -> &'static str;

    fn subscription(&self) -> Subscription;

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError>;

    /// Several events, in order, whose effects share a transaction. For a handler that can do them at once: a read model writes
    /// all of its rows with one statement.
    async fn handle_all(&self, events: &[&RecordedEvent], unit: &mut UnitOfWork) -> Result<(), HandleError> {
        one_by_one(self, events, unit).await
    }

    /// How many transactions of it run at once, each for streams of its own. One for a handler whose effects meet
    /// in the same rows.
    fn concurrency(&self) -> usize {
        1
    }
}

/// What a handler would do, in a unit that is rolled back: without its cursor.
pub async fn try_out(
    handler: &dyn Handler,
    events: &[&RecordedEvent],
    unit: &mut UnitOfWork,
) -> Result<(), HandleError> {
    let (now, actor) = (unit.context().now, unit.context().actor.clone());
    let (causation, correlation_id) = (unit.context().causation, unit.context().correlation_id);
    let outside = unit.replace_context(Context::because_of(causation, correlation_id, actor, now));
    let done = handler.handle_all(events, unit).await;
    unit.set_context(outside);
    done
}

pub(crate) async fn one_by_one(
    handler: &(impl Handler + ?Sized),
    events: &[&RecordedEvent],
    unit: &mut UnitOfWork,
) -> Result<(), HandleError> {
    let now = unit.context().now;
    for event in events {
        unit.set_context(Context::after(event, unit.service(), handler.name(), now));
        handler.handle(event, unit).await?;
    }
    Ok(())
}
