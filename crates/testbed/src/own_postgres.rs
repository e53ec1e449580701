//! A PostgreSQL server of one test, which the test may hurt.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use local_servers::{Error, Installations, PostgresCluster, PostgresOptions};
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use crate::servers::unique;

/// Small and quick to end; durability stays as it is.
const SETTINGS: [(&str, &str); 2] = [("shared_buffers", "64MB"), ("log_checkpoints", "off")];

/// A server that ends with the value, at once. Whoever needs a database on it makes one by
/// [`TestDatabase::create_on`](crate::TestDatabase::create_on).
pub struct OwnPostgres {
    cluster: Arc<Mutex<PostgresCluster>>,
    superuser: PgConnectOptions,
    // Shared with its standbys, which may live longer; removed after the last server has ended.
    directory: Arc<TempDir>,
}

/// With the PostgreSQL of this machine, and settings on top of the usual ones.
pub async fn own_postgres(settings: &[(&str, &str)]) -> OwnPostgres {
    OwnPostgres::start(temporary("/tmp"), settings, Installations::default()).await
}

/// The same on a disk of the test's, where all accounts may pass.
pub async fn own_postgres_in(parent: &Path, settings: &[(&str, &str)]) -> OwnPostgres {
    OwnPostgres::start(temporary(parent), settings, Installations::default()).await
}

/// The same with a newer one, whose programs are in `LUNARIA_POSTGRES_NEWER`.
pub async fn own_newer_postgres(settings: &[(&str, &str)]) -> OwnPostgres {
    let bin = std::env::var("LUNARIA_POSTGRES_NEWER").unwrap_or_else(|_| {
        panic!("LUNARIA_POSTGRES_NEWER is not set: export LUNARIA_POSTGRES_NEWER=\"$(scripts/postgres.sh)\"")
    });
    OwnPostgres::start(temporary("/tmp"), settings, Installations::only(Path::new(&bin))).await
}

impl OwnPostgres {
    async fn start(directory: TempDir, settings: &[(&str, &str)], installations: Installations) -> Self {
        let directory = Arc::new(directory);
        let options = options(&directory.path().join("primary"), &[&SETTINGS, settings].concat());
        let start = move || PostgresCluster::start_from(options, &installations);
        let cluster = tokio::task::spawn_blocking(start).await.unwrap().unwrap();
        Self::new(cluster, directory)
    }

    fn new(cluster: PostgresCluster, directory: Arc<TempDir>) -> Self {
        let superuser = cluster.superuser_url("postgres").parse().unwrap();
        Self { cluster: Arc::new(Mutex::new(cluster)), superuser, directory }
    }

    pub fn superuser(&self) -> &PgConnectOptions {
        &self.superuser
    }

    pub fn port(&self) -> u16 {
        self.superuser.get_port()
    }

    /// Every process at once, as a power failure would.
    pub async fn kill(&self) {
        self.with(PostgresCluster::kill).await;
    }

    /// On the same port and data; in order, if it still runs.
    pub async fn restart(&self) {
        self.with(PostgresCluster::restart).await;
    }

    /// Connections stay open and get no answer.
    pub async fn pause(&self) {
        self.with(PostgresCluster::pause).await;
    }

    pub async fn resume(&self) {
        self.with(PostgresCluster::resume).await;
    }

    /// A streaming standby, which `name` tells from others in `pg_stat_replication` and `synchronous_standby_names`.
    pub async fn standby(&self, name: &str, settings: &[(&str, &str)]) -> Self {
        let options = options(&self.directory.path().join(unique("standby")), settings);
        let name = name.to_owned();
        let cluster = self.with(move |cluster| cluster.standby(&name, options)).await;
        Self::new(cluster, Arc::clone(&self.directory))
    }

    pub async fn promote(&self) {
        self.with(PostgresCluster::promote).await;
    }

    /// What a snapshot of the disk at this instant holds; [`OwnPostgres::restore_data`] takes it.
    pub async fn copy_data(&self) -> PathBuf {
        let copy = self.directory.path().join(unique("copy"));
        let to = copy.clone();
        self.with(move |cluster| cluster.copy_data(&to)).await;
        copy
    }

    /// What happened after the copy is gone, and the server starts from there.
    pub async fn restore_data(&self, copy: &Path) {
        let from = copy.to_owned();
        self.with(move |cluster| cluster.restore_data(&from)).await;
    }

    /// Off the runtime's threads, as the verbs take up to seconds, and what is tested goes on meanwhile.
    async fn with<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut PostgresCluster) -> Result<T, Error> + Send + 'static,
    ) -> T {
        let cluster = Arc::clone(&self.cluster);
        tokio::task::spawn_blocking(move || verb(&mut cluster.lock().unwrap())).await.unwrap().unwrap()
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        // Not in order, which can wait a minute for a walsender whose client the test has stopped.
        let _ = self.cluster.lock().unwrap_or_else(PoisonError::into_inner).kill();
    }
}

fn options(directory: &Path, settings: &[(&str, &str)]) -> PostgresOptions {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    PostgresOptions { directory: directory.to_owned(), port: None, settings }
}

/// Open for passage, as the account that runs PostgreSQL need not be ours; with a short path, for the socket's sake.
fn temporary(parent: impl AsRef<Path>) -> TempDir {
    let permissions = Permissions::from_mode(0o711);
    tempfile::Builder::new().prefix("lunaria-own-").permissions(permissions).tempdir_in(parent).unwrap()
}
