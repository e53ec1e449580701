//! What the proof rests on, read from the server without changing anything.

use pgoutput::Lsn;
use replication::{Client, Row, Slot, literal};

use crate::capture::read_tables;
use crate::state::{Identity, StateTable};
use crate::{CapturedTable, Config, Error, Reads, SinkAccount, State};

/// So much faster the table is scanned than the log is decoded, byte by byte: 500 MB/s from a disk against 45.
const SCAN_ADVANTAGE: u64 = 10;

/// **Read in this order**, each before what it may not exceed: the sink's account, the slot, the state, the server. The
/// sink is never ahead of the log, and the slot never ahead of the state; read the other way round, a healthy relay
/// that goes on meanwhile would look like a tampered one.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) reads: Reads,
    pub(crate) service: String,
    pub(crate) slot_name: String,
    /// The standby that the gate waits for.
    pub(crate) standby: Option<String>,
    /// None: not asked this time.
    pub(crate) account: Option<SinkAccount>,
    pub(crate) slot: Option<Slot>,
    pub(crate) state: Option<State>,
    pub(crate) publication: Option<Publication>,
    pub(crate) role: Role,
    /// The event table; None also for a capture.
    pub(crate) table: Option<Table>,
    /// The tables of a capture.
    pub(crate) captured: Vec<CapturedTable>,
    pub(crate) server: Server,
    pub(crate) database: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// As `server_version_num`.
    pub(crate) version: u32,
    pub(crate) system_identifier: u64,
    pub(crate) timeline: u32,
    pub(crate) wal_end: Lsn,
    pub(crate) wal_level: String,
    /// None: no limit.
    pub(crate) max_slot_wal_keep_bytes: Option<u64>,
    pub(crate) wal_sender_timeout: String,
    pub(crate) synchronous_commit: String,
    pub(crate) synchronous_standby_names: String,
    pub(crate) is_fsync: bool,
    pub(crate) is_full_page_writes: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) name: String,
    pub(crate) is_all_operations: bool,
    pub(crate) is_filtered: bool,
    pub(crate) is_for_all_tables: bool,
    /// `schema.table`, sorted.
    pub(crate) tables: String,
    /// JSON text: the identity of every catalog row that makes it.
    pub(crate) fingerprint: String,
}

impl Publication {
    /// The event table and nothing else, all of its rows, columns and operations. Of other tables, which of their rows
    /// and columns is their owner's choice.
    pub(crate) fn is_whole(&self, reads: Reads) -> bool {
        match reads {
            Reads::Events => {
                self.tables == "public.event"
                    && self.is_all_operations
                    && !self.is_filtered
                    && !self.is_for_all_tables
            }
            Reads::Tables { .. } => !self.tables.is_empty() && self.is_all_operations,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) is_superuser: bool,
    pub(crate) may_replicate: bool,
    pub(crate) may_read_events: bool,
    /// None: the table does not exist.
    pub(crate) may_keep_state: Option<bool>,
    pub(crate) may_see_standbys: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) is_plain: bool,
    pub(crate) is_guarded: bool,
    pub(crate) bytes: u64,
    /// None: they may not be read.
    pub(crate) has_events: Option<bool>,
    /// Whether the newest event that the sink has stands in it.
    pub(crate) has_newest: bool,
}

impl Facts {
    pub(crate) async fn read(
        client: &mut Client,
        config: &Config,
        account: Option<SinkAccount>,
    ) -> Result<Self, Error> {
        let in_recovery = one(client, "select pg_is_in_recovery() as recovering").await?.flag("recovering");
        if in_recovery {
            return Err(Error::Unavailable("the server is a standby, waiting for its promotion".to_owned()));
        }
        let role = read_role(client).await?;
        let (mut slot, mut state) = read_slot_and_state(client, config, &role).await?;
        if slot.is_none() && state.is_some() {
            // Gone, or made between the two looks by a relay that starts at the same time.
            (slot, state) = read_slot_and_state(client, config, &role).await?;
        }
        let (table, captured) = match config.reads {
            Reads::Events => (read_table(client, role.may_read_events, account.as_ref()).await?, Vec::new()),
            Reads::Tables { .. } => (None, read_tables(client, &config.publication).await?),
        };
        Ok(Self {
            reads: config.reads,
            service: config.service.clone(),
            slot_name: config.slot.to_string(),
            standby: config.standby.clone(),
            publication: read_publication(client, &config.publication).await?,
            table,
            captured,
            server: read_server(client).await?,
            database: config.replication.database.clone(),
            account,
            slot,
            state,
            role,
        })
    }

    /// Whether the event table is the faster way to what the slot still has to deliver.
    pub(crate) fn is_far_behind(&self, config: &Config) -> bool {
        let (Some(limit), Some(slot), Some(state)) = (config.catch_up_bytes, &self.slot, &self.state) else {
            return false;
        };
        let confirmed = slot.confirmed_flush_lsn.unwrap_or_default();
        let backlog = self.server.wal_end.as_u64().saturating_sub(confirmed.as_u64());
        // To find what is new, the table is read through once.
        let scan = self.table.as_ref().map_or(0, |table| table.bytes) / SCAN_ADVANTAGE;
        state.horizon.is_some() && backlog > limit.max(scan)
    }

    /// What a row of the state says about where it belongs.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            system_identifier: self.server.system_identifier,
            timeline: self.server.timeline,
            publication: self.publication.as_ref().map_or("{}".to_owned(), |one| one.fingerprint.clone()),
        }
    }
}

async fn read_slot_and_state(
    client: &mut Client,
    config: &Config,
    role: &Role,
) -> Result<(Option<Slot>, Option<State>), Error> {
    let slot = client.read_slot(&config.slot).await?;
    let state = match role.may_keep_state {
        Some(true) => StateTable::read(client, &config.slot).await?,
        _ => None,
    };
    Ok((slot, state))
}

async fn read_server(client: &mut Client) -> Result<Server, Error> {
    let system = client.identify_system().await?;
    let row = one(
        client,
        "select current_setting('server_version_num') as version, pg_current_wal_insert_lsn() as wal_end,
                current_setting('wal_level') as wal_level,
                nullif(pg_size_bytes(current_setting('max_slot_wal_keep_size')), -1) as keep_bytes,
                current_setting('wal_sender_timeout') as wal_sender_timeout,
                -- Not this connection's own, which the state's writes need.
                (select reset_val from pg_settings where name = 'synchronous_commit') as synchronous_commit,
                current_setting('synchronous_standby_names') as synchronous_standby_names,
                current_setting('fsync')::boolean as fsync,
                current_setting('full_page_writes')::boolean as full_page_writes",
    )
    .await?;
    Ok(Server {
        version: row.require("version")?,
        system_identifier: system.system_identifier,
        timeline: system.timeline,
        wal_end: row.require("wal_end")?,
        wal_level: row.require("wal_level")?,
        max_slot_wal_keep_bytes: row.parse("keep_bytes")?,
        wal_sender_timeout: row.require("wal_sender_timeout")?,
        synchronous_commit: row.require("synchronous_commit")?,
        synchronous_standby_names: row.require("synchronous_standby_names")?,
        is_fsync: row.flag("fsync"),
        is_full_page_writes: row.flag("full_page_writes"),
    })
}

/// The fingerprint holds what a change cannot restore: a row that is altered gets another xmin, one that is made again
/// another oid as well.
async fn read_publication(client: &mut Client, name: &str) -> Result<Option<Publication>, Error> {
    let rows = client
        .query(&format!(
            "select pubinsert and pubupdate and pubdelete and pubtruncate as all_operations,
                    puballtables as all_tables,
                    (select string_agg(schemaname || '.' || tablename, ', ' order by schemaname, tablename)
                     from pg_publication_tables where pubname = publication.pubname) as tables,
                    coalesce((select bool_or(prqual is not null or prattrs is not null)
                              from pg_publication_rel where prpubid = publication.oid), false) as filtered,
                    jsonb_build_object(
                        'oid', oid::bigint, 'xmin', xmin::text, 'flags', to_jsonb(publication),
                        'event', (select prrelid::bigint from pg_publication_rel
                                  where prpubid = publication.oid and prrelid = to_regclass('public.event')),
                        'tables', (select jsonb_agg(jsonb_build_array(oid::bigint, xmin::text, prrelid::bigint)
                                                    order by oid)
                                   from pg_publication_rel where prpubid = publication.oid),
                        'schemas', (select jsonb_agg(jsonb_build_array(oid::bigint, xmin::text, pnnspid::bigint)
                                                     order by oid)
                                    from pg_publication_namespace where pnpubid = publication.oid)
                    )::text as fingerprint
             from pg_publication as publication where pubname = {}",
            literal(name)
        ))
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(Publication {
        name: name.to_owned(),
        is_all_operations: row.flag("all_operations"),
        is_filtered: row.flag("filtered"),
        is_for_all_tables: row.flag("all_tables"),
        tables: row.get("tables").unwrap_or_default().to_owned(),
        fingerprint: row.require("fingerprint")?,
    }))
}

/// The publication's fingerprint, if it is whole.
pub(crate) async fn publication_now(
    client: &mut Client,
    name: &str,
    reads: Reads,
) -> Result<Option<String>, Error> {
    let publication = read_publication(client, name).await?;
    Ok(publication.filter(|one| one.is_whole(reads)).map(|one| one.fingerprint))
}

async fn read_role(client: &mut Client) -> Result<Role, Error> {
    let row = one(
        client,
        "select rolname as name, rolsuper as superuser, rolreplication or rolsuper as replication,
                has_table_privilege(to_regclass('public.event'), 'select') as events,
                has_table_privilege(to_regclass('public.relay_state'), 'select')
                    and has_table_privilege(to_regclass('public.relay_state'), 'insert')
                    and has_table_privilege(to_regclass('public.relay_state'), 'update') as state,
                to_regclass('public.relay_state') is not null as has_state,
                pg_has_role('pg_read_all_stats', 'usage') as standbys
         from pg_roles where rolname = current_user",
    )
    .await?;
    Ok(Role {
        name: row.require("name")?,
        is_superuser: row.flag("superuser"),
        may_replicate: row.flag("replication"),
        may_read_events: row.flag("events"),
        may_keep_state: row.flag("has_state").then(|| row.flag("state")),
        may_see_standbys: row.flag("standbys"),
    })
}

async fn read_table(
    client: &mut Client,
    may_read: bool,
    account: Option<&SinkAccount>,
) -> Result<Option<Table>, Error> {
    let rows = client
        .query(
            "select relpersistence = 'p' and relkind = 'r' as plain, pg_relation_size(oid) as bytes,
                    exists (select from pg_trigger where tgrelid = pg_class.oid and tgname = 'event_append_only'
                            and tgenabled <> 'D') as guarded
             from pg_class where oid = to_regclass('public.event')",
        )
        .await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let newest = account.and_then(|account| account.newest.as_ref());
    let (mut has_events, mut has_newest) = (None, true);
    if may_read {
        let row = one(client, "select exists (select from public.event) as any").await?;
        has_events = Some(row.flag("any"));
        if let Some(newest) = newest {
            let id = newest.event_id;
            let sql = format!("select exists (select from public.event where id = '{id}') as known");
            has_newest = one(client, &sql).await?.flag("known");
        }
    }
    let (is_plain, is_guarded) = (row.flag("plain"), row.flag("guarded"));
    Ok(Some(Table { is_plain, is_guarded, bytes: row.require("bytes")?, has_events, has_newest }))
}

async fn one(client: &mut Client, sql: &str) -> Result<Row, Error> {
    let rows = client.query(sql).await?;
    let row = rows.into_iter().next();
    row.ok_or_else(|| Error::Unavailable("the server has not answered a question about itself".to_owned()))
}
