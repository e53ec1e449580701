//! A database with slots, a broker, and how to reach both.

use std::sync::Arc;
use std::time::Duration;

use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE, Store};
use local_servers::KafkaBroker;
use pgoutput::Lsn;
use relay::OpenEmbedded;
use replication::{Host, SlotName};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::bench::Bed;
use crate::relays::PUBLICATION;

const POLL: Duration = Duration::from_millis(20);

pub(super) struct Ground {
    database: &'static str,
    superuser: PgConnectOptions,
    passwords: Passwords,
    pub(super) brokers: String,
    pub(super) broker_pid: u32,
}

impl Ground {
    /// A new one, since a slot has to be there before the first event.
    pub(super) async fn prepare(
        bed: &Bed,
        kafka: &KafkaBroker,
        database: &'static str,
    ) -> anyhow::Result<Self> {
        let (superuser, passwords) = bed.provision_database(database).await?;
        Ok(Self { database, superuser, passwords, brokers: kafka.bootstrap(), broker_pid: kafka.pid() })
    }

    pub(super) fn replication(&self) -> replication::Config {
        let host = Host::Tcp { host: "127.0.0.1".to_owned(), port: self.superuser.get_port() };
        let mut config = replication::Config::new(host, RELAY_ROLE, self.database);
        config.password = Some(replication::Secret::from(self.passwords.relay.clone()));
        config
    }

    /// Slots that deliver what is appended from now on.
    pub(super) async fn make_slots(&self, slots: &[&str]) -> anyhow::Result<()> {
        for slot in slots {
            let config = relay::Config::new("core", self.replication(), SlotName::new(*slot)?, PUBLICATION);
            relay::prepare(&config, &OpenEmbedded { outlets: Arc::new([]) }).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_slot(&self, slot: &str) -> anyhow::Result<()> {
        let mut connection = self.connection().await?;
        sqlx::query("select pg_drop_replication_slot($1)").bind(slot).execute(&mut connection).await?;
        Ok(())
    }

    pub(super) fn url(&self, role: &str) -> String {
        let password = if role == RELAY_ROLE { &self.passwords.relay } else { &self.passwords.application };
        format!("postgres://{role}:{password}@127.0.0.1:{}/{}", self.superuser.get_port(), self.database)
    }

    pub(super) async fn connection(&self) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.superuser).await?)
    }

    /// Writers whose commits wait for the disk, or not: a backlog's disk is not what is measured.
    pub(super) async fn store(&self, writers: u32, synchronous_commit: &str) -> anyhow::Result<Store> {
        let options = self
            .superuser
            .clone()
            .username(APPLICATION_ROLE)
            .password(&self.passwords.application)
            .options([("synchronous_commit", synchronous_commit)]);
        Ok(Store::connect("core", options, writers).await?)
    }

    /// Where the log ends, on disk.
    pub(super) async fn log_end(&self) -> anyhow::Result<Lsn> {
        let mut connection = self.connection().await?;
        sqlx::query("checkpoint").execute(&mut connection).await?;
        let lsn: String =
            sqlx::query_scalar("select pg_current_wal_flush_lsn()::text").fetch_one(&mut connection).await?;
        Ok(lsn.parse()?)
    }

    /// Waits until the slot is confirmed so far: all of it is in Kafka, acknowledged by all replicas. `look` is told
    /// which server process is reading it. A refill makes the slot anew: for a moment there is none.
    pub(super) async fn until_confirmed(
        &self,
        slot: &str,
        end: Lsn,
        mut look: impl FnMut(Option<u32>),
    ) -> anyhow::Result<()> {
        let mut connection = self.connection().await?;
        let end = end.to_string();
        loop {
            let row: Option<(Option<bool>, Option<i32>)> = sqlx::query_as(
                "select confirmed_flush_lsn >= $1::pg_lsn, active_pid from pg_replication_slots where slot_name = $2",
            )
            .bind(&end)
            .bind(slot)
            .fetch_optional(&mut connection)
            .await?;
            let (is_done, active_pid) = row.unwrap_or_default();
            look(active_pid.map(i32::unsigned_abs));
            if is_done == Some(true) {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
