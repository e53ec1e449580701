//! The requests that this process is answering just now.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_store::RequestKey;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// By key, what tells its end. Cheap to clone.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<HashMap<RequestKey, CancellationToken>>>);

/// That a request may be decided.
pub(crate) enum Turn {
    /// Others with the same key wait until this is dropped.
    First(#[expect(dead_code, reason = "its end is what it is for")] First),
    /// Another one has ended meanwhile, and has left its answer, most likely.
    Next,
}

pub(crate) struct First {
    running: Running,
    key: RequestKey,
}

impl Running {
    /// Waits for the end of the one with the same key that is under way, until then. None: it goes on.
    pub(crate) async fn turn(&self, key: &RequestKey, until: Instant) -> Option<Turn> {
        let ended = match self.keys().entry(key.clone()) {
            Entry::Occupied(running) => running.get().clone(),
            Entry::Vacant(free) => {
                free.insert(CancellationToken::new());
                return Some(Turn::First(First { running: self.clone(), key: key.clone() }));
            }
        };
        timeout_at(until, ended.cancelled()).await.ok()?;
        Some(Turn::Next)
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<RequestKey, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(ended) = self.running.keys().remove(&self.key) {
            ended.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_key_is_one_requests_at_a_time() {
        let running = Running::default();
        let key = |key: &str| RequestKey { principal: "a".to_owned(), operation: "o", key: key.to_owned() };
        let soon = || Instant::now() + Duration::from_millis(20);
        let first = running.turn(&key("k"), soon()).await;
        assert!(matches!(first, Some(Turn::First(_))));
        assert!(matches!(running.turn(&key("l"), soon()).await, Some(Turn::First(_))));
        assert!(running.turn(&key("k"), soon()).await.is_none());
        let (next, key) = (running.clone(), key("k"));
        let next = {
            let key = key.clone();
            tokio::spawn(async move { next.turn(&key, Instant::now() + Duration::from_secs(60)).await })
        };
        tokio::task::yield_now().await;
        drop(first);
        assert!(matches!(next.await.unwrap(), Some(Turn::Next)));
        assert!(matches!(running.turn(&key, soon()).await, Some(Turn::First(_))));
    }
}
