//! How far the caller has come, shared between it, the stream and the status task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pgoutput::Lsn;
use tokio::sync::Notify;

/// A handle on what a stream has confirmed; clones share it.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The slot's own position when the stream began.
    floor: Lsn,
    confirmed: AtomicU64,
    risen: Notify,
    asked: Notify,
    stop: Notify,
}

impl Progress {
    pub(crate) fn new(floor: Lsn) -> Self {
        let confirmed = AtomicU64::new(floor.as_u64());
        let (risen, asked, stop) = (Notify::new(), Notify::new(), Notify::new());
        Self(Arc::new(Shared { floor, confirmed, risen, asked, stop }))
    }

    /// Everything before `lsn` is safe elsewhere, and the server need not keep it: a commit's **end**, or the
    /// `wal_end` of a keepalive when nothing is under way.
    ///
    /// A lower value than before changes nothing. The server learns of it within about 100 ms, many calls in one message.
    pub fn confirm(&self, lsn: Lsn) {
        if self.0.confirmed.fetch_max(lsn.as_u64(), Ordering::AcqRel) < lsn.as_u64() {
            self.0.risen.notify_one();
        }
    }

    /// The highest LSN confirmed; at first the slot's `confirmed_flush_lsn` as it was when the stream began.
    pub fn confirmed(&self) -> Lsn {
        Lsn::new(self.0.confirmed.load(Ordering::Acquire))
    }

    /// What to tell the server: nothing ([`Lsn::ZERO`]) until this stream itself has confirmed something.
    ///
    /// Older servers set the slot to whatever they are told, backwards too, so neither the LSN that the stream
    /// was asked to start at nor a stale reading of the slot may be reported.
    pub(crate) fn reported(&self) -> Lsn {
        let confirmed = self.confirmed();
        if confirmed > self.0.floor { confirmed } else { Lsn::ZERO }
    }

    pub(crate) fn ask(&self) {
        self.0.asked.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.0.stop.notify_one();
    }

    pub(crate) async fn risen(&self) {
        self.0.risen.notified().await;
    }

    pub(crate) async fn asked(&self) {
        self.0.asked.notified().await;
    }

    pub(crate) async fn stopped(&self) {
        self.0.stop.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use pgoutput::Lsn;

    use super::Progress;

    #[test]
    fn progress_never_goes_back_and_reports_nothing_but_confirms() {
        let progress = Progress::new(Lsn::new(100));
        assert_eq!((progress.confirmed(), progress.reported()), (Lsn::new(100), Lsn::ZERO));

        progress.confirm(Lsn::new(50));
        assert_eq!((progress.confirmed(), progress.reported()), (Lsn::new(100), Lsn::ZERO));

        progress.confirm(Lsn::new(200));
        progress.confirm(Lsn::new(150));
        assert_eq!((progress.confirmed(), progress.reported()), (Lsn::new(200), Lsn::new(200)));
    }
}
