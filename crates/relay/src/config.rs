//! What a relay is told.

use std::time::Duration;

use replication::SlotName;

use crate::Status;

/// A change of the publication is seen within twice this time, at no cost that could be measured.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// Asking the sink what it holds means a request to every broker.
const ACCOUNT_EVERY: Duration = Duration::from_secs(60);
/// A leader reports every second; one that was paused, or cut off, for this long does not come back soon.
const TAKEOVER_AFTER: Duration = Duration::from_secs(10);

/// Who mends a gap that a refill mends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefillMode {
    /// The relay halts, and a person runs the refill.
    Manual,
    Automatic,
}

/// What the slot's publication has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The event table, and nothing else.
    Events,
    /// Tables of an existing system.
    Tables {
        /// The rows that stand in them are sent before the first change.
        is_snapshot_first: bool,
    },
}

impl Reads {
    /// What brings the sink up to the tables after a gap.
    pub(crate) fn remedy(self, service: &str) -> String {
        match self {
            Self::Events => format!("run `lunaria relay refill {service}`"),
            Self::Tables { .. } => format!("run `lunaria capture snapshot {service}`"),
        }
    }

    pub(crate) fn is_snapshot_first(self) -> bool {
        self == Self::Tables { is_snapshot_first: true }
    }
}

#[derive(Debug, Clone)]
pub struct Config {
    /// Named in metrics and remedies; of a capture, its name.
    pub service: String,
    pub replication: replication::Config,
    pub slot: SlotName,
    pub publication: String,
    pub reads: Reads,
    /// Make the slot one that standbys keep up (PostgreSQL 17 and later).
    pub failover: bool,
    /// The `application_name` of the synchronous standby: nothing is published that it has not flushed.
    pub standby: Option<String>,
    pub refill: RefillMode,
    /// A backlog beyond this is refilled out of the event table instead of read out of the log, unless the table is more than
    /// ten times as long: to find what is new, it has to be read through. None: never.
    pub catch_up_bytes: Option<u64>,
    pub watch_every: Duration,
    pub account_every: Duration,
    /// How long a leader's silence is borne before its connection is terminated.
    pub takeover_after: Duration,
    pub status: Status,
}

impl Config {
    /// With the defaults for all that is not named.
    pub fn new(
        service: impl Into<String>,
        replication: replication::Config,
        slot: SlotName,
        publication: impl Into<String>,
    ) -> Self {
        let service = service.into();
        Self {
            status: Status::new(&service),
            service,
            replication,
            slot,
            publication: publication.into(),
            reads: Reads::Events,
            failover: false,
            standby: None,
            refill: RefillMode::Manual,
            catch_up_bytes: None,
            watch_every: WATCH_EVERY,
            account_every: ACCOUNT_EVERY,
            takeover_after: TAKEOVER_AFTER,
        }
    }

    /// The login, under a name that tells an operator what this connection is for.
    pub(crate) fn login(&self, purpose: &str) -> replication::Config {
        let mut login = self.replication.clone();
        login.application_name = format!("{} {purpose}", login.application_name);
        login
    }
}
