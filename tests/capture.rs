//! `lunaria capture` beside a system that knows nothing of us: prepared, run, killed, halted, and brought up to date again.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use testbed::{eventually, kafka, postgres, unique};

use crate::harness::{LUNARIA, Process, read_all};

/// A database of its own, and what is configured for it.
struct Legacy {
    database: String,
    role: String,
    prefix: String,
    superuser_url: String,
    directory: TempDir,
}

impl Legacy {
    async fn create() -> Self {
        let (database, prefix) = (unique("legacy"), unique("legacy."));
        let mut server = PgConnection::connect_with(&postgres()).await.unwrap();
        execute(&mut server, &format!("create database {database}")).await;
        let mut superuser_url: url::Url = std::env::var("LUNARIA_TEST_POSTGRES").unwrap().parse().unwrap();
        superuser_url.set_path(&database);
        let (role, directory) = (format!("{database}_capture"), tempfile::tempdir().unwrap());
        let mut relay_url = superuser_url.clone();
        relay_url.set_username(&role).unwrap();
        relay_url.set_password(Some("ship")).unwrap();
        let toml = format!(
            "transport = \"kafka\"\n[kafka]\nbrokers = \"{}\"\nprefix = \"{prefix}\"\n[relay]\nwatch_every_ms = 100\n\
             [ops]\nlisten = \"127.0.0.1:0\"\n[[capture]]\nname = \"legacy\"\nslot = \"{database}\"\n\
             relay_url = \"{relay_url}\"\n",
            kafka()
        );
        std::fs::write(directory.path().join("lunaria.toml"), toml).unwrap();
        let superuser_url = superuser_url.to_string();
        let legacy = Self { database, role, prefix, superuser_url, directory };
        legacy
            .run("create schema shop; create table shop.customer (id bigint primary key, name text);
                  alter table shop.customer replica identity full; insert into shop.customer values (1, 'Ada')")
            .await;
        legacy
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect_with(&postgres().database(&self.database)).await.unwrap()
    }

    async fn run(&self, sql: &str) {
        execute(&mut self.connection().await, sql).await;
    }

    async fn has_role(&self) -> bool {
        let exists = "select exists (select from pg_roles where rolname = $1)";
        sqlx::query_scalar(exists).bind(&self.role).fetch_one(&mut self.connection().await).await.unwrap()
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("lunaria.toml")
    }

    /// `lunaria capture …`: its exit code and what it says.
    fn capture(&self, arguments: &[&str]) -> (i32, String) {
        let output = Command::new(LUNARIA)
            .arg("--config")
            .arg(self.config())
            .arg("capture")
            .args(arguments)
            .env("LUNARIA_SUPERUSER_URL", &self.superuser_url)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), text)
    }

    fn start(&self) -> (Process, String) {
        let config = self.config();
        let arguments = ["--config", config.to_str().unwrap(), "capture", "run", "legacy"];
        let log = self.directory.path().join("capture.log");
        let (process, urls) = Process::start(LUNARIA, &arguments, &[], &log, 1);
        (process, urls[0].clone())
    }

    /// Operation, row before and row after, of all that the topic has, once that is so many records.
    async fn changes(&self, count: usize) -> Vec<(String, Value, Value)> {
        let topic = format!("{}legacy.shop.customer", self.prefix);
        let records = eventually("the changes are in the topic", async || {
            let records = tokio::task::block_in_place(|| read_all(&topic));
            (records.len() >= count).then_some(records)
        })
        .await;
        let mut changes: Vec<_> =
            records.into_iter().map(|record| (record.headers["lunaria_lsn"].clone(), record.value)).collect();
        changes.sort_by_key(|(at, _)| place(at));
        let change = |value: &Value| {
            (
                value["op"].as_str().unwrap_or("tombstone").to_owned(),
                value["before"].clone(),
                value["after"].clone(),
            )
        };
        changes.iter().map(|(_, value)| change(value)).collect()
    }

    async fn drop(self) {
        let mut server = PgConnection::connect_with(&postgres()).await.unwrap();
        let slot = &self.database;
        let drop = format!(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{slot}'"
        );
        eventually("the slot is free", async || {
            let mut server = PgConnection::connect_with(&postgres()).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(drop.clone())).execute(&mut server).await.ok()
        })
        .await;
        execute(&mut server, &format!("drop database {} with (force)", self.database)).await;
        execute(&mut server, &format!("drop role {}", self.role)).await;
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

fn place(at: &str) -> (u64, u64) {
    let (lsn, ordinal) = at.rsplit_once('/').unwrap();
    (lsn.parse::<replication::Lsn>().unwrap().as_u64(), ordinal.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_system_is_captured_from_its_first_row_through_a_crash_and_a_gap() {
    let legacy = Legacy::create().await;
    let prepare = ["prepare", "legacy", "--table", "shop.customer"];
    let (code, text) = legacy.capture(&[&prepare[..], &["--dry-run"]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("create table relay_state") && text.contains("create publication"), "{text}");
    assert!(text.contains("password '…'") && !text.contains("'ship'"), "{text}");
    assert!(!legacy.has_role().await, "a dry run changes nothing");
    let (code, text) = legacy.capture(&prepare);
    assert_eq!(code, 0, "{text}");
    let (code, text) = legacy.capture(&prepare);
    assert_eq!((code, text.lines().count()), (0, 1), "nothing is left to do: {text}");
    let (code, text) = legacy.capture(&["doctor", "legacy"]);
    assert!(code == 0 && text.contains("shop.customer: `before` is the whole row"), "{text}");

    let (process, ops) = legacy.start();
    let row = |id: i64, name: &str| json!({"id": id, "name": name});
    let mut expected = vec![("r".to_owned(), Value::Null, row(1, "Ada"))];
    // Which it does after the snapshot.
    eventually("it reads its slot", async || {
        let answer = reqwest::get(format!("{ops}/relays/legacy")).await.unwrap();
        (answer.json::<Value>().await.unwrap()["phase"] == "relaying").then_some(())
    })
    .await;
    assert_eq!(legacy.changes(1).await, expected);
    legacy.run("update shop.customer set name = 'Bea' where id = 1").await;
    expected.push(("u".to_owned(), row(1, "Ada"), row(1, "Bea")));
    assert_eq!(legacy.changes(2).await, expected);
    process.kill_9();
    legacy.run("delete from shop.customer").await;
    let (process, _ops) = legacy.start();
    expected.push(("d".to_owned(), row(1, "Bea"), Value::Null));
    expected.push(("tombstone".to_owned(), Value::Null, Value::Null));
    assert_eq!(legacy.changes(4).await, expected);
    let (code, text) = legacy.capture(&["status", "legacy", "--json"]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &status["service"], status["active_pid"].is_i64()),
        (0, &json!("legacy"), true),
        "{text}"
    );

    // A gap: what was committed without updates being published.
    legacy.run("alter publication lunaria_capture_legacy set (publish = 'insert')").await;
    assert!(!process.wait(), "it has to halt");
    legacy
        .run("alter publication lunaria_capture_legacy set (publish = 'insert, update, delete, truncate')")
        .await;
    legacy.run("insert into shop.customer values (2, 'Cy')").await;
    let (code, text) = legacy.capture(&["doctor", "legacy"]);
    assert!(code == 1 && text.contains("lunaria capture snapshot legacy"), "{text}");
    let (code, text) = legacy.capture(&["snapshot", "legacy"]);
    assert!(code == 0 && text.contains("1 rows"), "{text}");
    let (process, _ops) = legacy.start();
    legacy.run("insert into shop.customer values (3, 'Di')").await;
    expected.push(("r".to_owned(), Value::Null, row(2, "Cy")));
    expected.push(("c".to_owned(), Value::Null, row(3, "Di")));
    assert_eq!(legacy.changes(6).await, expected);
    assert!(process.interrupt());
    legacy.drop().await;
}

#[test]
fn a_capture_that_is_not_configured_is_named() {
    let output = Command::new(LUNARIA).args(["capture", "doctor", "nowhere"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("no [[capture]] of the name nowhere"), "{text}");
}
