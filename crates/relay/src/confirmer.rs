//! Confirms the slot: first the ceiling is written, durably, and only then is the server told.
//!
//! ```text
//! reached ──┬─ with events before it ── 100 ms since the last write ─┐
//!           ├─ 128 KiB of others' log ── 100 ms since the last write ┼─► write the ceiling ─► confirm
//!           ├─ 1 KiB of others' log ──── 10 s since the last write ──┤
//!           └─ the server asks ──────────────────────────────────────┘
//! ```
//!
//! A write makes log of its own, so that confirming whenever the log grows would never end: what the last write made is
//! not counted, and less than 1 KiB beside it is the server's housekeeping.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pgoutput::Lsn;
use replication::Progress;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::state::{Lease, StateTable};

/// Ten writes a second cost nothing that could be measured, and a crash repeats a tenth of a second.
const PACE: Duration = Duration::from_millis(100);
/// Others' log that is confirmed at once, though no event is in it.
pub(crate) const IDLE_BYTES: u64 = 128 * 1024;
/// Others' log that is confirmed after [`IDLE_PACE`]. A checkpoint with its list of transactions is shorter.
const IDLE_BYTES_MIN: u64 = 1024;
/// An update of one row, with the whole page that its first change after a checkpoint takes along.
const OWN_BYTES_MAX: u64 = 16 * 1024;
const IDLE_PACE: Duration = Duration::from_secs(10);
/// For the last write: it can wait for a synchronous standby that does not come back.
const LAST_WRITE_LIMIT: Duration = Duration::from_secs(5);

/// A snapshot, and a place in the log that all commits which are visible in it come before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Visible {
    pub(crate) snapshot: String,
    pub(crate) lsn: Lsn,
}

/// How far the slot may be confirmed, as those tell who learn of it; the latest word counts.
#[derive(Clone, Default)]
pub(crate) struct Confirmable(Arc<Shared>);

#[derive(Default)]
struct Shared {
    reached: AtomicU64,
    newest_event: AtomicU64,
    is_asked: AtomicBool,
    changed: Notify,
    visible: Mutex<Option<Visible>>,
}

impl Confirmable {
    /// Everything before `lsn` is with the sink.
    pub(crate) fn reach(&self, lsn: Lsn) {
        if self.0.reached.fetch_max(lsn.as_u64(), Ordering::AcqRel) < lsn.as_u64() {
            self.0.changed.notify_one();
        }
    }

    /// A transaction with events ends here; told before it can be reached.
    pub(crate) fn event(&self, end_lsn: Lsn) {
        self.0.newest_event.fetch_max(end_lsn.as_u64(), Ordering::AcqRel);
    }

    /// The server wants a word at once: it may be shutting down.
    pub(crate) fn ask(&self) {
        self.0.is_asked.store(true, Ordering::Release);
        self.0.changed.notify_one();
    }

    /// Until this was taken, the publication was whole: once all before it is confirmed, it is the horizon.
    pub(crate) fn vouch(&self, visible: Visible) {
        *self.0.visible.lock().unwrap_or_else(PoisonError::into_inner) = Some(visible);
    }

    fn reached(&self) -> Lsn {
        Lsn::new(self.0.reached.load(Ordering::Acquire))
    }

    fn newest_event(&self) -> Lsn {
        Lsn::new(self.0.newest_event.load(Ordering::Acquire))
    }

    /// The snapshot to store with a ceiling of `ceiling`, once.
    fn horizon(&self, ceiling: Lsn) -> Option<String> {
        let mut visible = self.0.visible.lock().unwrap_or_else(PoisonError::into_inner);
        visible.take_if(|visible| visible.lsn <= ceiling).map(|visible| visible.snapshot)
    }
}

pub(crate) struct Confirmer {
    state: StateTable,
    epoch: i64,
    confirmable: Confirmable,
    progress: Progress,
    written: Written,
}

/// The last write of a ceiling.
#[derive(Debug, Clone, Copy)]
struct Written {
    ceiling: Lsn,
    /// What the write itself added to the log.
    own_bytes: u64,
    at: Instant,
}

/// When to write next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Then, whatever comes.
    At(Instant),
    /// Then, unless something comes that is more urgent.
    Later(Instant),
    Never,
}

impl Confirmer {
    pub(crate) fn new(state: StateTable, lease: Lease, confirmable: Confirmable, progress: Progress) -> Self {
        let Lease { epoch, confirmed_lsn } = lease;
        let written = Written { ceiling: confirmed_lsn, own_bytes: 0, at: Instant::now() };
        Self { state, epoch, confirmable, progress, written }
    }

    /// Until `stop`, and then once more: what the sink has by then is confirmed.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let changed = Arc::clone(&self.confirmable.0);
            match self.due() {
                Due::At(then) => tokio::select! {
                    () = sleep_until(then) => self.write().await?,
                    () = stop.cancelled() => break,
                },
                Due::Later(then) => tokio::select! {
                    () = sleep_until(then) => self.write().await?,
                    () = changed.changed.notified() => {}
                    () = stop.cancelled() => break,
                },
                Due::Never => tokio::select! {
                    () = changed.changed.notified() => {}
                    () = stop.cancelled() => break,
                },
            }
        }
        if self.confirmable.reached() <= self.written.ceiling {
            return Ok(());
        }
        let late = Error::Unavailable("the last ceiling could not be written in time".to_owned());
        timeout(LAST_WRITE_LIMIT, self.write()).await.unwrap_or(Err(late))
    }

    fn due(&self) -> Due {
        let is_asked = self.confirmable.0.is_asked.load(Ordering::Acquire);
        let newest_event = self.confirmable.newest_event();
        due(self.written, self.confirmable.reached(), newest_event, is_asked)
    }

    async fn write(&mut self) -> Result<(), Error> {
        self.confirmable.0.is_asked.store(false, Ordering::Release);
        let ceiling = self.confirmable.reached();
        if ceiling <= self.written.ceiling {
            // A server that shuts down ends this connection first, and goes on asking on the other one.
            self.state.ping().await?;
            self.written.at = Instant::now();
            return Ok(());
        }
        let horizon = self.confirmable.horizon(ceiling);
        let (start, end) = self.state.raise(self.epoch, ceiling, horizon.as_deref()).await?;
        // Others may have written at the same time.
        let own_bytes = OWN_BYTES_MAX.min(end.as_u64().saturating_sub(start.as_u64()));
        self.written = Written { ceiling, own_bytes, at: Instant::now() };
        self.progress.confirm(ceiling);
        Ok(())
    }
}

fn due(written: Written, reached: Lsn, newest_event: Lsn, is_asked: bool) -> Due {
    if is_asked {
        return Due::At(written.at + PACE);
    }
    if reached <= written.ceiling {
        return Due::Never;
    }
    let of_others = reached.as_u64().saturating_sub(written.ceiling.as_u64() + written.own_bytes);
    if newest_event > written.ceiling || of_others >= IDLE_BYTES {
        Due::At(written.at + PACE)
    } else if of_others >= IDLE_BYTES_MIN {
        Due::Later(written.at + IDLE_PACE)
    } else {
        Due::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Written {
        Written { ceiling: Lsn::new(1_000), own_bytes: 500, at: Instant::now() }
    }

    #[test]
    fn an_event_is_confirmed_at_the_pace() {
        let written = written();
        let end = Lsn::new(1_100);
        assert_eq!(due(written, end, end, false), Due::At(written.at + PACE));
        let later = Lsn::new(2_000);
        assert_eq!(due(written, end, later, false), Due::At(written.at + PACE), "one of several is reached");
        assert_eq!(due(written, written.ceiling, later, false), Due::Never, "none is reached");
    }

    #[test]
    fn our_own_write_is_never_the_reason_for_another_one() {
        let (written, before) = (written(), Lsn::new(900));
        assert_eq!(due(written, Lsn::new(1_500), before, false), Due::Never);
        let housekeeping = Lsn::new(1_500 + IDLE_BYTES_MIN - 1);
        assert_eq!(due(written, housekeeping, before, false), Due::Never);
    }

    #[test]
    fn the_log_of_others_is_confirmed_at_once_when_it_is_much_and_in_time_when_it_is_not() {
        let (written, before) = (written(), Lsn::new(900));
        let little = Lsn::new(1_500 + IDLE_BYTES_MIN);
        assert_eq!(due(written, little, before, false), Due::Later(written.at + IDLE_PACE));
        let much = Lsn::new(1_500 + IDLE_BYTES);
        assert_eq!(due(written, much, before, false), Due::At(written.at + PACE));
    }

    #[test]
    fn a_server_that_asks_is_answered_though_nothing_is_new() {
        let written = written();
        assert_eq!(due(written, written.ceiling, Lsn::ZERO, true), Due::At(written.at + PACE));
    }

    #[test]
    fn a_snapshot_becomes_the_horizon_once_and_only_when_all_before_it_is_confirmed() {
        let confirmable = Confirmable::default();
        confirmable.vouch(Visible { snapshot: "7:9:".to_owned(), lsn: Lsn::new(50) });
        assert_eq!(confirmable.horizon(Lsn::new(49)), None);
        assert_eq!(confirmable.horizon(Lsn::new(50)).as_deref(), Some("7:9:"));
        assert_eq!(confirmable.horizon(Lsn::new(60)), None);
    }
}
