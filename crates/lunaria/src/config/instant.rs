//! The instant rail: how its clearing house is reached, in which profile, and with how much patience.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use adapter::{Calendar, CircuitPolicy, Closed};
use anyhow::{Context, ensure};
use instant::{Rail, RetryPolicy};
use iso20022::Profile;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::{Database, agreed_token, positive, strong_enough};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instant {
    pub database: Database,
    pub listen: SocketAddr,
    /// This adapter as others reach it: for the house's messages, and for core's gap refill. Empty: what it listens on.
    pub public_url: String,
    pub clearing_house_url: String,
    /// What the house and this adapter show each other. Empty: nothing.
    pub house_token: String,
    /// One that comes with Lunaria, or a file of one's own.
    profile: String,
    /// This bank and the clearing house, as the profile names them.
    pub own_name: String,
    house_name: String,
    attempts_max: u32,
    enquiries_max: u32,
    pub answer_timeout_ms: i64,
    retry_pause_ms: i64,
    pending_pause_ms: i64,
    pending_enquiries_max: u32,
    decision_limit_ms: i64,
    circuit_failures: u32,
    circuit_pause_ms: i64,
    /// Of the clock on the rail's wall.
    time_zone: String,
    /// Empty: none.
    cut_off: String,
    #[serde(default)]
    closed: Vec<ClosedWindow>,
}

/// While the rail takes nothing: each week, or once.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "needs days, from and to (such as [\"sun\"], \"02:00\", \"04:00\"), or from and to \
                                                    as points in time (such as \"2026-12-24T22:00:00Z\")"
)]
enum ClosedWindow {
    Weekly { days: Vec<Day>, from: Time, to: Time },
    Once { from: Timestamp, to: Timestamp },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Instant {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        positive("instant.database.connections_max", self.database.connections_max.into())?;
        positive("instant.attempts_max", self.attempts_max.into())?;
        positive("instant.enquiries_max", self.enquiries_max.into())?;
        positive("instant.answer_timeout_ms", self.answer_timeout_ms)?;
        positive("instant.retry_pause_ms", self.retry_pause_ms)?;
        positive("instant.pending_pause_ms", self.pending_pause_ms)?;
        positive("instant.pending_enquiries_max", self.pending_enquiries_max.into())?;
        positive("instant.decision_limit_ms", self.decision_limit_ms)?;
        positive("instant.circuit_failures", self.circuit_failures.into())?;
        positive("instant.circuit_pause_ms", self.circuit_pause_ms)?;
        self.calendar()?;
        strong_enough("instant.house_token", &self.house_token)?;
        let profile = profile(&self.profile).context("instant.profile")?;
        for (key, name) in [("own_name", &self.own_name), ("house_name", &self.house_name)] {
            ensure!(profile.is_agent(name), "instant.{key} is {name}; {}", profile.agent_rule());
        }
        Ok(())
    }

    /// What the house has to show. None: nothing, which is refused where others than this machine get to.
    pub(crate) fn inbox_token(&self) -> anyhow::Result<Option<&str>> {
        agreed_token(
            ("instant.house_token", &self.house_token),
            ("instant.listen", self.listen),
            "the clearing house",
        )
    }

    pub(crate) fn circuit(&self) -> CircuitPolicy {
        // Else a second call would try before the first one has failed.
        let pause = SignedDuration::from_millis(self.circuit_pause_ms.max(self.answer_timeout_ms));
        CircuitPolicy { failures: self.circuit_failures, pause }
    }

    fn calendar(&self) -> anyhow::Result<Calendar> {
        let time_zone = match self.time_zone.as_str() {
            // Needs no database of time zones on the machine.
            "UTC" => TimeZone::UTC,
            name => TimeZone::get(name).with_context(|| format!("instant.time_zone is {name}"))?,
        };
        let cut_off = if self.cut_off.is_empty() {
            None
        } else {
            let time = self.cut_off.parse();
            Some(time.with_context(|| format!("instant.cut_off is {}, not a time like 18:00", self.cut_off))?)
        };
        let closed: Vec<Closed> = self.closed.iter().map(ClosedWindow::to_closed).collect();
        for (n, window) in closed.iter().enumerate() {
            window.check().map_err(|what| anyhow::anyhow!("instant.closed[{n}] {what}"))?;
        }
        Ok(Calendar { time_zone, cut_off, closed })
    }

    pub(crate) fn rail(&self) -> anyhow::Result<Arc<Rail>> {
        let policy = RetryPolicy {
            attempts_max: self.attempts_max,
            enquiries_max: self.enquiries_max,
            answer_timeout: SignedDuration::from_millis(self.answer_timeout_ms),
            retry_pause: SignedDuration::from_millis(self.retry_pause_ms),
            pending_pause: SignedDuration::from_millis(self.pending_pause_ms),
            pending_enquiries_max: self.pending_enquiries_max,
        };
        let (own_name, house_name) = (self.own_name.clone(), self.house_name.clone());
        let decide_within = SignedDuration::from_millis(self.decision_limit_ms);
        let (profile, calendar) = (profile(&self.profile)?, self.calendar()?);
        Ok(Arc::new(Rail { profile, own_name, house_name, policy, calendar, decide_within }))
    }
}

impl ClosedWindow {
    fn to_closed(&self) -> Closed {
        match self {
            Self::Weekly { days, from, to } => {
                let days = days.iter().map(|day| day.weekday()).collect();
                Closed::Weekly { days, from: *from, to: *to }
            }
            Self::Once { from, to } => Closed::Once { from: *from, to: *to },
        }
    }
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

/// By its name, or out of a file.
pub(crate) fn profile(name: &str) -> anyhow::Result<Profile> {
    if Path::new(name).extension().is_none_or(|extension| extension != "toml") {
        return Ok(Profile::named(name)?);
    }
    let text = fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    Profile::parse(&text).with_context(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    #[test]
    fn a_rail_is_closed_each_week_or_once_by_its_own_clock() {
        let config = load(
            "[instant]\ntime_zone = \"Europe/Copenhagen\"\ncut_off = \"18:00\"\n
             [[instant.closed]]\ndays = [\"sat\", \"sun\"]\nfrom = \"22:00\"\nto = \"04:00\"\n
             [[instant.closed]]\nfrom = \"2026-12-24T22:00:00Z\"\nto = \"2026-12-25T06:00:00Z\"\n",
        );
        let calendar = config.unwrap().instant.calendar().unwrap();
        let until = |at: &str| calendar.closed_until(at.parse().unwrap()).map(|until| until.to_string());
        // A Sunday, at 22:30 there.
        assert_eq!(until("2026-11-22T21:30:00Z").as_deref(), Some("2026-11-23T03:00:00Z"));
        assert_eq!(until("2026-12-24T23:00:00Z").as_deref(), Some("2026-12-25T06:00:00Z"));
        assert_eq!(until("2026-11-23T21:30:00Z"), None);
        let settles = calendar.settlement_date("2026-11-22T17:30:00Z".parse().unwrap());
        assert_eq!(settles.to_string(), "2026-11-23");
    }

    #[test]
    fn a_window_that_cannot_be_meant_is_an_error_that_says_which() {
        for (window, words) in [
            ("days = [\"sunday\"]\nfrom = \"22:00\"\nto = \"04:00\"", "needs days, from and to"),
            ("days = []\nfrom = \"22:00\"\nto = \"04:00\"", "instant.closed[0] names no day"),
            ("from = \"22:00\"\nto = \"04:00\"", "needs days, from and to"),
            ("from = \"2026-12-25T06:00:00Z\"\nto = \"2026-12-24T22:00:00Z\"", "ends before it begins"),
        ] {
            let error = load(&format!("[[instant.closed]]\n{window}\n")).unwrap_err();
            assert!(error.contains(words), "{window}: {error}");
        }
    }
}
