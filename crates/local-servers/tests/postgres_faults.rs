//! PostgreSQL servers that are killed, paused, copied, followed and promoted.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use local_servers::{Installations, PostgresCluster, PostgresOptions};
use tempfile::TempDir;

use crate::{fetched_by, fs, has_ended, options, postmaster, query, start, temporary, wait_until};

#[test]
fn killed_server_leaves_no_process_and_comes_back_with_what_was_committed() {
    let directory = temporary();
    let mut cluster = start(&directory);
    query(&cluster, "create table kept as select 7 as seven").unwrap();
    let mut session = session(&cluster, "begin; insert into kept values (8); select pg_sleep(600)");
    wait_until(|| query(&cluster, BUSY).unwrap() == "1");
    let (url, backend) = (cluster.superuser_url("postgres"), query(&cluster, BACKENDS).unwrap());

    cluster.kill().unwrap();
    cluster.kill().unwrap();
    assert!(!session.wait().unwrap().success());
    let refusal = query(&cluster, "select 1").unwrap_err();
    assert!(refusal.contains("Connection refused"), "{refusal}");
    for pid in backend.split(' ') {
        assert!(!is_postgres(pid), "{pid} still runs");
    }

    cluster.restart().unwrap();
    assert_eq!(cluster.superuser_url("postgres"), url);
    assert_eq!(query(&cluster, "select seven from kept").unwrap(), "7");
    cluster.restart().unwrap();
    assert_eq!(query(&cluster, "select seven from kept").unwrap(), "7");
    cluster.stop().unwrap();
}

#[test]
fn paused_server_answers_nobody_until_it_is_resumed() {
    let directory = temporary();
    let mut cluster = start(&directory);
    let backends = query(&cluster, BACKENDS).unwrap();
    cluster.pause().unwrap();
    for pid in backends.split(' ') {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        assert!(stat.contains("(postgres) T "), "{stat}");
    }
    // The kernel accepts the connection; libpq waits for the server's word for as long as it is told to.
    let url = format!("{}?connect_timeout=2", cluster.superuser_url("postgres"));
    let refusal = crate::psql(&url, "select 1").unwrap_err();
    assert!(refusal.contains("timeout expired"), "{refusal}");
    cluster.resume().unwrap();
    assert_eq!(query(&cluster, "select 1").unwrap(), "1");

    cluster.pause().unwrap();
    let first = postmaster(&directory);
    cluster.stop().unwrap();
    assert!(has_ended(first));
}

#[test]
fn standby_of_a_busy_server_gets_every_row_and_goes_on_as_timeline_2() {
    let directory = temporary();
    let mut primary = start(&directory);
    query(&primary, "create table row (n int primary key)").unwrap();
    // Keeps the log from here on, however many checkpoints come before the standby asks for it.
    query(&primary, "select pg_create_physical_replication_slot('of_the_primary', true)").unwrap();
    let mut writer = session(&primary, &insert_each("row", 30_000));
    wait_until(|| query(&primary, "select count(*) > 100 from row").unwrap() == "t");

    let mut standby = primary.standby("second 'half'", standby_options(&directory)).unwrap();
    assert_eq!(query(&standby, "select pg_is_in_recovery()").unwrap(), "t");
    assert_eq!(query(&standby, "select count(*) from pg_replication_slots").unwrap(), "0");
    assert!(writer.wait().unwrap().success());
    wait_until(|| query(&standby, "select count(*), max(n) from row").unwrap() == "30000|30000");
    let followers = "select application_name, state from pg_stat_replication";
    assert_eq!(query(&primary, followers).unwrap(), "second 'half'|streaming");

    standby.restart().unwrap();
    assert_eq!(query(&standby, "select pg_is_in_recovery()").unwrap(), "t");
    primary.kill().unwrap();
    standby.promote().unwrap();
    query(&standby, "insert into row values (0)").unwrap();
    let timeline = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";
    assert_eq!(query(&standby, timeline).unwrap(), "00000002");
    assert_eq!(query(&standby, "select count(*) from row").unwrap(), "30001");
    standby.stop().unwrap();
}

#[test]
fn restored_copy_is_the_past_with_its_slots_on_the_same_port() {
    let directory = temporary();
    let mut cluster = start(&directory);
    query(&cluster, "create table row as select 1 as n").unwrap();
    query(&cluster, "select pg_create_logical_replication_slot('reader', 'pgoutput')").unwrap();
    query(&cluster, "create table noise (n int)").unwrap();
    let mut noise = session(&cluster, &insert_each("noise", 10_000_000));
    wait_until(|| query(&cluster, "select count(*) > 100 from noise").unwrap() == "t");
    let copy = directory.path().join("copy");
    cluster.copy_data(&copy).unwrap();
    // Nothing was written any more when the first file had been copied: the copy is of one instant.
    let files = files_in(&copy);
    let written = files.iter().map(|file| (file.mtime(), file.mtime_nsec())).max();
    assert!(written <= files.iter().map(|file| (file.ctime(), file.ctime_nsec())).min());
    assert!(cluster.copy_data(&copy).unwrap_err().to_string().contains("exists"));

    let identity = "select system_identifier from pg_control_system()";
    let (system, past) = (query(&cluster, identity).unwrap(), query(&cluster, LSN).unwrap());
    query(&cluster, "insert into row select generate_series(2, 10000)").unwrap();
    let url = cluster.superuser_url("postgres");
    cluster.restore_data(&copy).unwrap();
    assert!(!noise.wait().unwrap().success());
    assert_eq!(cluster.superuser_url("postgres"), url);
    assert_eq!(query(&cluster, "select n from row").unwrap(), "1");
    assert_eq!(query(&cluster, "select slot_name from pg_replication_slots").unwrap(), "reader");
    assert_eq!(query(&cluster, identity).unwrap(), system);
    // A restart writes some hundred bytes; 10,000 rows take far more.
    let ahead = format!("select pg_current_wal_insert_lsn() - '{past}' < 100000");
    assert_eq!(query(&cluster, &ahead).unwrap(), "t");
}

#[test]
fn newer_server_hands_a_logical_slot_over_to_its_standby() {
    let directory = temporary();
    let installations = Installations::only(&fetched_by("postgres.sh")).of_major(18);
    let mut primary = PostgresCluster::start_from(options(&directory), &installations).unwrap();
    query(&primary, "create table event (n int primary key)").unwrap();
    query(&primary, "create publication events for table event").unwrap();
    query(&primary, "select pg_create_physical_replication_slot('standby', true)").unwrap();
    let create = "select pg_create_logical_replication_slot('relay', 'pgoutput', failover => true)";
    query(&primary, create).unwrap();

    let settings =
        [("primary_slot_name", "standby"), ("hot_standby_feedback", "on"), ("sync_replication_slots", "on")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let options = PostgresOptions { settings, ..standby_options(&directory) };
    let mut standby = primary.standby("standby", options).unwrap();
    let is_handed_over = "select slot_name from pg_replication_slots where synced and not temporary";
    wait_until(|| query(&standby, is_handed_over).unwrap() == "relay");
    query(&primary, "insert into event values (1)").unwrap();
    wait_until(|| query(&standby, "select n from event").unwrap() == "1");

    primary.kill().unwrap();
    standby.promote().unwrap();
    let inserts = "select count(*) from pg_logical_slot_peek_binary_changes('relay', null, null, \
                   'proto_version', '1', 'publication_names', 'events') where get_byte(data, 0) = ascii('I')";
    assert_eq!(query(&standby, inserts).unwrap(), "1");
}

#[test]
fn major_version_that_is_not_there_is_named() {
    let directory = temporary();
    let installations = Installations::default().of_major(9);
    let error = PostgresCluster::start_from(options(&directory), &installations).err().unwrap();
    assert!(error.to_string().contains("install postgresql-9"), "{error}");
}

const BUSY: &str =
    "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and wait_event = 'PgSleep'";
const BACKENDS: &str =
    "select string_agg(pid::text, ' ') from pg_stat_activity where pid <> pg_backend_pid()";
const LSN: &str = "select pg_current_wal_insert_lsn()";

fn standby_options(directory: &TempDir) -> PostgresOptions {
    PostgresOptions { directory: directory.path().join("standby"), port: None, settings: Vec::new() }
}

fn session(cluster: &PostgresCluster, sql: &str) -> Child {
    let url = cluster.superuser_url("postgres");
    Command::new("psql").args(["-XAtqc", sql, &url]).stderr(Stdio::null()).spawn().unwrap()
}

/// A transaction for each row, as fast as they go.
fn insert_each(table: &str, count: u32) -> String {
    format!(
        "do $$ begin set synchronous_commit = off; for i in 1..{count} loop insert into {table} values (i); commit; end loop; end $$"
    )
}

fn files_in(directory: &Path) -> Vec<fs::Metadata> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let metadata = entry.metadata().unwrap();
        if metadata.is_dir() {
            found.extend(files_in(&entry.path()));
        } else {
            found.push(metadata);
        }
    }
    found
}

/// By name, as the number may have another owner by now; one that nobody has waited for has ended too.
fn is_postgres(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains("(postgres)") && !stat.contains(") Z ")
}
