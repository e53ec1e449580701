//! `lunaria bench`: each figure beside its floor, measured in the same run on servers of its own.

mod append;
mod append_long;
mod cards;
mod deadlines;
mod figure;
mod long_stream;
mod pgbench;
mod platform;
mod program;
mod rail;
mod rebuild;
mod relay;
mod transfers;
mod usage;

use anyhow::Context;
use event_store::{Passwords, provision};
use local_servers::{PostgresCluster, PostgresOptions};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use crate::cli::{Bench, BenchOptions};

/// Of 16 MiB: more than a load that is measured fills.
const AGED_SEGMENTS: usize = 48;

/// A throw-away cluster with durable commits.
struct Bed {
    postgres: PostgresCluster,
    directory: std::path::PathBuf,
}

const DATABASE: &str = "lunaria_bench";

pub(crate) async fn run(options: BenchOptions) -> anyhow::Result<()> {
    let bed = tokio::task::spawn_blocking(Bed::start).await??;
    let measured = match options.what {
        Bench::Append => append::measure(&bed, &options).await,
        Bench::Cards => cards::measure(&bed, &options).await,
        Bench::Deadlines => deadlines::measure(&bed, &options).await,
        Bench::Rail => rail::measure(&bed, &options).await,
        Bench::Rebuild => rebuild::measure(&bed, &options).await,
        Bench::Relay => relay::measure(&bed, &options).await,
        Bench::Transfers => transfers::measure(&bed, &options).await,
    };
    tokio::task::spawn_blocking(move || bed.stop()).await??;
    figure::print(&measured?, options.json)
}

/// Leaves the server with log segments to use again, as one that has run for a while has them. To make a new one holds up
/// every commit for some 60 ms. A slot that is behind holds them back.
async fn age_log(connection: &mut PgConnection) -> anyhow::Result<()> {
    for _ in 0..AGED_SEGMENTS {
        sqlx::query("select pg_logical_emit_message(true, 'bench', '')").execute(&mut *connection).await?;
        sqlx::query("select pg_switch_wal()").execute(&mut *connection).await?;
    }
    sqlx::query("checkpoint").execute(connection).await?;
    // What was measured before is not to be written to the disk meanwhile.
    Ok(tokio::task::spawn_blocking(rustix::fs::sync).await?)
}

impl Bed {
    fn start() -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("lunaria-bench-{}", std::process::id()));
        let settings = [
            ("max_wal_size", "8GB"),
            // What it has once written it keeps to write again.
            ("min_wal_size", "2GB"),
            ("shared_buffers", "1GB"),
            ("checkpoint_timeout", "30min"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let options = PostgresOptions { directory: directory.join("postgres"), port: None, settings };
        std::fs::create_dir_all(&directory)?;
        Ok(Self { postgres: PostgresCluster::start(options)?, directory })
    }

    fn stop(self) -> anyhow::Result<()> {
        self.postgres.stop()?;
        std::fs::remove_dir_all(&self.directory).context("the bench's servers left files behind")
    }

    async fn provision(&self) -> anyhow::Result<(PgConnectOptions, Passwords)> {
        self.provision_database(DATABASE).await
    }

    async fn provision_database(&self, database: &str) -> anyhow::Result<(PgConnectOptions, Passwords)> {
        let superuser: PgConnectOptions = self.postgres.superuser_url("postgres").parse()?;
        let passwords = Passwords {
            owner: "owner".to_owned(),
            application: "application".to_owned(),
            relay: "relay".to_owned(),
        };
        provision(&superuser, database, "core", &passwords).await?;
        Ok((superuser.database(database), passwords))
    }
}
