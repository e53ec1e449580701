//! What a relay is doing, for readiness, the console and the metrics: cheap to read at any time.

use std::sync::Arc;

use jiff::Timestamp;
use metrics::{counter, gauge};
use pgoutput::Lsn;
use serde::Serialize;
use tokio::sync::watch;

use crate::governor::Backlog;
use crate::{Cause, Error};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not connected yet, or between two sessions.
    Waiting,
    /// Another relay reads the slot; this one takes over when it goes.
    Standby,
    Relaying,
    /// An operator has paused it.
    Paused,
    Refilling,
    Halted,
}

/// One moment of a relay.
#[derive(Debug, Clone)]
pub struct Report {
    pub phase: Phase,
    pub since: Timestamp,
    /// Why the last session ended, or why the relay has halted.
    pub error: Option<String>,
    pub cause: Option<Cause>,
    /// Of the last session of this relay; 0 before its first.
    pub epoch: i64,
    /// As the watch saw it last.
    pub confirmed_lsn: Lsn,
    pub wal_end: Lsn,
    pub backlog: Option<Backlog>,
    /// The synchronous standby that publishing waits for is not connected.
    pub is_standby_away: bool,
}

/// A handle; clones share it.
#[derive(Debug, Clone)]
pub struct Status(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    service: String,
    report: watch::Sender<Report>,
}

impl Phase {
    const ALL: [Self; 6] =
        [Self::Waiting, Self::Standby, Self::Relaying, Self::Paused, Self::Refilling, Self::Halted];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Standby => "standby",
            Self::Relaying => "relaying",
            Self::Paused => "paused",
            Self::Refilling => "refilling",
            Self::Halted => "halted",
        }
    }
}

impl Report {
    /// Why this relay is not fit for its work; a hot standby is.
    pub fn unfit(&self) -> Option<String> {
        let why =
            |what: &str| self.error.as_ref().map_or(what.to_owned(), |error| format!("{what}: {error}"));
        match self.phase {
            Phase::Relaying => self.backlog.as_ref().and_then(Backlog::danger),
            Phase::Standby => None,
            Phase::Waiting => Some(why("no session")),
            Phase::Paused => Some("paused by an operator".to_owned()),
            Phase::Refilling => Some("refilling the sink".to_owned()),
            Phase::Halted => Some(why("halted")),
        }
    }
}

impl Status {
    pub(crate) fn new(service: &str) -> Self {
        let report = Report {
            phase: Phase::Waiting,
            since: Timestamp::now(),
            error: None,
            cause: None,
            epoch: 0,
            confirmed_lsn: Lsn::ZERO,
            wal_end: Lsn::ZERO,
            backlog: None,
            is_standby_away: false,
        };
        for counted in ["lunaria_relay_sessions_total", "lunaria_relay_refilled_events_total"] {
            // Shown from the start, so that a rate can be taken from the first increase on.
            counter!(counted, "service" => service.to_owned()).increment(0);
        }
        Self(Arc::new(Shared { service: service.to_owned(), report: watch::Sender::new(report) }))
    }

    pub fn report(&self) -> Report {
        self.0.report.borrow().clone()
    }

    /// To wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<Report> {
        self.0.report.subscribe()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.0.report.send_if_modified(|report| {
            let is_new = report.phase != phase;
            if is_new {
                (report.phase, report.since, report.is_standby_away) = (phase, Timestamp::now(), false);
            }
            is_new
        });
        for each in Phase::ALL {
            let is_it = f64::from(u8::from(each == phase));
            gauge!("lunaria_relay_state", "service" => self.service(), "state" => each.as_str()).set(is_it);
        }
    }

    pub(crate) fn session_began(&self, epoch: i64) {
        self.0.report.send_modify(|report| report.epoch = epoch);
        counter!("lunaria_relay_sessions_total", "service" => self.service()).increment(1);
        self.enter(Phase::Relaying);
    }

    pub(crate) fn session_ended(&self, error: &Error) {
        self.0.report.send_modify(|report| report.error = Some(error.to_string()));
        self.enter(Phase::Waiting);
    }

    pub(crate) fn halted(&self, error: &Error) {
        let cause = match error {
            Error::Halted { cause, .. } => Some(*cause),
            _ => None,
        };
        self.0.report.send_modify(|report| (report.error, report.cause) = (Some(error.to_string()), cause));
        let reason = cause.map_or("other", Cause::as_str);
        counter!("lunaria_relay_halts_total", "service" => self.service(), "reason" => reason).increment(1);
        self.enter(Phase::Halted);
    }

    pub(crate) fn standby_is_away(&self, is_away: bool) {
        self.0
            .report
            .send_if_modified(|report| std::mem::replace(&mut report.is_standby_away, is_away) != is_away);
    }

    pub(crate) fn observed(&self, confirmed_lsn: Lsn, wal_end: Lsn, backlog: Backlog) {
        backlog.publish(&self.0.service);
        self.0.report.send_modify(|report| {
            (report.confirmed_lsn, report.wal_end, report.backlog) = (confirmed_lsn, wal_end, Some(backlog));
        });
    }

    fn service(&self) -> String {
        self.0.service.clone()
    }
}
