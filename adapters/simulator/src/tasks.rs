//! The tasks that the house has started: waited for at the end, and none dies unnoticed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    panicked: CancellationToken,
    abandoned: CancellationToken,
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alarm = Alarm(self.panicked.clone());
        let abandoned = self.abandoned.clone();
        self.tracker.spawn(async move {
            let _alarm = alarm;
            tokio::select! {
                () = task => {}
                () = abandoned.cancelled() => {}
            }
        });
    }

    /// Ends when a task has panicked.
    pub(crate) async fn panicked(&self) {
        self.panicked.cancelled().await;
    }

    /// Waits for all tasks; those that are not done within `limit` are dropped.
    pub(crate) async fn finish(&self, limit: Duration) {
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!(tasks = self.tracker.len(), "tasks did not end in time and are dropped");
            self.abandoned.cancel();
            self.tracker.wait().await;
        }
    }
}

/// The runtime swallows a panic in a task that nobody joins; this tells of it.
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Tasks;

    #[tokio::test]
    async fn a_panic_in_a_task_is_told() {
        let tasks = Tasks::default();
        tasks.spawn(async {
            tokio::task::yield_now().await;
            panic!("seeded");
        });
        tokio::time::timeout(Duration::from_secs(10), tasks.panicked()).await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_never_ends_is_dropped_at_the_limit() {
        let tasks = Tasks::default();
        tasks.spawn(std::future::pending());
        tokio::time::timeout(Duration::from_secs(10), tasks.finish(Duration::from_millis(1))).await.unwrap();
    }
}
