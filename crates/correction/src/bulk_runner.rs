//! Does what a bulk correction has to do by itself: finds out what each item would do, does them one by one, leaves the rest when it is over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use delivery::Handler;
use event::{Actor, Causation, CausationKind, Context};
use event_store::{Error, ExecuteError, Store};
use futures::FutureExt;
use futures::stream::{self, FuturesUnordered, StreamExt};
use jiff::Timestamp;
use money::Money;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bulk_part::failure_of;
use crate::{
    Bulk, BulkCommand, BulkEnded, BulkPreviewed, BulkWork, CarryOutError, Correction, CorrectionCommand,
    PartDone, Policy, Preview, Status, execute_part, part_id, preview,
};

const POLL: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_secs(1);
/// Bulk corrections that go on beside each other; most of the time they wait for their next item.
const AT_ONCE: usize = 8;
/// After which others go first, if there are more.
const TURN: Duration = Duration::from_secs(60);
/// Tries of one preview while others hold what it looks at.
const PREVIEWS_MAX: u32 = 20;
/// So often it is looked whether somebody has rejected what is being previewed.
const LOOK_EVERY: u32 = 100;
/// Of one item, with others who write to the same streams.
const CONFLICTS_MAX: u32 = 64;
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// What works for the bulk corrections of core. Several processes may have one: each bulk correction is worked on by one of them.
pub struct BulkRunner {
    store: Store,
    /// That previews try out.
    handlers: Vec<Arc<dyn Handler>>,
    policy: Policy,
    /// Of previews at once: each holds a connection.
    permits: Semaphore,
    previews_at_once: usize,
}

impl BulkRunner {
    pub fn new(
        store: Store,
        handlers: Vec<Arc<dyn Handler>>,
        policy: Policy,
        previews_at_once: usize,
    ) -> Self {
        let previews_at_once = previews_at_once.max(1);
        Self { store, handlers, policy, permits: Semaphore::new(previews_at_once), previews_at_once }
    }

    /// Works until shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let (mut working, mut ids, mut tried) = (FuturesUnordered::new(), HashSet::new(), HashMap::new());
        while !shutdown.is_cancelled() {
            let mut look = std::pin::pin!(self.waiting());
            // What is worked on goes on meanwhile: it may have what the look waits for.
            let mut waiting = loop {
                tokio::select! {
                    Some(ended) = working.next(), if !working.is_empty() => drop(ids.remove(&ended)),
                    found = &mut look => break found,
                }
            };
            // Whoever has waited longest: one that fails, or is another process's, keeps no other waiting.
            waiting.sort_by_key(|id| tried.get(id).copied());
            tried.retain(|id, _| waiting.contains(id));
            for id in waiting {
                if ids.len() < AT_ONCE && ids.insert(id) {
                    tried.insert(id, Instant::now());
                    let turn = Turn { until: Instant::now() + TURN, shutdown: shutdown.clone() };
                    working.push(self.work(id, turn));
                }
            }
            tokio::select! {
                Some(ended) = working.next(), if !working.is_empty() => drop(ids.remove(&ended)),
                () = tokio::time::sleep(POLL) => {}
                () = shutdown.cancelled() => {}
            }
        }
        // Each ends with the item that it is at.
        while working.next().await.is_some() {}
    }

    async fn waiting(&self) -> Vec<Uuid> {
        let found = sqlx::query_scalar("select id from bulk_view where has_work order by requested_at, id")
            .fetch_all(self.store.pool())
            .await;
        found.unwrap_or_else(|error| {
            tracing::debug!(%error, "bulk corrections wait for the database");
            Vec::new()
        })
    }

    async fn work(&self, id: Uuid, turn: Turn) -> Uuid {
        let pause = match self.work_alone(id, &turn).await {
            // The list may not know yet that there is nothing more to do.
            Ok(()) => POLL,
            Err(error) => {
                tracing::warn!(bulk_id = %id, %error, "bulk correction waits");
                PAUSE
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = turn.shutdown.cancelled() => {}
        }
        id
    }

    /// Unless another process is at it.
    async fn work_alone(&self, id: Uuid, turn: &Turn) -> Result<(), Error> {
        let Some(alone) = self.store.alone(&format!("bulk {id}")).await? else { return Ok(()) };
        let done = self.go_on(id, turn).await;
        alone.end().await?;
        done
    }

    async fn go_on(&self, id: Uuid, turn: &Turn) -> Result<(), Error> {
        while !turn.is_over() {
            let Some(bulk) = self.store.load::<Bulk>(id).await?.0 else { return Ok(()) };
            match bulk.work() {
                BulkWork::Preview => self.preview_all(id, &bulk, turn).await?,
                BulkWork::Execute => Box::pin(self.execute_all(id, &bulk, turn)).await?,
                BulkWork::Leave => self.leave_all(id, &bulk, turn).await?,
                BulkWork::Nothing => return Ok(()),
            }
        }
        Ok(())
    }

    async fn preview_all(&self, id: Uuid, bulk: &Bulk, turn: &Turn) -> Result<(), Error> {
        let previewed = |number: u32| async move {
            // Somebody may have rejected it.
            if number.is_multiple_of(LOOK_EVERY) && self.has_moved_on(id, bulk).await? {
                return Ok(None);
            }
            self.previewed(id, number).await.map(Some)
        };
        let items = stream::iter(1..=bulk.requested.items);
        let mut all = items.map(|number| previewed(number).boxed()).buffered(self.previews_at_once);
        let mut sum = Sum::of(bulk);
        while let Some(item) = all.next().await {
            match item? {
                Some(item) if !turn.is_over() => sum.add(&item),
                _ => return Ok(()),
            }
        }
        self.command(id, BulkCommand::Preview(sum.previewed(&self.policy))).await
    }

    async fn has_moved_on(&self, id: Uuid, bulk: &Bulk) -> Result<bool, Error> {
        let now = self.store.load::<Bulk>(id).await?.0;
        Ok(now.is_none_or(|now| now.status != bulk.status))
    }

    /// An item of which it is known what it would do.
    async fn previewed(&self, id: Uuid, number: u32) -> Result<Correction, Error> {
        let Ok(_permit) = self.permits.acquire().await else { return Err(Error::Conflict) };
        let part = part_id(id, number);
        let item = self.part(part).await?;
        if !item.is_open() || item.preview.is_some() {
            return Ok(item);
        }
        let mut tries = 0;
        let command = loop {
            let unit = self.store.begin(self.context(id)).await?;
            match preview(unit, part, &item.requested.kind, &self.handlers).await {
                Ok(preview) => break self.within_limit(preview),
                Err(CarryOutError::Refused(reason)) => break CorrectionCommand::FailPart { reason },
                Err(CarryOutError::Store(error)) if error.is_passing() && tries < PREVIEWS_MAX => tries += 1,
                Err(CarryOutError::Store(error)) => {
                    break CorrectionCommand::FailPart { reason: failure_of(&error).ok_or(error)? };
                }
            }
            tokio::time::sleep(CONFLICT_PAUSE).await;
        };
        self.command_part(id, part, command).await?;
        self.part(part).await
    }

    fn within_limit(&self, preview: Preview) -> CorrectionCommand {
        match self.policy.approvals_for(preview.amount) {
            Ok(_) => CorrectionCommand::PreviewPart(preview),
            Err(over) => CorrectionCommand::FailPart { reason: over.to_string() },
        }
    }

    async fn execute_all(&self, id: Uuid, bulk: &Bulk, turn: &Turn) -> Result<(), Error> {
        let mut pace = tokio::time::interval(Duration::from_secs(1) / bulk.requested.per_second.max(1));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut ended, up_to) = (BulkEnded { executed: 0, failed: 0, left: 0 }, bulk.up_to());
        for number in 1..=up_to {
            let part = part_id(id, number);
            let mut item = self.part(part).await?;
            if item.is_open() {
                tokio::select! {
                    _ = pace.tick() => {}
                    () = turn.shutdown.cancelled() => {}
                }
                if turn.is_over() {
                    return Ok(());
                }
                self.execute(id, number).await?;
                item = self.part(part).await?;
            }
            if item.is_open() {
                // Somebody has paused it, or ended it.
                return Ok(());
            }
            count(&mut ended, &item);
        }
        if up_to == bulk.requested.items {
            return self.command(id, BulkCommand::End(ended)).await;
        }
        let BulkEnded { executed, failed, .. } = ended;
        self.command(id, BulkCommand::EndCanary { executed, failed }).await
    }

    async fn execute(&self, id: Uuid, number: u32) -> Result<PartDone, Error> {
        let mut conflicts = 0;
        loop {
            let mut unit = self.store.begin(self.context(id)).await?;
            let done = match execute_part(&mut unit, id, number).await {
                Ok(done @ PartDone::Not(_)) => return Ok(done),
                Ok(done) => unit.commit().await.map(|_| done),
                Err(error) => {
                    unit.roll_back().await;
                    Err(error)
                }
            };
            match done {
                Err(Error::Conflict) if conflicts < CONFLICTS_MAX => conflicts += 1,
                Err(error) => {
                    let reason = failure_of(&error).ok_or(error)?;
                    let fail = CorrectionCommand::FailPart { reason };
                    self.command_part(id, part_id(id, number), fail).await?;
                    return Ok(PartDone::Failed);
                }
                done => return done,
            }
            tokio::time::sleep(CONFLICT_PAUSE).await;
        }
    }

    async fn leave_all(&self, id: Uuid, bulk: &Bulk, turn: &Turn) -> Result<(), Error> {
        let mut ended = BulkEnded { executed: 0, failed: 0, left: 0 };
        for number in 1..=bulk.requested.items {
            if turn.is_over() {
                return Ok(());
            }
            let part = part_id(id, number);
            let mut item = self.part(part).await?;
            if item.is_open() {
                let leave = CorrectionCommand::LeavePart { bulk: Box::new(bulk.clone()) };
                self.command_part(id, part, leave).await?;
                item = self.part(part).await?;
            }
            count(&mut ended, &item);
        }
        self.command(id, BulkCommand::End(ended)).await
    }

    async fn part(&self, part: Uuid) -> Result<Correction, Error> {
        // Made with the list, in one transaction.
        self.store.load::<Correction>(part).await?.0.ok_or(Error::Conflict)
    }

    /// What it refuses, somebody else has decided meanwhile: then there is other work, or none.
    async fn command(&self, id: Uuid, command: BulkCommand) -> Result<(), Error> {
        match self.store.execute::<Bulk>(id, command, self.context(id)).await {
            Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }

    async fn command_part(&self, id: Uuid, part: Uuid, command: CorrectionCommand) -> Result<(), Error> {
        match self.store.execute::<Correction>(part, command, self.context(id)).await {
            Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
            Err(ExecuteError::Store(error)) => Err(error),
        }
    }

    fn context(&self, id: Uuid) -> Context {
        let cause = Causation { kind: CausationKind::Correction, id };
        let actor = Actor::service(self.store.service(), "bulk");
        Context::because_of(cause, id, actor, Timestamp::now())
    }
}

/// For how long one is worked on.
struct Turn {
    until: Instant,
    shutdown: CancellationToken,
}

impl Turn {
    fn is_over(&self) -> bool {
        self.shutdown.is_cancelled() || Instant::now() > self.until
    }
}

fn count(ended: &mut BulkEnded, item: &Correction) {
    match item.status {
        Status::Executed => ended.executed += 1,
        Status::Failed { .. } => ended.failed += 1,
        _ => ended.left += 1,
    }
}

/// What all items come to.
struct Sum {
    hash: Sha256,
    totals: BTreeMap<&'static str, Money>,
    /// How many there were so far.
    items: u32,
    /// Those that can be done.
    ready: Vec<u32>,
    canary: u32,
}

impl Sum {
    fn of(bulk: &Bulk) -> Self {
        let hash = Sha256::new_with_prefix(&bulk.requested.list_hash);
        Self { hash, totals: BTreeMap::new(), items: 0, ready: Vec::new(), canary: bulk.requested.canary }
    }

    fn add(&mut self, item: &Correction) {
        self.items += 1;
        let effect = item.preview.as_ref().filter(|_| item.is_open());
        // Each ends with its line: no two lists come to the same text.
        self.hash.update(effect.map_or("cannot be done", |preview| preview.effect.as_str()));
        self.hash.update("\n");
        self.ready.extend(effect.map(|_| self.items));
        if let Some(amount) = effect.and_then(|preview| preview.amount) {
            let currency = amount.currency();
            let total = self.totals.entry(currency.code()).or_insert(Money::new(0, currency));
            let minor = total.minor().saturating_add(amount.minor().saturating_abs());
            *total = Money::new(minor, currency);
        }
    }

    fn previewed(self, policy: &Policy) -> BulkPreviewed {
        let totals: Vec<Money> = self.totals.into_values().collect();
        let ready = u32::try_from(self.ready.len()).unwrap_or(u32::MAX);
        // Never all of them, where there is more than one: what they come to is seen before the last is done.
        let canary = self.canary.min(ready.saturating_sub(1)).max(1);
        let last = usize::try_from(canary).ok().and_then(|canary| self.ready.get(canary - 1));
        BulkPreviewed {
            hash: self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            approvals: policy.approvals_for_all(&totals),
            totals,
            ready,
            refused: self.items - ready,
            canary_to: last.copied().unwrap_or_default(),
        }
    }
}
