//! Units of work that wait at the same time are committed together.
//!
//! ```text
//! work ─┐                     ┌─ begin ─► each decided in turn, on the results of those before ─► one append ─► commit ─┐
//! work ─┼─► queue ─► leader ──┤                │ one that fails is taken back, with its own answer                      ├─► answers
//! work ─┘      ▲              └────────────────┴───────────── a conflict ─► each alone ───────────────────────────────┘
//!              └── what comes meanwhile waits for the next group; a lone one waits for nobody
//! ```
//!
//! States come from the store's memory at first. What fails on a state that is remembered, or not committed yet, is decided
//! again, alone, on the state of now.

use std::sync::{Arc, Mutex, PoisonError};

use event::{Context, StreamName};
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, RequestKey, Store, StreamSeq, UnitOfWork};

const GROUP_MAX: usize = 64;
/// Who finds so many before them tries alone.
const WAITING_MAX: usize = 4_096;

/// Decides and leaves its traces in the unit's events and requests alone, since it may be taken back and decided again: not
/// through its connection.
pub trait Work<T, E>:
    for<'a> Fn(&'a mut UnitOfWork) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static
{
}

impl<T, E, F> Work<T, E> for F where
    F: for<'a> Fn(&'a mut UnitOfWork) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static
{
}

/// What is looked up for a whole group at once.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Of the request that the work answers, if it is one: what is answered already is not decided again.
    pub key: Option<RequestKey>,
    /// The aggregates that it is going to ask for, as far as that is known.
    pub reads: Vec<StreamName>,
}

/// The units of work of one process. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    store: Store,
    queue: mpsc::Sender<Job>,
}

/// Work whose result waits outside until the group has committed. False: it has failed.
type Decide = Box<dyn for<'a> Fn(&'a mut UnitOfWork) -> BoxFuture<'a, bool> + Send + Sync>;

struct Job {
    context: Box<dyn Fn() -> Context + Send>,
    ahead: Ahead,
    decide: Decide,
    /// Dropped: the work is to be run alone.
    done: oneshot::Sender<Done>,
}

enum Done {
    Committed(Vec<StreamSeq>),
    /// What it failed with is its answer.
    Failed,
}

impl Group {
    /// Its leader ends with the last clone.
    pub fn new(store: Store) -> Self {
        let (queue, jobs) = mpsc::channel(WAITING_MAX);
        tokio::spawn(lead(store.clone(), jobs));
        Self { store, queue }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Runs the work together with what else waits. None: it is to be run alone, since somebody else was first, or may have been.
    /// Without a key it may then have been done already, where the commit's outcome was lost.
    pub async fn try_run<T: Send + 'static, E: Send + 'static>(
        &self,
        context: impl Fn() -> Context + Send + 'static,
        ahead: Ahead,
        work: impl Work<T, E>,
    ) -> Option<Result<(T, Vec<StreamSeq>), E>> {
        let (work, result) = (Arc::new(work), Arc::new(Mutex::new(None)));
        let slot = Arc::clone(&result);
        let decide: Decide = Box::new(move |unit| {
            let (work, slot) = (Arc::clone(&work), Arc::clone(&slot));
            Box::pin(async move {
                let decided = work(unit).await;
                let is_decided = decided.is_ok();
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(decided);
                is_decided
            })
        });
        let (done, answer) = oneshot::channel();
        self.queue.try_send(Job { context: Box::new(context), ahead, decide, done }).ok()?;
        let done = answer.await.ok()?;
        let result = result.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        match (done, result) {
            (Done::Committed(written), Ok(value)) => Some(Ok((value, written))),
            (Done::Failed, Err(error)) => Some(Err(error)),
            _ => None,
        }
    }
}

async fn lead(store: Store, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = Vec::with_capacity(GROUP_MAX);
    while jobs.recv_many(&mut waiting, GROUP_MAX).await > 0 {
        // Nobody is there any more to be answered.
        waiting.retain(|job| !job.done.is_closed());
        if waiting.is_empty() {
            continue;
        }
        let mut committed = commit_together(&store, States::Remembered, &mut waiting).await;
        if matches!(committed, Err(Error::Conflict)) {
            // What was remembered is out of date, more likely than that somebody is just now as fast.
            committed = commit_together(&store, States::OfNow, &mut waiting).await;
        }
        match committed {
            Ok(()) | Err(Error::Conflict) => {}
            Err(error) => tracing::debug!(%error, "a group was not committed, each tries alone"),
        }
        // Whoever has no answer yet runs alone.
        waiting.clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum States {
    Remembered,
    OfNow,
}

/// Takes whom it has answered out of those who wait.
async fn commit_together(store: &Store, states: States, waiting: &mut Vec<Job>) -> Result<(), Error> {
    let mut unit = store.begin_impatient(Context::at_rest(store.service())).await?;
    let keys: Vec<&RequestKey> = waiting.iter().filter_map(|job| job.ahead.key.as_ref()).collect();
    let (server, answered) = unit.server_and_answered(&keys).await?;
    if states == States::Remembered {
        unit.trust_memory(server);
    }
    waiting.retain(|job| job.ahead.key.as_ref().is_none_or(|key| !answered.contains(key)));
    unit.read_ahead(waiting.iter().flat_map(|job| &job.ahead.reads).cloned().collect()).await?;
    let mut decided = Vec::with_capacity(waiting.len());
    let mut left = Vec::with_capacity(waiting.len());
    // Until the group has committed, lest they are in its way.
    let mut fallen_out = Vec::new();
    for job in waiting.drain(..) {
        unit.set_context((job.context)());
        unit.begin_part();
        if (job.decide)(&mut unit).await {
            decided.push(unit.end_part());
            left.push(job);
        } else if unit.undo_part() {
            fallen_out.push(job);
        } else {
            let _ = job.done.send(Done::Failed);
        }
    }
    *waiting = left;
    unit.commit().await?;
    for (job, written) in waiting.drain(..).zip(decided) {
        let _ = job.done.send(Done::Committed(written));
    }
    Ok(())
}
