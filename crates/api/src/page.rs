//! What lists have in common: a page at a time, stable while rows are added.

use jiff::Timestamp;
use money::{Money, UnknownCurrency};
use uuid::Uuid;

use crate::{Code, Problem};

const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 500;

/// A page of a list, the newest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// The last row of the page before.
    pub(crate) after: Option<(Timestamp, Uuid)>,
    pub(crate) limit: u32,
}

impl Page {
    pub(crate) fn asked(limit: Option<u32>, cursor: Option<&str>) -> Result<Self, Problem> {
        let limit = self::limit(limit)?;
        let after = cursor.map(|cursor| {
            parse(cursor).ok_or_else(|| invalid("cursor is the next_cursor of an earlier page".to_owned()))
        });
        Ok(Self { after: after.transpose()?, limit })
    }

    /// The cursor of the next page. None: this one was the last.
    pub(crate) fn next(self, rows: usize, last: Option<(Timestamp, Uuid)>) -> Option<String> {
        let is_full = rows >= usize::try_from(self.limit).unwrap_or(usize::MAX);
        last.filter(|_| is_full).map(|(at, id)| format!("{}_{id}", at.as_microsecond()))
    }
}

/// How much of something on a page.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(invalid(format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

/// A time that the database can compare with: before 1970 nothing has happened here.
pub(crate) fn time(asked: Timestamp) -> Timestamp {
    asked.max(Timestamp::UNIX_EPOCH)
}

/// A status to filter by, of those that there are.
pub(crate) fn check_status(status: Option<&str>, statuses: &[&str]) -> Result<(), Problem> {
    match status {
        Some(status) if !statuses.contains(&status) => {
            Err(invalid(format!("status is one of {}", statuses.join(", "))))
        }
        _ => Ok(()),
    }
}

/// An amount as projections hold it.
pub(crate) fn money(minor: i64, currency: &str) -> Result<Money, Problem> {
    let unknown =
        |_: UnknownCurrency| Problem::new(Code::Internal, "the projection holds an unknown currency");
    Ok(Money::new(minor, currency.parse().map_err(unknown)?))
}

pub(crate) fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidQuery, detail)
}

fn parse(cursor: &str) -> Option<(Timestamp, Uuid)> {
    let (micros, id) = cursor.split_once('_')?;
    Some((Timestamp::from_microsecond(micros.parse().ok()?).ok()?, id.parse().ok()?))
}
