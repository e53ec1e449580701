//! How long to wait before the next try.

use std::time::Duration;

/// Tries in the handler's own transaction after lost races, before the event is parked.
pub(crate) const CONFLICTS_MAX: u32 = 32;
/// Failures of one event, each with a longer wait, before a person has to decide.
pub(crate) const ATTEMPTS_MAX: u32 = 6;
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Doubles from 100 ms up to 10 s, with jitter, so that what failed together does not come back together.
pub(crate) fn pause(attempt: u32) -> Duration {
    let ceiling = LONGEST.min(FIRST * 2_u32.saturating_pow(attempt.min(16)));
    rand::random_range(ceiling / 2..=ceiling)
}

/// A much shorter one for a lost race.
pub(crate) fn conflict_pause(conflict: u32) -> Duration {
    let ceiling = Duration::from_micros(500) * conflict.clamp(1, 40);
    rand::random_range(Duration::ZERO..=ceiling)
}
