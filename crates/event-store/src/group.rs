//! Units of work that wait at the same time are committed together.
//!
//! ```text
//! work ─┐                     ┌─ begin ─► each decided in turn, on the results of those before ─► one append ─► commit ─┐
//! work ─┼─► queue ─► leader ──┤                │ one that fails is taken back, with its own answer                      ├─► answers
//! work ─┘      ▲              └────────────────┴───────────── a conflict ─► each alone ───────────────────────────────┘
//!              └── what comes meanwhile waits for the next group; a lone one waits for nobody
//! ```
//!
//! Two groups may be under way at once, so that one decides while the other's commit waits for the disk; never two that say that they
//! are about the same stream, since one of them would conflict.
//!
//! States come from the store's memory at first. What fails on a state that is remembered, or not committed yet, is decided
//! again, alone, on the state of now.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use event::{Context, StreamName};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use crate::{Error, RequestKey, Store, StreamSeq, UnitOfWork};

const GROUP_MAX: usize = 64;
const GROUPS_AT_ONCE: usize = 2;
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
    let mut waiting: Vec<Job> = Vec::new();
    let mut groups = FuturesUnordered::new();
    // What the groups under way are about, and how many jobs they have.
    let (mut busy, mut under_way) = (HashSet::<StreamName>::new(), 0);
    loop {
        tokio::select! {
            received = jobs.recv_many(&mut waiting, GROUP_MAX), if waiting.len() < WAITING_MAX => {
                if received == 0 {
                    break;
                }
            }
            Some((streams, jobs)) = groups.next() => {
                let streams: HashSet<StreamName> = streams;
                busy.retain(|stream| !streams.contains(stream));
                under_way -= jobs;
            }
        }
        // Nobody is there any more to be answered.
        waiting.retain(|job| !job.done.is_closed());
        while groups.len() < GROUPS_AT_ONCE {
            let group = next_group(&mut waiting, &busy, under_way);
            if group.is_empty() {
                break;
            }
            let streams: HashSet<StreamName> =
                group.iter().flat_map(|job| &job.ahead.reads).cloned().collect();
            busy.extend(streams.iter().cloned());
            under_way += group.len();
            let (store, jobs) = (store.clone(), group.len());
            groups.push(async move {
                commit(&store, group).await;
                (streams, jobs)
            });
        }
    }
    while groups.next().await.is_some() {}
}

/// Takes those who are free. None where they are so few beside the group under way that they had better wait for others: each group
/// costs the same round trips.
fn next_group(waiting: &mut Vec<Job>, busy: &HashSet<StreamName>, under_way: usize) -> Vec<Job> {
    let are_free = free(waiting, busy, under_way);
    if 2 * are_free.iter().filter(|is_free| **is_free).count() < under_way {
        return Vec::new();
    }
    let (mut are_free, mut room) = (are_free.into_iter(), GROUP_MAX);
    waiting
        .extract_if(.., |_| {
            let is_taken = are_free.next() == Some(true) && room > 0;
            room -= usize::from(is_taken);
            is_taken
        })
        .collect()
}

/// Of each, whether it is about nothing that a group under way is about, or that somebody waits for who came earlier. Who does not say
/// what they are about wait, with all who came later, until none is under way.
fn free(waiting: &[Job], busy: &HashSet<StreamName>, under_way: usize) -> Vec<bool> {
    let (mut kept, mut is_anything_kept): (HashSet<&StreamName>, _) = (busy.iter().collect(), false);
    let mut are_free = Vec::with_capacity(waiting.len());
    for job in waiting {
        let about = &job.ahead.reads;
        is_anything_kept |= about.is_empty() && under_way > 0;
        let is_free = !is_anything_kept && about.iter().all(|stream| !kept.contains(stream));
        if !is_free {
            kept.extend(about);
        }
        are_free.push(is_free);
    }
    are_free
}

async fn commit(store: &Store, mut waiting: Vec<Job>) {
    let mut committed = commit_together(store, States::Remembered, &mut waiting).await;
    if matches!(committed, Err(Error::Conflict)) {
        // What was remembered is out of date, more likely than that somebody is just now as fast.
        committed = commit_together(store, States::OfNow, &mut waiting).await;
    }
    match committed {
        Ok(()) | Err(Error::Conflict) => {}
        Err(error) => tracing::debug!(%error, "a group was not committed, each tries alone"),
    }
    // Whoever has no answer yet runs alone.
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
    let (server, taken) = unit.server_and_taken(&keys).await?;
    if states == States::Remembered {
        unit.trust_memory(server);
    }
    waiting.retain(|job| job.ahead.key.as_ref().is_none_or(|key| !taken.contains(key)));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What would answer them is gone, which does not matter here.
    fn jobs(about: &[&str]) -> Vec<Job> {
        let job = |stream: &&str| Job {
            context: Box::new(|| Context::at_rest("test")),
            ahead: Ahead { key: None, reads: vec![stream.parse().unwrap()] },
            decide: Box::new(|_| Box::pin(async { true })),
            done: oneshot::channel().0,
        };
        about.iter().map(job).collect()
    }

    fn about(jobs: &[Job]) -> Vec<&str> {
        jobs.iter().flat_map(|job| &job.ahead.reads).map(StreamName::as_str).collect()
    }

    #[test]
    fn two_groups_are_never_about_the_same_stream() {
        let mut waiting = jobs(&["account-1", "account-2", "account-1", "account-3"]);
        let busy = HashSet::from(["account-1".parse().unwrap()]);
        let group = next_group(&mut waiting, &busy, 1);
        assert_eq!(about(&group), ["account-2", "account-3"]);
        assert_eq!(about(&waiting), ["account-1", "account-1"]);
        assert!(next_group(&mut waiting, &busy, 3).is_empty());
        assert_eq!(about(&next_group(&mut waiting, &HashSet::new(), 0)), ["account-1", "account-1"]);
    }

    #[test]
    fn nobody_is_overtaken_at_the_stream_that_they_wait_for() {
        let mut waiting = jobs(&["account-1", "account-2", "account-3"]);
        waiting[0].ahead.reads.push("account-2".parse().unwrap());
        let busy = HashSet::from(["account-1".parse().unwrap()]);
        assert_eq!(about(&next_group(&mut waiting, &busy, 1)), ["account-3"]);
    }

    #[test]
    fn who_does_not_say_what_they_are_about_has_its_turn_when_none_is_under_way() {
        let mut waiting = jobs(&["account-1", "account-2", "account-3"]);
        waiting[1].ahead.reads.clear();
        assert_eq!(about(&next_group(&mut waiting, &HashSet::new(), 1)), ["account-1"]);
        assert!(next_group(&mut waiting, &HashSet::new(), 1).is_empty(), "nobody overtakes it for ever");
        assert_eq!(next_group(&mut waiting, &HashSet::new(), 0).len(), 2);
    }

    #[test]
    fn a_second_group_is_not_much_smaller_than_the_first() {
        let mut waiting = jobs(&["account-1", "account-2"]);
        assert!(next_group(&mut waiting, &HashSet::new(), 5).is_empty());
        assert_eq!(next_group(&mut waiting, &HashSet::new(), 4).len(), 2);
    }

    #[test]
    fn a_group_has_its_limit() {
        let mut waiting = jobs(&["account-1"; GROUP_MAX + 1]);
        assert_eq!(next_group(&mut waiting, &HashSet::new(), 0).len(), GROUP_MAX);
        assert_eq!(waiting.len(), 1);
    }
}
