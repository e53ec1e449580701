//! Takes in what is asked for: one rebuild of a projection at a time.

use async_trait::async_trait;
use delivery::{HandleError, Handler, Subscription};
use event::{Aggregate, RecordedEvent};
use event_store::UnitOfWork;
use uuid::Uuid;

use crate::rebuild::RebuildRequested;
use crate::{Rebuild, RebuildCommand, RebuildEvent, Status};

/// Keeps `projection_rebuild`, which says what there is to do.
pub struct RebuildDesk;

#[async_trait]
impl Handler for RebuildDesk {
    fn name(&self) -> &'static str {
        "rebuild.desk"
    }

    fn subscription(&self) -> Subscription {
        Subscription { source: "core", categories: &[Rebuild::CATEGORY] }
    }

    async fn handle(&self, event: &RecordedEvent, unit: &mut UnitOfWork) -> Result<(), HandleError> {
        let id = event.stream.uuid();
        let id = id.ok_or_else(|| HandleError::Failed(format!("{} is no rebuild", event.stream)))?;
        match event.decode()? {
            RebuildEvent::RebuildRequested(requested) => self.take_in(id, &requested, event, unit).await,
            RebuildEvent::RebuildCancelled(_) => {
                sqlx::query(
                    "update projection_rebuild set state = 'cancelled', changed_at = now() where id = $1",
                )
                .bind(id)
                .execute(unit.connection())
                .await?;
                Ok(())
            }
            // Written with what they say.
            RebuildEvent::RebuildCompleted(_) | RebuildEvent::RebuildFailed(_) => Ok(()),
        }
    }
}

impl RebuildDesk {
    async fn take_in(
        &self,
        id: Uuid,
        requested: &RebuildRequested,
        event: &RecordedEvent,
        unit: &mut UnitOfWork,
    ) -> Result<(), HandleError> {
        // Where the history is read once more: it has ended long ago.
        if unit.state::<Rebuild>(id).await?.is_none_or(|rebuild| rebuild.status != Status::UnderWay) {
            return Ok(());
        }
        let taken = sqlx::query(
            "insert into projection_rebuild (projection, id, purpose, version, requested_at)
             select name, $2, $3, $4, $5 from projection where name = $1
             on conflict (projection) do update set id = excluded.id, purpose = excluded.purpose,
                 version = excluded.version, requested_at = excluded.requested_at, state = 'requested',
                 loaded_to = '', part_stream = null, part_seq = null, events_done = 0, events_total = 0,
                 reason = null, examples = null, started_at = null, changed_at = now()
             where projection_rebuild.state in ('completed', 'failed', 'cancelled') and not projection_rebuild.has_tables",
        )
        .bind(&requested.projection)
        .bind(id)
        .bind(requested.purpose.as_str())
        .bind(requested.version)
        .bind(jiff_sqlx::Timestamp::from(event.recorded_at))
        .execute(unit.connection())
        .await?;
        if taken.rows_affected() == 0 {
            let reason = format!("another rebuild of {} has not ended", requested.projection);
            unit.execute::<Rebuild>(id, RebuildCommand::Fail { reason }).await?;
        }
        Ok(())
    }
}
