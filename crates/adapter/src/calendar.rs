//! When a rail is closed, and which day a payment settles: in the rail's own time zone, across its clock changes.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// More windows than this, one right after the other, are a rail that never opens.
const WINDOWS_IN_A_ROW_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    pub time_zone: TimeZone,
    /// What comes from this time of the day on settles the next day. None: everything settles the day it comes.
    pub cut_off: Option<Time>,
    pub closed: Vec<Closed>,
}

/// While the rail takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// On each of these days of the week, by the clock on the wall. To a time that is not later: that of the next day.
    Weekly { days: Vec<Weekday>, from: Time, to: Time },
    /// Once, such as an announced maintenance.
    Once { from: Timestamp, to: Timestamp },
}

impl Default for Calendar {
    /// Always open, by UTC.
    fn default() -> Self {
        Self { time_zone: TimeZone::UTC, cut_off: None, closed: Vec::new() }
    }
}

impl Calendar {
    /// When the rail opens again. None: it is open.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        let mut opens = now;
        for _ in 0..WINDOWS_IN_A_ROW_MAX {
            let ends = self.closed.iter().filter_map(|closed| closed.end_at(opens, &self.time_zone));
            match ends.max() {
                Some(end) => opens = end,
                None => break,
            }
        }
        (opens > now).then_some(opens)
    }

    /// The day that a payment of this moment settles: after the cut-off the next day on which the rail opens.
    pub fn settlement_date(&self, at: Timestamp) -> Date {
        let local = at.to_zoned(self.time_zone.clone());
        if self.cut_off.is_none_or(|cut_off| local.time() < cut_off) {
            return local.date();
        }
        let Ok(tomorrow) = local.tomorrow().and_then(|day| day.start_of_day()) else { return local.date() };
        let opens = self.closed_until(tomorrow.timestamp()).unwrap_or(tomorrow.timestamp());
        opens.to_zoned(self.time_zone.clone()).date()
    }
}

impl Closed {
    /// The end of the window that this moment is in.
    fn end_at(&self, at: Timestamp, time_zone: &TimeZone) -> Option<Timestamp> {
        match self {
            Self::Once { from, to } => (*from <= at && at < *to).then_some(*to),
            Self::Weekly { days, from, to } => {
                let today = at.to_zoned(time_zone.clone()).date();
                // One that began yesterday may go on.
                [today.yesterday().ok(), Some(today)]
                    .into_iter()
                    .flatten()
                    .filter(|day| days.contains(&day.weekday()))
                    .filter_map(|day| {
                        let end = if to > from { day } else { day.tomorrow().ok()? };
                        let moment = |day: Date, time| -> Option<Zoned> {
                            day.to_datetime(time).to_zoned(time_zone.clone()).ok()
                        };
                        let (start, end) = (moment(day, *from)?, moment(end, *to)?);
                        (start.timestamp() <= at && at < end.timestamp()).then(|| end.timestamp())
                    })
                    .max()
            }
        }
    }

    /// Why it is none that can be meant.
    pub fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Weekly { days, .. } if days.is_empty() => Err("names no day of the week"),
            Self::Once { from, to } if to <= from => Err("ends before it begins"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copenhagen(closed: Vec<Closed>) -> Calendar {
        Calendar {
            time_zone: TimeZone::get("Europe/Copenhagen").unwrap(),
            cut_off: Some(Time::constant(18, 0, 0, 0)),
            closed,
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn sunday_night() -> Closed {
        let [from, to] = [22, 4].map(|hour| Time::constant(hour, 0, 0, 0));
        Closed::Weekly { days: vec![Weekday::Sunday], from, to }
    }

    #[test]
    fn a_weekly_window_goes_past_midnight_by_the_clock_on_the_wall() {
        let calendar = copenhagen(vec![sunday_night()]);
        // In winter Copenhagen is an hour ahead of UTC. 2026-11-22 is a Sunday.
        assert_eq!(calendar.closed_until(at("2026-11-22T20:59:59Z")), None);
        let opens = Some(at("2026-11-23T03:00:00Z"));
        for closed in ["2026-11-22T21:00:00Z", "2026-11-22T23:30:00Z", "2026-11-23T02:59:59Z"] {
            assert_eq!(calendar.closed_until(at(closed)), opens, "{closed}");
        }
        assert_eq!(calendar.closed_until(at("2026-11-23T03:00:00Z")), None);
        assert_eq!(calendar.closed_until(at("2026-11-23T22:00:00Z")), None, "a Monday");
    }

    #[test]
    fn a_window_over_a_clock_change_ends_by_the_new_clock() {
        // On 2026-03-29, a Sunday, the clock goes from 02:00 to 03:00: this night has five hours between 22:00 and 04:00.
        let [from, to] = [22, 4].map(|hour| Time::constant(hour, 0, 0, 0));
        let calendar = copenhagen(vec![Closed::Weekly { days: vec![Weekday::Saturday], from, to }]);
        assert_eq!(calendar.closed_until(at("2026-03-28T21:00:00Z")), Some(at("2026-03-29T02:00:00Z")));
    }

    #[test]
    fn windows_that_touch_are_one() {
        let maintenance = Closed::Once { from: at("2026-11-23T02:30:00Z"), to: at("2026-11-23T06:00:00Z") };
        let calendar = copenhagen(vec![maintenance, sunday_night()]);
        assert_eq!(calendar.closed_until(at("2026-11-22T22:00:00Z")), Some(at("2026-11-23T06:00:00Z")));
        assert_eq!(calendar.closed_until(at("2026-11-23T06:00:00Z")), None);
    }

    #[test]
    fn after_the_cut_off_a_payment_settles_the_next_day_of_the_rail() {
        let calendar = copenhagen(vec![]);
        let date = |text| calendar.settlement_date(at(text)).to_string();
        assert_eq!(date("2026-11-22T16:59:59Z"), "2026-11-22");
        assert_eq!(date("2026-11-22T17:00:00Z"), "2026-11-23");
        // Past midnight there, not yet by UTC.
        assert_eq!(date("2026-11-22T23:30:00Z"), "2026-11-23");
        assert_eq!(Calendar::default().settlement_date(at("2026-11-22T23:30:00Z")).to_string(), "2026-11-22");
    }

    #[test]
    fn after_the_cut_off_before_a_weekend_a_payment_settles_on_monday() {
        let (days, midnight) = (vec![Weekday::Saturday, Weekday::Sunday], Time::midnight());
        let calendar = copenhagen(vec![Closed::Weekly { days, from: midnight, to: midnight }]);
        let friday_evening = at("2026-11-20T18:00:00Z");
        assert_eq!(calendar.settlement_date(friday_evening).to_string(), "2026-11-23");
    }

    #[test]
    fn a_window_that_cannot_be_meant_is_told() {
        let [from, to] = [at("2026-11-23T06:00:00Z"), at("2026-11-23T02:30:00Z")];
        assert!(Closed::Once { from, to }.check().is_err());
        assert!(sunday_night().check().is_ok());
    }
}
