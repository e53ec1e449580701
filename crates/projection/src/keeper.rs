//! Does the rebuilds that were asked for, one after the other, and asks for those that a program with other rules needs.

use std::sync::Arc;
use std::time::Duration;

use delivery::HandleError;
use event::{Actor, Context, derived_id};
use event_store::{Error, ExecuteError, Store};
use jiff::Timestamp;
use sqlx::Connection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::load::Loaded;
use crate::rebuild::RebuildRequested;
use crate::run::Run;
use crate::{Projection, Purpose, Rebuild, RebuildCommand};

const POLL: Duration = Duration::from_millis(500);

/// What keeps the projections of one service. Several processes may have one: each rebuild is done by one of them.
pub struct Keeper {
    pub projections: Vec<Arc<dyn Projection>>,
    pub store: Store,
}

#[derive(sqlx::FromRow)]
struct Waiting {
    projection: String,
    id: Uuid,
    purpose: String,
    version: i32,
    state: String,
    reason: Option<String>,
}

impl Keeper {
    /// Works until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut is_asked = false;
        while !shutdown.is_cancelled() {
            let turn = async {
                if !is_asked {
                    self.ask_for_new_rules().await?;
                    is_asked = true;
                }
                self.work(&shutdown).await
            };
            if let Err(error) = turn.await {
                tracing::warn!(%error, "rebuild waits");
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    /// Where the rows follow other rules than this program's.
    async fn ask_for_new_rules(&self) -> Result<(), Error> {
        for projection in &self.projections {
            let (name, version) = (projection.name(), projection.version());
            let last: Option<Option<Uuid>> = sqlx::query_scalar(
                "select id from projection left join projection_rebuild on projection = name
                 where name = $1 and projection.version <> $2
                   and (id is null or state in ('completed', 'failed', 'cancelled'))",
            )
            .bind(name)
            .bind(version)
            .fetch_optional(self.store.pool())
            .await?;
            let Some(last) = last else { continue };
            // The same for each process that finds it so.
            let id = derived_id(last.unwrap_or_default(), name, usize::try_from(version).unwrap_or_default());
            let requested =
                RebuildRequested { projection: name.to_owned(), purpose: Purpose::Replace, version };
            let actor = Actor::service(self.store.service(), "projections");
            let context = Context::for_request(id, actor, Timestamp::now());
            match self.store.execute::<Rebuild>(id, RebuildCommand::Request(requested), context).await {
                Ok(_) => tracing::info!(projection = name, version, "its rules are new, it is built anew"),
                Err(ExecuteError::Refused(_)) => {}
                Err(ExecuteError::Store(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn work(&self, shutdown: &CancellationToken) -> Result<(), Error> {
        let waiting: Vec<Waiting> = sqlx::query_as(
            "select projection, id, purpose, version, state, reason from projection_rebuild
             where state in ('requested', 'loading') or has_tables order by requested_at",
        )
        .fetch_all(self.store.pool())
        .await?;
        for waiting in waiting {
            let of_it = |projection: &&Arc<dyn Projection>| {
                projection.name() == waiting.projection && projection.version() == waiting.version
            };
            // One that this program does not know, or with other rules, waits for another one.
            let Some(projection) = self.projections.iter().find(of_it) else { continue };
            self.work_alone(Arc::clone(projection), waiting, shutdown).await?;
        }
        Ok(())
    }

    /// Unless another process is at it.
    async fn work_alone(
        &self,
        projection: Arc<dyn Projection>,
        waiting: Waiting,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        // Its own connection: the lock goes with it, however this ends.
        let mut holder = self.store.pool().acquire().await?.detach();
        let is_ours: bool =
            sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended('rebuild ' || $1, 0))")
                .bind(&waiting.projection)
                .fetch_one(&mut holder)
                .await?;
        let done = if is_ours { self.run_once(projection, waiting, shutdown).await } else { Ok(()) };
        holder.close().await?;
        done
    }

    async fn run_once(
        &self,
        projection: Arc<dyn Projection>,
        waiting: Waiting,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let purpose =
            if waiting.purpose == Purpose::Compare.as_str() { Purpose::Compare } else { Purpose::Replace };
        let Some(run) = Run::find(projection, self.store.clone(), waiting.id).await? else {
            return Ok(());
        };
        if !matches!(waiting.state.as_str(), "requested" | "loading") {
            return run.abandon(waiting.reason.as_deref().unwrap_or("it was cancelled")).await;
        }
        let name = run.name();
        tracing::info!(projection = name, purpose = purpose.as_str(), "rebuild loads");
        let done = match run.load(shutdown).await {
            Ok(Loaded::All) => match purpose {
                Purpose::Replace => run.replace().await.map_err(HandleError::from),
                Purpose::Compare => run.compare().await.map_err(HandleError::from),
            },
            Ok(Loaded::Ended | Loaded::Stopped) => return Ok(()),
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => tracing::info!(projection = name, purpose = purpose.as_str(), "rebuild has ended"),
            Err(HandleError::Store(error)) if error.is_transient() || matches!(error, Error::Conflict) => {
                return Err(error);
            }
            Err(error) => {
                tracing::error!(projection = name, %error, "rebuild failed");
                run.abandon(&error.to_string()).await?;
            }
        }
        Ok(())
    }
}
