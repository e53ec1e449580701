//! How long the slot can go on like this: the log that it holds back, against what it may hold back.
//!
//! The budget (`max_slot_wal_keep_size`) is a choice for the payments: when it is spent, the server gives up the slot
//! rather than fill its disk, and the sink is refilled from the event table. The governor says early that it will.

use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use metrics::gauge;
use pgoutput::Lsn;
use replication::{Slot, WalStatus};
use tokio::time::Instant;

use crate::confirmer::IDLE_BYTES;

/// Of the budget, in percent: a warning, and an error.
const USED_HALF: u64 = 50;
const USED_HIGH: u64 = 80;
/// An acknowledgement that takes this long is not just a busy broker.
const SINK_SLOW_AFTER: Duration = Duration::from_secs(10);
/// Log that must be kept though it is confirmed, because a transaction that began in it is still open.
const LONG_TRANSACTION_BYTES: u64 = 64 * 1024 * 1024;
/// One hour of looking every 5 s: a longer lag is shown as an hour.
const SAMPLES_MAX: usize = 720;
/// The weight of what is new in the rate, one in so many.
const SMOOTHING: u64 = 4;

/// What one look at the slot shows.
#[derive(Debug, Clone)]
pub(crate) struct Observation<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) wal_end: Lsn,
    pub(crate) budget_bytes: Option<u64>,
    pub(crate) is_in_flight: bool,
    pub(crate) is_standby_away: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    pub lag_bytes: u64,
    pub lag: Duration,
    /// None without a limit.
    pub safe_bytes: Option<u64>,
    pub bytes_per_second: u64,
    /// None without a limit, and while nothing is written.
    pub until_invalidation: Option<Duration>,
    /// Of the budget.
    pub used_percent: Option<u64>,
    pub is_lost: bool,
    pub held_by: Option<HeldBy>,
}

/// What keeps the slot from moving on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    Sink,
    Standby,
    LongTransaction,
    /// It moves, and has not arrived yet.
    CatchingUp,
}

#[derive(Default)]
pub(crate) struct Governor {
    samples: VecDeque<(Instant, Lsn)>,
    bytes_per_second: u64,
    /// Where the slot stood, and since when.
    confirmed: Option<(Lsn, Instant)>,
    /// The highest threshold that was told of.
    told_percent: u64,
}

impl Governor {
    pub(crate) fn observe(&mut self, seen: &Observation<'_>, now: Instant) -> Backlog {
        let confirmed = seen.slot.confirmed_flush_lsn.unwrap_or_default();
        let lag_bytes = distance(confirmed, seen.wal_end);
        self.sample(seen.wal_end, now);
        let safe_bytes = seen.budget_bytes.and(seen.slot.safe_wal_size_bytes);
        let safe_bytes = safe_bytes.map(|bytes| u64::try_from(bytes).unwrap_or_default());
        let used_percent = seen
            .budget_bytes
            .zip(safe_bytes)
            .map(|(budget, safe)| budget.saturating_sub(safe).saturating_mul(100) / budget.max(1));
        let backlog = Backlog {
            lag_bytes,
            lag: if is_idle(seen, lag_bytes) { Duration::ZERO } else { self.lag(confirmed, now) },
            safe_bytes,
            bytes_per_second: self.bytes_per_second,
            until_invalidation: safe_bytes
                .and_then(|safe| safe.checked_div(self.bytes_per_second))
                .map(Duration::from_secs),
            used_percent,
            is_lost: seen.slot.wal_status == Some(WalStatus::Lost),
            held_by: self.held_by(seen, confirmed, lag_bytes, now),
        };
        self.tell(&backlog);
        backlog
    }

    fn sample(&mut self, wal_end: Lsn, now: Instant) {
        if let Some((then, before)) = self.samples.back() {
            let millis = u64::try_from((now - *then).as_millis()).unwrap_or(u64::MAX).max(1);
            let rate = distance(*before, wal_end).saturating_mul(1000) / millis;
            self.bytes_per_second =
                (self.bytes_per_second.saturating_mul(SMOOTHING - 1).saturating_add(rate)) / SMOOTHING;
        }
        self.samples.push_back((now, wal_end));
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }

    /// Since when there has been log that is not confirmed.
    fn lag(&self, confirmed: Lsn, now: Instant) -> Duration {
        let first = self.samples.iter().find(|(_, wal_end)| *wal_end > confirmed);
        first.map_or(Duration::ZERO, |(then, _)| now - *then)
    }

    fn held_by(
        &mut self,
        seen: &Observation<'_>,
        confirmed: Lsn,
        lag_bytes: u64,
        now: Instant,
    ) -> Option<HeldBy> {
        let since = match self.confirmed {
            Some((before, since)) if before == confirmed => since,
            _ => now,
        };
        self.confirmed = Some((confirmed, since));
        let kept_bytes = distance(seen.slot.restart_lsn.unwrap_or(confirmed), confirmed);
        if seen.is_standby_away {
            Some(HeldBy::Standby)
        } else if seen.is_in_flight && now - since >= SINK_SLOW_AFTER {
            Some(HeldBy::Sink)
        } else if kept_bytes >= LONG_TRANSACTION_BYTES {
            Some(HeldBy::LongTransaction)
        } else {
            (!is_idle(seen, lag_bytes)).then_some(HeldBy::CatchingUp)
        }
    }

    /// Once per threshold and crossing.
    fn tell(&mut self, backlog: &Backlog) {
        let used_percent = backlog.used_percent.unwrap_or_default();
        let threshold =
            [USED_HIGH, USED_HALF].into_iter().find(|each| used_percent >= *each).unwrap_or_default();
        let is_higher = threshold > self.told_percent;
        self.told_percent = threshold;
        if !is_higher {
            return;
        }
        let Backlog { lag_bytes, safe_bytes, until_invalidation, .. } = backlog;
        let held_by = backlog.held_by.map_or("nothing", HeldBy::as_str);
        if threshold == USED_HIGH {
            tracing::error!(
                used_percent,
                lag_bytes,
                safe_bytes,
                ?until_invalidation,
                held_by,
                "the slot will soon be lost"
            );
        } else {
            tracing::warn!(
                used_percent,
                lag_bytes,
                safe_bytes,
                ?until_invalidation,
                held_by,
                "the slot holds back much log"
            );
        }
    }
}

impl Backlog {
    /// What an operator should look at before the server gives up the slot.
    pub(crate) fn danger(&self) -> Option<String> {
        let held_by = self.held_by.map_or("nothing", HeldBy::as_str);
        if self.is_lost {
            return Some("the slot is lost".to_owned());
        }
        let used_percent = self.used_percent.filter(|used| *used >= USED_HIGH)?;
        Some(format!("the slot has used {used_percent} % of the log that it may hold back: {held_by}"))
    }

    pub(crate) fn publish(&self, service: &str) {
        let set = |name: &'static str, value: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a gauge shows magnitudes")]
            gauge!(name, "service" => service.to_owned()).set(value as f64);
        };
        set("lunaria_relay_lag_bytes", self.lag_bytes);
        gauge!("lunaria_relay_lag_seconds", "service" => service.to_owned()).set(self.lag.as_secs_f64());
        set("lunaria_slot_lost", u64::from(self.is_lost));
        // Without a limit there is nothing to show: a series that is missing does not raise an alarm.
        if let Some(bytes) = self.safe_bytes {
            set("lunaria_slot_safe_bytes", bytes);
        }
        if self.safe_bytes.is_some() {
            let seconds = self.until_invalidation.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
            gauge!("lunaria_slot_seconds_to_invalidation", "service" => service.to_owned()).set(seconds);
        }
    }
}

impl HeldBy {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sink => "the sink does not acknowledge",
            Self::Standby => "the synchronous standby is away",
            Self::LongTransaction => "a transaction has been open for long",
            Self::CatchingUp => "the relay is catching up",
        }
    }
}

impl Display for HeldBy {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Nothing is under way, and what is not confirmed is less than an idle relay confirms.
fn is_idle(seen: &Observation<'_>, lag_bytes: u64) -> bool {
    !seen.is_in_flight && lag_bytes < 2 * IDLE_BYTES
}

fn distance(from: Lsn, to: Lsn) -> u64 {
    to.as_u64().saturating_sub(from.as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn slot(confirmed: u64, safe: Option<i64>) -> Slot {
        Slot {
            plugin: None,
            slot_type: "logical".to_owned(),
            database: None,
            temporary: false,
            active: true,
            active_pid: None,
            restart_lsn: Some(Lsn::new(confirmed)),
            confirmed_flush_lsn: Some(Lsn::new(confirmed)),
            wal_status: Some(WalStatus::Reserved),
            safe_wal_size_bytes: safe,
            failover: false,
            synced: false,
            invalidation_reason: None,
        }
    }

    fn seen(slot: &Slot, wal_end: u64) -> Observation<'_> {
        let (wal_end, budget_bytes) = (Lsn::new(wal_end), Some(100 * MIB));
        Observation { slot, wal_end, budget_bytes, is_in_flight: true, is_standby_away: false }
    }

    #[test]
    fn the_time_that_is_left_follows_from_the_rate() {
        let (mut governor, start) = (Governor::default(), Instant::now());
        let mut last = None;
        for second in 0..40_u64 {
            let slot = slot(MIB, Some(i64::try_from((60 - second) * MIB).unwrap()));
            let now = start + Duration::from_secs(second);
            last = Some(governor.observe(&seen(&slot, (1 + second) * MIB), now));
        }
        let last = last.unwrap();
        assert!(last.bytes_per_second.abs_diff(MIB) < MIB / 100, "{}", last.bytes_per_second);
        assert!(last.until_invalidation.unwrap().as_secs().abs_diff(21) <= 1);
        assert_eq!((last.used_percent, last.lag_bytes), (Some(79), 39 * MIB));
        assert_eq!(last.lag, Duration::from_secs(38));
        assert_eq!(last.held_by, Some(HeldBy::Sink));
    }

    #[test]
    fn what_holds_the_slot_is_named() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        let mut moving = slot(200 * MIB, None);
        assert_eq!(governor.observe(&seen(&moving, 300 * MIB), now).held_by, Some(HeldBy::CatchingUp));
        moving.restart_lsn = Some(Lsn::new(100 * MIB));
        assert_eq!(governor.observe(&seen(&moving, 300 * MIB), now).held_by, Some(HeldBy::LongTransaction));
        let away = Observation { is_standby_away: true, ..seen(&moving, 300 * MIB) };
        assert_eq!(governor.observe(&away, now).held_by, Some(HeldBy::Standby));
        let still = slot(200 * MIB, None);
        let idle = Observation { is_in_flight: false, ..seen(&still, 200 * MIB) };
        assert_eq!(governor.observe(&idle, now).held_by, None);
    }

    #[test]
    fn a_threshold_is_told_once_per_crossing() {
        let (mut governor, now) = (Governor::default(), Instant::now());
        let mut told = Vec::new();
        for safe_mib in [90, 49, 40, 15, 90, 45] {
            let slot = slot(MIB, Some(safe_mib * 1024 * 1024));
            governor.observe(&seen(&slot, MIB), now);
            told.push(governor.told_percent);
        }
        assert_eq!(told, [0, USED_HALF, USED_HALF, USED_HIGH, 0, USED_HALF]);
    }
}
