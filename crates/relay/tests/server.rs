//! A server that ends, gives up the slot, or waits for its standby: on clusters of the tests' own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use local_servers::{PostgresCluster, PostgresOptions};
use relay::{Cause, Config, HeldBy};
use testbed::{eventually, patience};

use crate::recorder::Recorder;
use crate::source::{Relay, Source};

const STANDBY: &str = "gatekeeper";

struct Own {
    cluster: PostgresCluster,
    directory: tempfile::TempDir,
}

impl Own {
    fn start(settings: &[(&str, &str)]) -> Self {
        // Open for passage, and short: the account that runs PostgreSQL need not be ours.
        let directory = tempfile::Builder::new()
            .prefix("lunaria-relay-")
            .permissions(std::fs::Permissions::from_mode(0o711))
            .tempdir_in("/tmp")
            .unwrap();
        let settings =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options = PostgresOptions { directory: directory.path().join("postgres"), port: None, settings };
        Self { cluster: PostgresCluster::start(options).unwrap(), directory }
    }

    /// A fast shutdown, which waits for whoever reads a slot.
    async fn stop(self) {
        let stopping = tokio::task::spawn_blocking(move || self.cluster.stop());
        let stopped = tokio::time::timeout(patience(), stopping).await;
        stopped.expect("the relay holds up the server's end").unwrap().unwrap();
    }

    /// A client that receives and flushes the log as a standby does, and says so.
    fn standby(&self) -> Standby {
        let log = self.directory.path().join("received");
        std::fs::create_dir_all(&log).unwrap();
        let login =
            format!("host=127.0.0.1 port={} user=postgres application_name={STANDBY}", self.cluster.port());
        let mut command = Command::new(program("pg_receivewal"));
        command.args([
            "--synchronous",
            "--no-loop",
            "--status-interval=1",
            "--dbname",
            &login,
            "--directory",
        ]);
        command.arg(&log).env("PGPASSWORD", self.cluster.superuser_password());
        Standby(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

struct Standby(Child);

impl Drop for Standby {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A client program of PostgreSQL: the newest of Debian's places, else the one of the search path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists());
    programs.max().unwrap_or_else(|| Path::new(name).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shuts_down_is_not_held_up_by_an_idle_relay() {
    // Without a limit for silence, a relay that holds it up does so for ever.
    let own = Own::start(&[("wal_sender_timeout", "0")]);
    let source = Source::on(&own.cluster).await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;
    source.close().await;
    own.stop().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shuts_down_is_not_held_up_by_a_sink_that_does_not_acknowledge() {
    let own = Own::start(&[("wal_sender_timeout", "0")]);
    let source = Source::on(&own.cluster).await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    recorder.until_delivered(1).await;
    source.close().await;
    own.stop().await;
    relay.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_the_server_has_given_up_is_noticed_by_the_relay_that_reads_it() {
    let own =
        Own::start(&[("max_slot_wal_keep_size", "16MB"), ("min_wal_size", "32MB"), ("max_wal_size", "32MB")]);
    let source = Source::on(&own.cluster).await;
    let recorder = Recorder::default();
    let relay = source.relay(recorder.clone()).await;
    recorder.hold("held");
    source.append("held-1", 1).await;
    recorder.until_delivered(1).await;
    eventually("the slot is lost", async || {
        let fill =
            "select pg_logical_emit_message(false, 'test', repeat('x', 1000000)) from generate_series(1, 20)";
        source.superuser(fill).await;
        source.superuser("select pg_switch_wal()").await;
        source.superuser("checkpoint").await;
        let lost = format!(
            "select wal_status = 'lost' from pg_replication_slots where slot_name = '{}'",
            source.slot
        );
        source.ask::<bool>(&lost).await.then_some(())
    })
    .await;
    let (cause, reason, remedy) = relay.halted_by().await;
    assert_eq!(cause, Cause::SlotLost, "{reason}");
    assert!(remedy.contains("lunaria relay refill core"), "{remedy}");
    // And at the next start.
    let (again, _) = source.try_relay(Recorder::default()).halted().await;
    assert_eq!(again, reason);
    source.close().await;
    own.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_database_beside_a_busy_one_does_not_hold_back_its_log() {
    let own = Own::start(&[]);
    let source = Source::on(&own.cluster).await;
    let busy = Source::on(&own.cluster).await;
    let relay = source.relay(Recorder::default()).await;
    busy.superuser("create table other (n bigint)").await;
    for _ in 0..8 {
        // Some 12 MB each.
        busy.superuser("insert into other select n from generate_series(1, 200000) as n").await;
        let end = source.wal_end().await;
        eventually("little is held back", async || {
            let held = end.as_u64().saturating_sub(source.confirmed().await.as_u64());
            (held < 1024 * 1024).then_some(())
        })
        .await;
    }
    relay.stop().await;
    source.close().await;
    busy.close().await;
    own.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_published_that_the_synchronous_standby_has_not_flushed() {
    let own = Own::start(&[]);
    let source = Source::on(&own.cluster).await;
    let recorder = Recorder::default();
    let config = || Config { standby: Some(STANDBY.to_owned()), ..source.config() };
    source.superuser("revoke pg_read_all_stats from lunaria_relay").await;
    let (cause, _, remedy) = Relay::start(config(), recorder.clone()).halted_by().await;
    assert_eq!(cause, Cause::Role);
    assert_eq!(remedy, "grant pg_read_all_stats to lunaria_relay");
    source.superuser(&remedy).await;

    let standby = own.standby();
    let relay = Relay::start(config(), recorder.clone());
    relay.until_relaying().await;
    source.append("note-1", 1).await;
    recorder.until_delivered(1).await;

    // Commits from now on wait for the standby, and then it goes away.
    source.wait_for_standby(STANDBY).await;
    drop(standby);
    let waiting = tokio::spawn({
        let store = source.store.clone();
        async move {
            let mut connection = store.pool().acquire().await.unwrap();
            crate::source::append_in(&mut connection, "note-1", 2..=2).await;
        }
    });
    eventually("the commit waits for the standby", async || {
        let waits = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and query like '%append_events%'";
        (source.ask::<i64>(waits).await == 1).then_some(())
    })
    .await;
    let phantom = "select count(*) from event where stream = 'note-1' and seq = 2";
    assert_eq!(source.ask::<i64>(phantom).await, 0, "no reader sees it");
    eventually("the relay says what it waits for", async || {
        let report = relay.status.report();
        let backlog = report.backlog?;
        (report.is_standby_away && backlog.held_by == Some(HeldBy::Standby)).then_some(())
    })
    .await;
    assert_eq!(recorder.delivered().len(), 1, "a phantom was published");

    let standby = own.standby();
    recorder.until_delivered(2).await;
    waiting.await.unwrap();
    relay.stop().await;
    source.close().await;
    drop(standby);
    own.stop().await;
}
