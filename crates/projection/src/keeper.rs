//! Does the rebuilds that were asked for, one after the other, and asks for those that a program with other rules needs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use delivery::HandleError;
use event::{Actor, Context, derived_id};
use event_store::{Error, ExecuteError, Store};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::pace::Others;
use crate::rebuild::RebuildRequested;
use crate::run::{LOADING, REQUESTED, Run};
use crate::{Projection, Purpose, Rebuild, RebuildCommand};

const POLL: Duration = Duration::from_millis(500);
/// After a hindrance that may pass; doubled with each further one.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What keeps the projections of one service. Several processes may have one: each rebuild is done by one of them.
pub struct Keeper {
    projections: Vec<Arc<dyn Projection>>,
    store: Store,
    others: Arc<Others>,
    /// By projection: since the last hindrance.
    pauses: HashMap<&'static str, Pause>,
}

#[derive(Clone, Copy)]
struct Pause {
    length: Duration,
    until: Instant,
}

#[derive(sqlx::FromRow)]
struct Waiting {
    id: Uuid,
    purpose: String,
    version: i32,
    state: String,
    reason: Option<String>,
    has_its_tables: bool,
}

impl Keeper {
    pub fn new(store: Store, projections: Vec<Arc<dyn Projection>>) -> Self {
        Self { projections, store, others: Arc::default(), pauses: HashMap::new() }
    }

    /// Works until shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            // What hinders this hinders the rest too, which says so.
            let _ = self.others.look(&self.store).await;
            for projection in self.projections.clone() {
                let name = projection.name();
                if self.pauses.get(name).is_some_and(|pause| Instant::now() < pause.until) {
                    continue;
                }
                match self.turn(projection, &shutdown).await {
                    Ok(Turn::Idle) => drop(self.pauses.remove(name)),
                    Ok(Turn::Worked) => {}
                    Ok(Turn::Asked) => self.pause(name),
                    Err(error) => {
                        tracing::warn!(projection = name, %error, "rebuild waits");
                        self.pause(name);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = shutdown.cancelled() => {}
            }
        }
    }

    fn pause(&mut self, name: &'static str) {
        let length = self.pauses.get(name).map_or(PAUSE_MIN, |pause| PAUSE_MAX.min(pause.length * 2));
        self.pauses.insert(name, Pause { length, until: Instant::now() + length });
    }

    /// What there is to do for one projection.
    async fn turn(
        &self,
        projection: Arc<dyn Projection>,
        shutdown: &CancellationToken,
    ) -> Result<Turn, Error> {
        let waiting: Option<Waiting> = sqlx::query_as(
            "select id, purpose, version, state, reason, has_rebuild_tables(projection) as has_its_tables
             from projection_rebuild
             where projection = $1 and (state in ('requested', 'loading') or has_tables)",
        )
        .bind(projection.name())
        .fetch_optional(self.store.pool())
        .await?;
        match waiting {
            // By rules that this program does not know: another one's.
            Some(waiting) if waiting.version > projection.version() => Ok(Turn::Idle),
            Some(waiting) => {
                self.work_alone(projection, waiting, shutdown).await?;
                Ok(Turn::Worked)
            }
            None => self.ask_for_new_rules(&*projection).await,
        }
    }

    /// Where the rows follow older rules than this program's.
    async fn ask_for_new_rules(&self, projection: &dyn Projection) -> Result<Turn, Error> {
        let (name, version) = (projection.name(), projection.version());
        let last: Option<Option<Uuid>> = sqlx::query_scalar(
            "select id from projection left join projection_rebuild on projection = name
             where name = $1 and projection.version < $2",
        )
        .bind(name)
        .bind(version)
        .fetch_optional(self.store.pool())
        .await?;
        let Some(last) = last else { return Ok(Turn::Idle) };
        // The same for each process that finds it so.
        let id = derived_id(last.unwrap_or_default(), name, usize::try_from(version).unwrap_or_default());
        let requested = RebuildRequested { projection: name.to_owned(), purpose: Purpose::Replace, version };
        let actor = Actor::service(self.store.service(), "projections");
        let context = Context::for_request(id, actor, Timestamp::now());
        match self.store.execute::<Rebuild>(id, RebuildCommand::Request(requested), context).await {
            Ok(done) if done.events.is_empty() => {}
            Ok(_) => tracing::info!(projection = name, version, "its rules are new, it is to be built anew"),
            Err(ExecuteError::Refused(_)) => {}
            Err(ExecuteError::Store(error)) => return Err(error),
        }
        Ok(Turn::Asked)
    }

    /// Unless another process is at it.
    async fn work_alone(
        &self,
        projection: Arc<dyn Projection>,
        waiting: Waiting,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let name = format!("rebuild {}", projection.name());
        let Some(alone) = self.store.alone(&name).await? else { return Ok(()) };
        let done = self.work(projection, waiting, shutdown).await;
        alone.end().await?;
        done
    }

    async fn work(
        &self,
        projection: Arc<dyn Projection>,
        waiting: Waiting,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let (name, version) = (projection.name(), projection.version());
        let (store, others) = (self.store.clone(), Arc::clone(&self.others));
        let Some(run) = Run::find(projection, store, others, waiting.id).await? else { return Ok(()) };
        if waiting.state != REQUESTED && waiting.state != LOADING {
            return run.abandon(waiting.reason.as_deref().unwrap_or("it was cancelled")).await;
        }
        let Some(purpose) = Purpose::named(&waiting.purpose).filter(|_| waiting.version == version) else {
            return run.abandon(&format!("its rules are of version {version} by now")).await;
        };
        if waiting.state == LOADING && !waiting.has_its_tables {
            return run.abandon("its tables are gone").await;
        }
        tracing::info!(projection = name, purpose = purpose.as_str(), "rebuild loads");
        match run.run(purpose, shutdown).await {
            Ok(()) => Ok(()),
            Err(HandleError::Store(error)) if error.is_passing() => Err(error),
            Err(error) => {
                tracing::error!(projection = name, %error, "rebuild failed");
                run.abandon(&error.to_string()).await
            }
        }
    }
}

/// What came of looking after a projection.
enum Turn {
    /// There is nothing to do.
    Idle,
    /// Somebody is at it, or it is done. A pause that has grown stays: what was asked for may have failed.
    Worked,
    /// Its rules are new, and a rebuild is on its way.
    Asked,
}
