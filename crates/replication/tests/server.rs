//! A database per test on the server that the environment names, dropped with its slots at the end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use replication::{Client, Config, Host, SlotName, WalStream};
use tokio::time::{Instant, sleep};

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
const HINT: &str = "start the servers first: `make test`";
const PAUSE: Duration = Duration::from_millis(10);
pub(crate) const PUBLICATION: &str = "the \"entry's\" publication";

/// Each test holds up to three walsenders, and a server has ten by default: one test at a time.
static TURN: Mutex<()> = Mutex::new(());
static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Database {
    pub(crate) config: Config,
    pub(crate) slot: SlotName,
}

/// Runs `test` on a database with the table `entry` and a publication of it.
pub(crate) fn with_database(test: impl AsyncFnOnce(&Database) -> Result<()>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = runtime.block_on(Database::create()).expect("the test's database");
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&database))));
    let dropped = runtime.block_on(database.drop());
    match outcome {
        Ok(outcome) => outcome.expect("the test"),
        Err(panic) => resume_unwind(panic),
    }
    dropped.expect("dropping the test's database");
}

/// The superuser's login, to the server's own database.
pub(crate) fn server() -> Config {
    let url = std::env::var("LUNARIA_TEST_POSTGRES").expect(HINT);
    parse(&url).expect("LUNARIA_TEST_POSTGRES is postgres://user:password@host:port/database")
}

pub(crate) fn socket() -> Host {
    let directory = PathBuf::from(std::env::var("LUNARIA_TEST_SOCKET_DIR").expect(HINT));
    let Host::Tcp { port, .. } = server().host else { panic!("LUNARIA_TEST_POSTGRES is a tcp address") };
    Host::Unix { directory, port }
}

fn parse(url: &str) -> Option<Config> {
    let (login, place) = url.strip_prefix("postgres://")?.rsplit_once('@')?;
    let (user, password) = login.split_once(':')?;
    let (address, database) = place.split_once('/')?;
    let (host, port) = address.rsplit_once(':')?;
    let host = Host::Tcp { host: host.to_owned(), port: port.parse().ok()? };
    Some(Config { password: Some(password.into()), ..Config::new(host, user, database) })
}

impl Database {
    async fn create() -> Result<Self> {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("replication_{}_{count}", std::process::id());
        let slot = SlotName::new(format!("{name}_slot"))?;
        let mut admin = Client::connect(&server()).await?;
        admin.query(&format!("create database {name}")).await?;
        let database = Self { config: Config { database: name, ..server() }, slot };
        let publication = PUBLICATION.replace('"', "\"\"");
        let tables = format!(
            "create table entry(id bigint primary key, data jsonb, note text); \
             create publication \"{publication}\" for table entry"
        );
        database.connect().await?.query(&tables).await?;
        Ok(database)
    }

    pub(crate) async fn connect(&self) -> Result<Client> {
        Ok(Client::connect(&self.config).await?)
    }

    pub(crate) async fn stream(&self) -> Result<WalStream> {
        let client = self.connect().await?;
        Ok(client.start_replication(&self.slot, replication::Lsn::ZERO, PUBLICATION).await?)
    }

    async fn drop(self) -> Result<()> {
        let name = &self.config.database;
        let mut admin = Client::connect(&server()).await?;
        let slots = format!(
            "select slot_name, pg_terminate_backend(active_pid) from pg_replication_slots where database = '{name}'"
        );
        for row in admin.query(&slots).await? {
            let slot = SlotName::new(row.get("slot_name").context("a slot without a name")?)?;
            // A temporary one may have gone with its connection meanwhile.
            match admin.drop_slot(&slot, true).await {
                Err(error) if error.sqlstate() == Some("42704") => {}
                dropped => dropped?,
            }
        }
        admin.query(&format!("drop database {name} with (force)")).await?;
        Ok(())
    }
}

/// Asks `sql` until its first value is `t`.
pub(crate) async fn eventually(client: &mut Client, sql: &str) -> Result<()> {
    let give_up = Instant::now() + DEADLINE;
    while client.query(sql).await?.first().and_then(|row| row.at(0)) != Some("t") {
        anyhow::ensure!(Instant::now() < give_up, "still not true: {sql}");
        sleep(PAUSE).await;
    }
    Ok(())
}
