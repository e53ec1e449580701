//! How often, and how soon, a conflict is tried again.

use std::time::Duration;

/// A hot stream with 64 writers settles well within this; beyond it something else is wrong.
const TRIES_MAX: u32 = 64;
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Counts the conflicts of one operation and waits between tries, with jitter so that rivals spread out.
#[derive(Debug, Default)]
pub(crate) struct Conflicts(u32);

impl Conflicts {
    pub(crate) async fn may_retry(&mut self) -> bool {
        self.0 += 1;
        if self.0 >= TRIES_MAX {
            return false;
        }
        let ceiling = PAUSE_MAX.min(Duration::from_micros(500) * self.0);
        tokio::time::sleep(rand::random_range(Duration::ZERO..=ceiling)).await;
        true
    }
}
