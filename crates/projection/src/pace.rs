//! How much of the time a rebuild works: all of it where nobody else appends, about a tenth where somebody does; more, where it would not come
//! to its end otherwise.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use event_store::Store;

/// For each time that it has worked, beside others.
const RESTS: u32 = 9;
const REST_MAX: Duration = Duration::from_millis(500);
/// As what others append has to be loaded too, it is so many times as fast as they are.
const FASTER: u64 = 4;
/// A chunk is one transaction, and the handler stands still meanwhile: for so long where nobody else is at it, and beside others.
const STANDSTILL: Duration = Duration::from_millis(25);
const STANDSTILL_BESIDE: Duration = Duration::from_millis(5);
/// Between two looks. The server counts what a session has appended once a second.
const LOOK: Duration = Duration::from_millis(500);
const REMEMBERED: Duration = Duration::from_secs(3);
/// So many events between two looks are somebody's; fewer may be a rebuild's own.
const OTHERS_MIN: u64 = 5;

/// What others append.
#[derive(Default)]
pub(crate) struct Others(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    looked: Option<(Instant, u64)>,
    /// Events a second, when that was seen.
    rate: Option<(Instant, u64)>,
    /// There was time for the whole of the last rest.
    has_time: bool,
}

impl Seen {
    fn rate(&self) -> Option<u64> {
        self.rate.filter(|(at, _)| at.elapsed() < REMEMBERED).map(|(_, rate)| rate)
    }

    fn rest(&mut self, worked: Duration, events: usize) -> Duration {
        let Some(rate) = self.rate() else { return Duration::ZERO };
        let wanted = REST_MAX.min(worked * RESTS);
        let may_take = u64::try_from(events).unwrap_or(u64::MAX).saturating_mul(1_000) / (FASTER * rate);
        let rest = Duration::from_millis(may_take).saturating_sub(worked).min(wanted);
        self.has_time = rest == wanted;
        rest
    }

    fn standstill(&self) -> Duration {
        if self.rate().is_some() && self.has_time { STANDSTILL_BESIDE } else { STANDSTILL }
    }
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
        let (now, appended) = (Instant::now(), appended.unsigned_abs());
        let mut seen = self.seen();
        if let Some((at, before)) = seen.looked {
            let (count, millis) = (appended.saturating_sub(before), (now - at).as_millis().max(1));
            if count >= OTHERS_MIN {
                let rate = count.saturating_mul(1_000) / u64::try_from(millis).unwrap_or(u64::MAX);
                seen.rate = Some((now, rate.max(1)));
            }
        }
        seen.looked = Some((now, appended));
        Ok(())
    }

    /// How long a chunk may take.
    pub(crate) fn standstill(&self) -> Duration {
        self.seen().standstill()
    }

    /// After work that took so long, on so many events.
    pub(crate) async fn make_room(&self, worked: Duration, events: usize) {
        let rest = self.seen().rest(worked, events);
        if rest > Duration::ZERO {
            tokio::time::sleep(rest).await;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKED: Duration = Duration::from_millis(10);

    #[test]
    fn a_rebuild_rests_beside_others_as_long_as_it_comes_to_its_end() {
        let beside = |rate| Seen { rate: Some((Instant::now(), rate)), ..Seen::default() };
        let mut alone = Seen::default();
        assert_eq!((alone.rest(WORKED, 1_000), alone.standstill()), (Duration::ZERO, STANDSTILL));
        let mut some = beside(100);
        assert_eq!((some.rest(WORKED, 1_000), some.standstill()), (WORKED * RESTS, STANDSTILL_BESIDE));
        // A thousand events may take 62 ms, where a thousand come in 250.
        let mut many = beside(4_000);
        assert_eq!((many.rest(WORKED, 1_000), many.standstill()), (Duration::from_millis(52), STANDSTILL));
        assert_eq!(many.rest(WORKED, 100), Duration::ZERO);
    }
}
