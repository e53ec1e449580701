//! What lists have in common: a page at a time, stable while rows are added.

use jiff::Timestamp;
use money::{Money, UnknownCurrency};
use projection::Page;
use uuid::Uuid;

use crate::{Code, Problem};

pub(crate) const CURSOR: &str = "cursor is the next_cursor of an earlier page";
const LIMIT_DEFAULT: u32 = 50;
const LIMIT_MAX: u32 = 500;
const LOADED_DEFAULT: u32 = 20;
const LOADED_MAX: u32 = 100;
const WORDS_CHARS_MAX: usize = 140;

/// The page that is asked for.
pub(crate) fn asked(
    limit: Option<u32>,
    cursor: Option<&str>,
    changed_before: Option<Timestamp>,
) -> Result<Page, Problem> {
    let after = cursor.map(|cursor| parse(cursor).ok_or_else(|| invalid(CURSOR.to_owned()))).transpose()?;
    Ok(Page { after, limit: self::limit(limit)?, changed_before: changed_before.map(time) })
}

/// The cursor of the next page. None: this one was the last.
pub(crate) fn next(page: Page, rows: usize, last: Option<(Timestamp, Uuid)>) -> Option<String> {
    let is_full = rows >= usize::try_from(page.limit).unwrap_or(usize::MAX);
    last.filter(|_| is_full).map(|(at, id)| format!("{}_{id}", at.as_microsecond()))
}

/// How much of something on a page.
pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LIMIT_DEFAULT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(invalid(format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

/// How many on a page of what is read one by one.
pub(crate) fn loaded_limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LOADED_DEFAULT) {
        limit @ 1..=LOADED_MAX => Ok(limit),
        _ => Err(invalid(format!("limit is 1 to {LOADED_MAX}"))),
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

/// What to look for. Where there is no letter or digit in it, nothing is found.
pub(crate) fn words(asked: Option<String>) -> Result<Option<String>, Problem> {
    match asked {
        Some(words) if words.chars().count() > WORDS_CHARS_MAX => {
            Err(invalid(format!("q has at most {WORDS_CHARS_MAX} characters")))
        }
        asked => Ok(asked),
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
