//! How much of the time a rebuild works: all of it where nobody else appends, a tenth of it where somebody does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_store::Store;

/// For each time that it has worked, beside others.
const RESTS: u32 = 9;
const REST_MAX: Duration = Duration::from_millis(500);
/// A chunk is one transaction, and the handler stands still meanwhile: for so long where nobody else is at it, and beside others.
const STANDSTILL: Duration = Duration::from_millis(25);
const STANDSTILL_BESIDE: Duration = Duration::from_millis(5);
/// Between two looks. The server counts what a session has appended once a second.
const LOOK: Duration = Duration::from_millis(500);
const REMEMBERED: Duration = Duration::from_secs(3);
/// So many events between two looks are somebody's; fewer may be a rebuild's own.
const OTHERS_MIN: i64 = 5;

/// Whether others append.
#[derive(Default)]
pub(crate) struct Others(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    looked: Option<(Instant, i64)>,
    last: Option<Instant>,
}

impl Others {
    pub(crate) async fn look(&self, store: &Store) -> Result<(), sqlx::Error> {
        if self.seen().looked.is_some_and(|(at, _)| at.elapsed() < LOOK) {
            return Ok(());
        }
        let appended: i64 =
            sqlx::query_scalar("select pg_stat_get_tuples_inserted('public.event'::regclass)")
                .fetch_one(store.pool())
                .await?;
        let now = Instant::now();
        let mut seen = self.seen();
        if seen.looked.is_some_and(|(_, before)| appended - before >= OTHERS_MIN) {
            seen.last = Some(now);
        }
        seen.looked = Some((now, appended));
        Ok(())
    }

    fn are_at_it(&self) -> bool {
        self.seen().last.is_some_and(|at| at.elapsed() < REMEMBERED)
    }

    /// How long a chunk may take.
    pub(crate) fn standstill(&self) -> Duration {
        if self.are_at_it() { STANDSTILL_BESIDE } else { STANDSTILL }
    }

    /// After work that took so long.
    pub(crate) async fn make_room(&self, worked: Duration) {
        if self.are_at_it() {
            tokio::time::sleep(REST_MAX.min(worked * RESTS)).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
