//! What is printed: tables for people, the API's answer for scripts. Colours only on a terminal.

use std::io::Write;

use anstream::adapter::strip_str;
use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use money::Money;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use super::options::Output;

/// What has not been said.
const NOTHING: &str = "-";

/// The document as it is, or what people are shown of it.
pub(super) fn print(
    output: Output,
    document: &Value,
    shown: impl FnOnce(&Value) -> String,
) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => format!("{document:#}\n"),
        Output::Table => shown(document),
    };
    anstream::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// Rows below their headings; a line instead, where there are none.
pub(super) fn table<const N: usize>(headings: [&str; N], rows: Vec<[String; N]>) -> String {
    if rows.is_empty() {
        return "none\n".to_owned();
    }
    let headings = headings.map(str::to_owned);
    let lines = || std::iter::once(&headings).chain(&rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| lines().map(|line| width(&line[column])).max().unwrap_or_default());
    let mut shown = String::new();
    for line in lines() {
        let cells =
            line.iter().zip(widths).map(|(cell, widest)| cell.clone() + &" ".repeat(widest - width(cell)));
        let cells: Vec<String> = cells.collect();
        shown.push_str(cells.join("  ").trim_end());
        shown.push('\n');
    }
    shown
}

/// On a terminal, without what colours it.
fn width(cell: &str) -> usize {
    strip_str(cell).to_string().width()
}

/// Below a list that goes on.
pub(super) fn more(document: &Value) -> String {
    match document["next_cursor"].as_str() {
        Some(cursor) => format!("more: --cursor {cursor}\n"),
        None if document["is_truncated"] == true => "more, which are not shown\n".to_owned(),
        None => String::new(),
    }
}

pub(super) fn list<'a>(document: &'a Value, field: &str) -> &'a [Value] {
    document[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => NOTHING.to_owned(),
        other => other.to_string(),
    }
}

/// From minor units: `125.00 DKK`.
pub(super) fn money(value: &Value) -> String {
    serde_json::from_value::<Money>(value.clone()).map_or_else(|_| text(value), |money| money.to_string())
}

/// To the millisecond, in UTC.
pub(super) fn time(value: &Value) -> String {
    let time = value.as_str().and_then(|time| time.parse::<Timestamp>().ok());
    time.map_or_else(|| text(value), |time| format!("{time:.3}"))
}

/// How long ago that is, in its largest unit.
pub(super) fn age(value: &Value, now: Timestamp) -> String {
    let Some(time) = value.as_str().and_then(|time| time.parse::<Timestamp>().ok()) else {
        return text(value);
    };
    match now.duration_since(time).as_secs().max(0) {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3_600 => format!("{} min", seconds / 60),
        seconds @ ..86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A status in the colour of what it means.
pub(super) fn status(value: &Value) -> String {
    let status = text(value);
    let colour = match status.as_str() {
        "succeeded" | "completed" | "confirmed" | "withdrawn" | "resolved" | "executed" => AnsiColor::Green,
        "failed" | "cancelled" | "returned" | "rejected" | "expired" | "aborted" => AnsiColor::Red,
        "requires_attention" | "open" | "awaiting_approval" | "stale" | "canary_ended" | "paused" => {
            AnsiColor::Yellow
        }
        _ => return status,
    };
    let style = Style::new().fg_color(Some(colour.into()));
    format!("{style}{status}{style:#}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_is_aligned_and_says_when_it_is_empty() {
        let rows = vec![["a".to_owned(), "1".to_owned()], ["long".to_owned(), "22".to_owned()]];
        assert_eq!(table(["name", "count"], rows), "name  count\na     1\nlong  22\n");
        let rows = vec![[status(&json!("failed")), "x".to_owned()], ["pending".to_owned(), "y".to_owned()]];
        let table_of_status = strip_str(&table(["status", "n"], rows)).to_string();
        assert_eq!(table_of_status, "status   n\nfailed   x\npending  y\n");
        assert_eq!(table::<1>(["name"], Vec::new()), "none\n");
    }

    #[test]
    fn what_is_shown_is_what_people_read() {
        assert_eq!(money(&json!({ "amount": "12500", "currency": "DKK" })), "125.00 DKK");
        assert_eq!(money(&json!(null)), "-");
        let now = "2026-11-23T09:00:00Z".parse().unwrap();
        let ages =
            ["2026-11-23T08:59:01Z", "2026-11-23T08:00:01Z", "2026-11-22T09:00:01Z", "2026-11-13T09:00:00Z"];
        assert_eq!(ages.map(|at| age(&json!(at), now)), ["59 s", "59 min", "23 h", "10 d"]);
        assert_eq!(time(&json!("2026-11-23T08:59:01.1239Z")), "2026-11-23T08:59:01.123Z");
    }
}
