//! Claims about streaming a slot and confirming.

use std::time::Duration;

use anyhow::{Context, Result};
use pgoutput::{Column, Message, decode};
use replication::{Config, Error, Lifetime, Lsn, Snapshot, WalMessage, WalStream};
use tokio::time::timeout;

use crate::server::{DEADLINE, Database, PUBLICATION, eventually, with_database};

/// Reads up to and including the next commit, and gives the messages and the commit's end.
async fn transaction(stream: &mut WalStream) -> Result<(Vec<Message>, Lsn)> {
    let mut transactions = transactions(stream, 1).await?;
    transactions.pop().context("no transaction")
}

async fn transactions(stream: &mut WalStream, count: usize) -> Result<Vec<(Vec<Message>, Lsn)>> {
    let (mut done, mut open, mut batch) = (Vec::new(), Vec::new(), Vec::new());
    while done.len() < count {
        timeout(DEADLINE, stream.read(&mut batch)).await.context("no message in time")??;
        for message in batch.drain(..) {
            let WalMessage::Data { body, .. } = message else { continue };
            open.push(decode(body)?);
            if let Some(Message::Commit { end_lsn, .. }) = open.last() {
                let end_lsn = *end_lsn;
                done.push((std::mem::take(&mut open), end_lsn));
            }
        }
    }
    anyhow::ensure!(open.is_empty() && done.len() == count, "more than {count} transactions");
    Ok(done)
}

fn ids(messages: &[Message]) -> Vec<i64> {
    let inserted = messages.iter().filter_map(|message| match message {
        Message::Insert { tuple, .. } => tuple.columns().next(),
        _ => None,
    });
    let id = |column| match column {
        Column::Binary(bytes) => i64::from_be_bytes(bytes[..].try_into().expect("a bigint has 8 bytes")),
        other => panic!("an id that is not binary: {other:?}"),
    };
    inserted.map(id).collect()
}

async fn create_slot(database: &Database) -> Result<replication::Client> {
    let mut client = database.connect().await?;
    client.create_slot(&database.slot, Snapshot::Nothing, Lifetime::Permanent).await?;
    Ok(client)
}

fn confirmed(database: &Database, lsn: Lsn) -> String {
    let slot = &database.slot;
    format!("select confirmed_flush_lsn >= '{lsn}' from pg_replication_slots where slot_name = '{slot}'")
}

#[test]
fn committed_insert_arrives_in_binary_and_a_rolled_back_one_does_not() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        client.query("begin; insert into entry values (1, '{}', 'gone'); rollback").await?;
        client.query("insert into entry values (2, '{\"a\": 1}', null)").await?;

        let mut stream = database.stream().await?;
        let (messages, end) = transaction(&mut stream).await?;

        let [Message::Begin { final_lsn, .. }, Message::Relation(relation), insert, commit] = &messages[..]
        else {
            panic!("not begin, relation, insert, commit: {messages:?}")
        };
        assert_eq!((relation.namespace.as_str(), relation.name.as_str()), ("public", "entry"));
        let columns = relation.columns.iter().map(|column| (column.name.as_str(), column.is_key()));
        assert_eq!(columns.collect::<Vec<_>>(), [("id", true), ("data", false), ("note", false)]);
        let Message::Insert { relation_id, tuple } = insert else { panic!("no insert: {insert:?}") };
        assert_eq!(*relation_id, relation.id);
        let id = Column::Binary(2_i64.to_be_bytes().to_vec().into());
        let data = Column::Binary(b"\x01{\"a\": 1}".to_vec().into());
        assert_eq!(tuple.columns().collect::<Vec<_>>(), [id, data, Column::Null]);
        let Message::Commit { commit_lsn, .. } = commit else { panic!("no commit: {commit:?}") };
        assert!(commit_lsn == final_lsn && *commit_lsn < end);
        stream.stop().await?;
        Ok(())
    });
}

#[test]
fn confirm_reaches_the_slot_although_nobody_reads() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        client.query("insert into entry values (1)").await?;
        let mut stream = database.stream().await?;
        let (_, end) = transaction(&mut stream).await?;
        let before = client.query(&confirmed(database, end)).await?;
        assert_eq!(before[0].at(0), Some("f"), "what was only received was confirmed");

        stream.progress().confirm(end);
        eventually(&mut client, &confirmed(database, end)).await?;
        assert_eq!(stream.progress().confirmed(), end);
        stream.stop().await?;
        Ok(())
    });
}

#[test]
fn stream_that_nobody_reads_outlives_the_servers_time_out() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        let name = &database.config.database;
        client.query(&format!("alter database {name} set wal_sender_timeout = '400ms'")).await?;
        let config = Config { status_interval: Duration::from_millis(50), ..database.config.clone() };
        let quick = replication::Client::connect(&config).await?;
        let stream = quick.start_replication(&database.slot, Lsn::ZERO, PUBLICATION).await?;

        let slot = &database.slot;
        let alive = format!(
            "select s.reply_time > s.backend_start + interval '1200 ms' from pg_stat_replication s \
             join pg_replication_slots r on r.active_pid = s.pid where r.slot_name = '{slot}'"
        );
        eventually(&mut client, &alive).await?;
        stream.stop().await?;
        Ok(())
    });
}

#[test]
fn restart_resends_what_was_not_confirmed_and_nothing_else() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        for id in 1..=3 {
            client.query(&format!("insert into entry values ({id})")).await?;
        }
        let mut stream = database.stream().await?;
        let first = transactions(&mut stream, 3).await?;
        let progress = stream.progress();
        progress.confirm(first[1].1);
        progress.confirm(first[0].1);
        assert_eq!(progress.confirmed(), first[1].1);
        stream.stop().await?;
        let slot = client.read_slot(&database.slot).await?.context("no slot")?;
        assert_eq!(slot.confirmed_flush_lsn, Some(first[1].1), "stop had not reported what was confirmed");

        let mut again = database.stream().await?;
        assert_eq!(again.progress().confirmed(), first[1].1);
        let (messages, end) = transaction(&mut again).await?;
        assert_eq!((ids(&messages), end), (vec![3], first[2].1));
        again.stop().await?;
        Ok(())
    });
}

#[test]
fn low_confirm_does_not_move_the_slot_back() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        client.query("insert into entry values (1)").await?;
        let mut stream = database.stream().await?;
        let (_, end) = transaction(&mut stream).await?;
        stream.progress().confirm(end);
        stream.stop().await?;

        let again = database.stream().await?;
        again.progress().confirm(Lsn::new(1));
        again.stop().await?;
        let slot = client.read_slot(&database.slot).await?.context("no slot")?;
        assert_eq!(slot.confirmed_flush_lsn, Some(end));
        Ok(())
    });
}

#[test]
fn row_larger_than_one_read_and_those_behind_it_arrive_whole() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        let note = "select string_agg(md5(n::text), '') from generate_series(1, 60000) n";
        client.query(&format!("insert into entry select 1, null, ({note})")).await?;
        client.query("insert into entry select n, null, 'x' from generate_series(2, 20000) n").await?;

        let mut stream = database.stream().await?;
        let received = transactions(&mut stream, 2).await?;
        let Message::Insert { tuple, .. } = &received[0].0[2] else { panic!("no insert") };
        let Some(Column::Binary(large)) = tuple.columns().nth(2) else { panic!("no note") };
        let rows = client.query("select md5(note), length(note) from entry where id = 1").await?;
        assert_eq!(rows[0].at(1), Some(large.len().to_string().as_str()));
        let md5 = client.query(&format!("select md5('{}')", std::str::from_utf8(&large)?)).await?;
        assert_eq!(md5[0].at(0), rows[0].at(0));
        assert_eq!(ids(&received[1].0), (2..=20000).collect::<Vec<_>>());
        stream.stop().await?;
        Ok(())
    });
}

#[test]
fn abandoned_reads_lose_no_message() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        client
            .query("insert into entry select n, null, repeat('x', 500) from generate_series(1, 3000) n")
            .await?;
        let mut stream = database.stream().await?;

        let (mut bodies, mut abandoned) = (Vec::new(), 0);
        while !matches!(bodies.last(), Some(Message::Commit { .. })) {
            let mut batch = Vec::new();
            // The read is polled once and dropped unless a message is there by then.
            tokio::select! {
                biased;
                read = stream.read(&mut batch) => read?,
                () = tokio::task::yield_now() => abandoned += 1,
            }
            for message in batch {
                if let WalMessage::Data { body, .. } = message {
                    bodies.push(decode(body)?);
                }
            }
        }
        assert!(abandoned > 0, "no read was abandoned");
        assert_eq!(ids(&bodies), (1..=3000).collect::<Vec<_>>());
        stream.stop().await?;
        Ok(())
    });
}

#[test]
fn terminated_walsender_is_a_transient_error_of_the_stream() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        let mut stream = database.stream().await?;
        let slot = &database.slot;
        let terminate = format!(
            "select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '{slot}'"
        );
        assert_eq!(client.query(&terminate).await?[0].at(0), Some("t"));
        let error = failure(&mut stream).await?;
        assert_eq!((error.sqlstate(), error.is_transient()), (Some("57P01"), true), "{error:?}");
        Ok(())
    });
}

#[test]
fn missing_publication_is_a_lasting_error_of_the_stream() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        client.query("insert into entry values (1)").await?;
        let start = database.connect().await?.start_replication(&database.slot, Lsn::ZERO, "no_such");
        let error = failure(&mut start.await?).await?;
        assert_eq!((error.sqlstate(), error.is_transient()), (Some("42704"), false), "{error:?}");
        Ok(())
    });
}

#[test]
fn dropped_stream_frees_its_slot() {
    with_database(async |database| {
        let mut client = create_slot(database).await?;
        drop(database.stream().await?);
        let slot = &database.slot;
        let free = format!("select not active from pg_replication_slots where slot_name = '{slot}'");
        eventually(&mut client, &free).await
    });
}

async fn failure(stream: &mut WalStream) -> Result<Error> {
    let read_on = async {
        let mut batch = Vec::new();
        loop {
            if let Err(error) = stream.read(&mut batch).await {
                break error;
            }
        }
    };
    timeout(DEADLINE, read_on).await.context("the stream did not fail")
}
