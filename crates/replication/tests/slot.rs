//! Claims about queries and slots.

use anyhow::Context;
use replication::{Client, Lifetime, Lsn, SlotName, Snapshot, WalStatus};

use crate::server::{PUBLICATION, with_database};

#[test]
fn slot_is_created_read_and_dropped() {
    with_database(async |database| {
        let mut client = database.connect().await?;
        assert_eq!(client.read_slot(&database.slot).await?, None);

        let created = client.create_slot(&database.slot, Snapshot::Nothing, Lifetime::Permanent).await?;
        assert_eq!(created.snapshot_name, None);

        let slot = client.read_slot(&database.slot).await?.context("no slot")?;
        assert_eq!(slot.plugin.as_deref(), Some("pgoutput"));
        assert_eq!(slot.slot_type, "logical");
        assert_eq!(slot.database.as_ref(), Some(&database.config.database));
        assert_eq!((slot.temporary, slot.active, slot.active_pid), (false, false, None));
        assert_eq!(slot.confirmed_flush_lsn, Some(created.consistent_point));
        assert!(slot.restart_lsn.is_some_and(|lsn| lsn > Lsn::ZERO && lsn <= created.consistent_point));
        assert_eq!(slot.wal_status, Some(WalStatus::Reserved));

        client.drop_slot(&database.slot, false).await?;
        assert_eq!(client.read_slot(&database.slot).await?, None);
        Ok(())
    });
}

#[test]
fn exported_snapshot_shows_what_was_there_before_the_slot() {
    with_database(async |database| {
        let (mut owner, mut other) = (database.connect().await?, database.connect().await?);
        other.query("insert into entry values (1)").await?;
        let created = owner.create_slot(&database.slot, Snapshot::Export, Lifetime::Temporary).await?;
        other.query("insert into entry values (2)").await?;

        let snapshot = created.snapshot_name.context("no snapshot")?;
        let sql = format!(
            "begin isolation level repeatable read; set transaction snapshot '{snapshot}'; \
             select id from entry; commit"
        );
        let rows = other.query(&sql).await?;
        assert_eq!(rows.iter().map(|row| row.get("id")).collect::<Vec<_>>(), [Some("1")]);
        Ok(())
    });
}

#[test]
fn slot_in_use_is_transient_and_a_missing_one_is_not() {
    with_database(async |database| {
        let mut client = database.connect().await?;
        client.create_slot(&database.slot, Snapshot::Nothing, Lifetime::Permanent).await?;
        let holder = database.stream().await?;

        let second = database.connect().await?.start_replication(&database.slot, Lsn::ZERO, PUBLICATION);
        let error = second.await.err().context("two streams of one slot")?;
        assert_eq!((error.sqlstate(), error.is_transient()), (Some("55006"), true), "{error:?}");
        let error = client.drop_slot(&database.slot, false).await.err().context("dropped in use")?;
        assert_eq!((error.sqlstate(), error.is_transient()), (Some("55006"), true), "{error:?}");
        holder.stop().await?;

        let missing = SlotName::new("no_such_slot")?;
        let error = client.drop_slot(&missing, false).await.err().context("dropped a missing slot")?;
        assert_eq!((error.sqlstate(), error.is_transient()), (Some("42704"), false), "{error:?}");
        let start = client.start_replication(&missing, Lsn::ZERO, PUBLICATION);
        let error = start.await.err().context("streamed a missing slot")?;
        assert_eq!((error.sqlstate(), error.is_transient()), (Some("42704"), false), "{error:?}");
        Ok(())
    });
}

#[test]
fn failed_query_leaves_the_connection_usable() {
    with_database(async |database| {
        let mut client: Client = database.connect().await?;
        let error = client.query("select 1; select 1 / 0").await.err().context("divided by zero")?;
        assert_eq!(error.sqlstate(), Some("22012"), "{error:?}");

        let rows = client.query("select 'ä' as letter, null as nothing").await?;
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].get("letter"), rows[0].get("nothing"), rows[0].at(2)), (Some("ä"), None, None));
        assert_eq!(rows[0].names(), ["letter", "nothing"]);
        Ok(())
    });
}
