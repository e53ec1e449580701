//! What has to hold before a session reads the slot. Any doubt halts the relay; it never starts "from now".

use replication::{Client, Row, Snapshot, WalStatus};

use crate::{Config, Error};

/// Checks server, publication and slot; creates the slot of a database that has no event yet.
pub(crate) async fn check(client: &mut Client, config: &Config) -> Result<(), Error> {
    let wal_level = value(client, "show wal_level").await?;
    if wal_level.as_deref() != Some("logical") {
        return Err(Error::halted(
            format!("wal_level is {}", wal_level.unwrap_or_default()),
            "set wal_level = logical and restart the server",
        ));
    }
    check_publication(client, &config.publication).await?;
    check_slot(client, config).await
}

async fn check_publication(client: &mut Client, publication: &str) -> Result<(), Error> {
    let named = publication.replace('\'', "''");
    let rows = client
        .query(&format!(
            "select pubinsert and pubupdate and pubdelete and pubtruncate as all_operations,
                    (select string_agg(schemaname || '.' || tablename, ', ') from pg_publication_tables
                     where pubname = '{named}') as tables,
                    (select bool_or(prqual is not null or prattrs is not null) from pg_publication_rel
                     where prpubid = pg_publication.oid) as filtered
             from pg_publication where pubname = '{named}'"
        ))
        .await?;
    let remedy = "run `lunaria migrate` as the owner, before the slot is created";
    let Some(row) = rows.first() else {
        return Err(Error::halted(format!("the publication {publication} does not exist"), remedy));
    };
    let text = |name| row.get(name).unwrap_or_default();
    if text("tables") != "public.event" || text("filtered") == "t" || text("all_operations") != "t" {
        return Err(Error::halted(
            format!("the publication {publication} is not the whole event table with all operations"),
            "put it back as migrations/0001_event.sql makes it; what was committed meanwhile has to be refilled",
        ));
    }
    Ok(())
}

async fn check_slot(client: &mut Client, config: &Config) -> Result<(), Error> {
    let name = &config.slot;
    let Some(slot) = client.read_slot(name).await? else {
        return create_slot(client, config).await;
    };
    let wrong =
        |what: String| Err(Error::halted(what, "drop it if it is not needed, or choose another name"));
    if slot.plugin.as_deref() != Some("pgoutput") {
        return wrong(format!("the slot {name} is not for pgoutput"));
    }
    if slot.database.as_deref() != Some(&config.replication.database) {
        return wrong(format!("the slot {name} is for another database"));
    }
    if slot.wal_status == Some(WalStatus::Lost) {
        return Err(Error::halted(
            format!("the slot {name} is lost: the server has removed WAL that it needs"),
            "drop it and refill the sink from the event table",
        ));
    }
    Ok(())
}

/// A new slot sees what is committed from now on: right for an empty table, a silent gap for any other.
async fn create_slot(client: &mut Client, config: &Config) -> Result<(), Error> {
    let name = &config.slot;
    let created = client.create_slot(name, Snapshot::Export, false).await?;
    // Seen through the slot's own snapshot: exactly what it will not deliver.
    let snapshot = created.snapshot_name.as_deref().unwrap_or_default().replace('\'', "''");
    let mut witness = Client::connect(&config.replication).await?;
    let looked = witness
        .query(&format!(
            "begin isolation level repeatable read; set transaction snapshot '{snapshot}';
             select exists (select from public.event); commit"
        ))
        .await;
    // Anything but a clear "none" counts as a doubt.
    let any = looked.map(|rows| rows.last().and_then(|row| row.at(0)) != Some("f"));
    if !matches!(any, Ok(false)) {
        client.drop_slot(name, true).await?;
        any?;
        return Err(Error::halted(
            format!("the slot {name} does not exist, and there are events that a new one would not see"),
            "find out who dropped it, then refill the sink from the event table",
        ));
    }
    tracing::info!(slot = %name, lsn = %created.consistent_point, "slot created");
    Ok(())
}

async fn value(client: &mut Client, sql: &str) -> Result<Option<String>, Error> {
    let rows = client.query(sql).await?;
    Ok(rows.first().and_then(|row: &Row| row.at(0)).map(ToOwned::to_owned))
}
