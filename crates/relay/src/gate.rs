//! The standby gate: nothing is published that the synchronous standby has not flushed.
//!
//! A `commit` that waits for its standby is invisible to every reader, but the log has it, and the slot delivers it. Were
//! the standby promoted then, the sink would hold an event that never officially happened.
//!
//! ```text
//! begin(final_lsn) ─► before a boundary that the standby has passed ─► go on
//!                  └► sample flushed, boundary ─► wait until the standby has flushed `flushed` ─► go on
//! ```
//!
//! What the server has flushed may end in the middle of a record, so that it vouches only for transactions that had
//! arrived when it was sampled. A boundary, where the next record will be inserted, vouches for all that begin before it:
//! one wait lets many transactions pass.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pgoutput::Lsn;
use replication::{Client, literal};
use tokio::sync::Mutex;

use crate::{Error, Status};

/// A standby on the same network has flushed within a few of these.
const POLL_FIRST: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(5);
/// While the standby is away, or far behind.
const POLL_AWAY: Duration = Duration::from_millis(50);
/// More boundaries than that are not worth remembering.
const BOUNDARIES_MAX: usize = 64;

pub(crate) struct Gate {
    observer: Arc<Mutex<Client>>,
    standby: String,
    passed: Passed,
    status: Status,
}

/// What the standby is known to have.
#[derive(Default)]
struct Passed {
    /// Every transaction whose commit record begins before this.
    before: Lsn,
    /// Boundaries ahead, ascending.
    boundaries: VecDeque<Lsn>,
}

struct Sample {
    flushed: Lsn,
    boundary: Lsn,
    /// None: the standby is away.
    standby: Option<Lsn>,
}

impl Gate {
    pub(crate) fn new(observer: Arc<Mutex<Client>>, standby: String, status: Status) -> Self {
        Self { observer, standby, passed: Passed::default(), status }
    }

    /// Waits until the standby has the transaction whose commit record begins at `final_lsn`. To be dropped only with
    /// the session: the query that is under way makes the connection unusable.
    pub(crate) async fn wait(&mut self, final_lsn: Lsn) -> Result<(), Error> {
        if self.passed.has(final_lsn) {
            return Ok(());
        }
        let mut needed = None;
        let mut pause = POLL_FIRST;
        loop {
            let sample = self.sample().await?;
            // The first one was taken after the transaction had arrived, so that it is flushed there.
            let needed = *needed.get_or_insert(sample.flushed);
            self.passed.note(sample.boundary, sample.standby.unwrap_or_default());
            self.status.standby_is_away(sample.standby.is_none());
            if self.passed.has(final_lsn) || sample.standby.is_some_and(|standby| standby >= needed) {
                return Ok(());
            }
            let is_away = sample.standby.is_none();
            tokio::time::sleep(if is_away { POLL_AWAY } else { pause }).await;
            pause = POLL_MAX.min(pause * 2);
        }
    }

    /// The least advanced one, should several go by the name.
    async fn sample(&self) -> Result<Sample, Error> {
        let sql = format!(
            "select pg_current_wal_flush_lsn() as flushed, pg_current_wal_insert_lsn() as boundary,
                    (select min(flush_lsn) from pg_stat_replication
                     where application_name = {} and state = 'streaming') as standby",
            literal(&self.standby)
        );
        let rows = self.observer.lock().await.query(&sql).await?;
        let row =
            rows.first().ok_or_else(|| Error::Unavailable("the server tells no position".to_owned()))?;
        Ok(Sample {
            flushed: row.require("flushed")?,
            boundary: row.require("boundary")?,
            standby: row.parse("standby")?,
        })
    }
}

impl Passed {
    fn has(&self, final_lsn: Lsn) -> bool {
        final_lsn < self.before
    }

    fn note(&mut self, boundary: Lsn, standby: Lsn) {
        if self.boundaries.back().is_none_or(|last| *last < boundary)
            && self.boundaries.len() < BOUNDARIES_MAX
        {
            self.boundaries.push_back(boundary);
        }
        while let Some(first) = self.boundaries.front().filter(|first| **first <= standby) {
            self.before = self.before.max(*first);
            self.boundaries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_that_the_standby_has_passed_lets_all_before_it_pass() {
        let mut passed = Passed::default();
        passed.note(Lsn::new(100), Lsn::new(80));
        assert!(!passed.has(Lsn::new(70)), "80 may be the middle of that commit's record");
        passed.note(Lsn::new(150), Lsn::new(120));
        assert!(passed.has(Lsn::new(99)) && !passed.has(Lsn::new(100)));
        passed.note(Lsn::new(200), Lsn::new(200));
        assert!(passed.has(Lsn::new(199)));
    }

    #[test]
    fn a_standby_that_is_away_lets_nothing_pass() {
        let mut passed = Passed::default();
        for boundary in 1..1000 {
            passed.note(Lsn::new(boundary), Lsn::ZERO);
        }
        assert!(!passed.has(Lsn::new(1)));
        assert_eq!(passed.boundaries.len(), BOUNDARIES_MAX);
    }
}
