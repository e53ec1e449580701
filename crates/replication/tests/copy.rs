//! Claims about copying rows out.

use anyhow::{Result, ensure};
use replication::{Client, CopyRow, Error};

use crate::server::with_database;

/// All rows of a copy of (id, note), and how it ended.
async fn copied(client: &mut Client, sql: &str) -> Result<(Vec<(i64, String)>, Result<(), Error>)> {
    let mut copy = match client.copy_out(sql).await {
        Ok(copy) => copy,
        Err(error) => return Ok((Vec::new(), Err(error))),
    };
    let (mut rows, mut batch) = (Vec::new(), Vec::new());
    loop {
        let more = copy.read(&mut batch).await;
        for row in batch.drain(..) {
            rows.push(pair(row)?);
        }
        match more {
            Ok(true) => {}
            Ok(false) => return Ok((rows, Ok(()))),
            Err(error) => return Ok((rows, Err(error))),
        }
    }
}

fn pair(mut row: CopyRow) -> Result<(i64, String)> {
    let pair = (i64::from_be_bytes(row.fixed()?), String::from_utf8(row.value()?.to_vec())?);
    ensure!(row.is_over(), "the row has more values");
    Ok(pair)
}

#[test]
fn every_row_comes_once_in_order_whatever_their_number_and_size() {
    with_database(async |database| {
        let mut client = database.connect().await?;
        for (count, bytes) in [(0, 1), (1, 1), (100_000, 30), (3, 2_000_000)] {
            let copy = format!(
                "copy (select n, repeat('x', {bytes}) from generate_series(1, {count}::bigint) as n)
                 to stdout (format binary)"
            );
            let (rows, end) = copied(&mut client, &copy).await?;
            end?;
            assert_eq!(rows.len(), usize::try_from(count)?);
            let expected = "x".repeat(bytes);
            let in_order = |(at, (n, text)): (i64, &(i64, String))| *n == at && *text == expected;
            assert!((1..).zip(&rows).all(in_order), "{count} rows of {bytes} bytes");
        }
        Ok(())
    });
}

#[test]
fn an_error_at_the_start_or_in_the_middle_is_told_and_the_connection_goes_on() {
    with_database(async |database| {
        let mut client = database.connect().await?;
        let refused = [
            ("copy (select 1::bigint, '' from nowhere) to stdout (format binary)", "42P01", 0),
            (
                "copy (select n, (1 / (50000 - n))::text from generate_series(1, 100000::bigint) as n)
                 to stdout (format binary)",
                "22012",
                49_999,
            ),
        ];
        for (copy, sqlstate, count) in refused {
            let (rows, end) = copied(&mut client, copy).await?;
            let error = end.expect_err("the copy has ended well");
            assert_eq!(error.sqlstate(), Some(sqlstate), "{error}");
            assert_eq!(rows.len(), count);
        }
        assert_eq!(client.query("select 'here' as at").await?[0].get("at"), Some("here"));
        Ok(())
    });
}

#[test]
fn what_is_no_binary_copy_and_a_copy_that_was_given_up_are_errors() {
    with_database(async |database| {
        let mut client = database.connect().await?;
        let (rows, end) = copied(&mut client, "select 1").await?;
        assert!(rows.is_empty() && matches!(end, Err(Error::Protocol(_))), "{end:?}");

        let mut client = database.connect().await?;
        let (rows, end) = copied(&mut client, "copy (select 1, 'text') to stdout").await?;
        assert!(rows.is_empty() && matches!(end, Err(Error::Protocol(_))), "{end:?}");

        let mut client = database.connect().await?;
        let copy =
            "copy (select n, '' from generate_series(1, 100000::bigint) as n) to stdout (format binary)";
        let mut given_up = client.copy_out(copy).await?;
        assert!(given_up.read(&mut Vec::new()).await?);
        drop(given_up);
        assert!(matches!(client.query("select 1").await, Err(Error::Protocol(_))));
        Ok(())
    });
}
