//! How much each principal may ask in a second: a token bucket each (https://en.wikipedia.org/wiki/Token_bucket), which holds what is allowed
//! in two seconds, so that who has been quiet may hurry once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const SECONDS_SAVED: u32 = 2;
/// Those that are full are no different from none.
const BUCKETS_SWEPT_AT: usize = 10_000;
const SECOND: Duration = Duration::from_secs(1);

pub struct RateLimit {
    per_second: u32,
    /// By principal: when the bucket will be full again.
    full_at: Mutex<HashMap<String, Instant>>,
}

impl RateLimit {
    /// None of them for 0.
    pub fn new(per_second: u32) -> Self {
        Self { per_second, full_at: Mutex::default() }
    }

    /// Takes one request of a principal, or says how long they have to wait for the next.
    pub fn take(&self, principal: &str, now: Instant) -> Result<(), Duration> {
        let Some(one) = SECOND.checked_div(self.per_second) else { return Ok(()) };
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = match buckets.get_mut(principal) {
            Some(full_at) => full_at,
            None => {
                if buckets.len() >= BUCKETS_SWEPT_AT {
                    buckets.retain(|_, full_at| *full_at > now);
                }
                buckets.entry(principal.to_owned()).or_insert(now)
            }
        };
        let after = (*full_at).max(now) + one;
        let empty_at = now + SECOND * SECONDS_SAVED;
        if after > empty_at {
            return Err(after - empty_at);
        }
        *full_at = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hurries_waits_and_nobody_else_does() {
        let (limit, start) = (RateLimit::new(10), Instant::now());
        for _ in 0..20 {
            assert_eq!(limit.take("checkout", start), Ok(()));
        }
        assert_eq!(limit.take("checkout", start), Err(Duration::from_millis(100)));
        assert_eq!(limit.take("desk", start), Ok(()));
        assert_eq!(limit.take("checkout", start + Duration::from_millis(100)), Ok(()));
        assert!(limit.take("checkout", start + Duration::from_millis(100)).is_err());
        assert_eq!(limit.take("checkout", start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let (limit, start) = (RateLimit::new(10), Instant::now());
        for n in 0..3 * BUCKETS_SWEPT_AT {
            let second = u64::try_from(n / BUCKETS_SWEPT_AT).unwrap();
            assert_eq!(limit.take(&n.to_string(), start + Duration::from_secs(second)), Ok(()));
        }
        assert!(limit.full_at.lock().unwrap().len() <= BUCKETS_SWEPT_AT);
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let limit = RateLimit::new(0);
        assert!((0..100_000).all(|_| limit.take("checkout", Instant::now()).is_ok()));
    }
}
