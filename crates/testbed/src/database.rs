//! A migrated service database of one test.

use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE, Store, provision};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::servers::{postgres, unique};

/// A database with its roles. [`TestDatabase::drop_database`] removes it with its slots; what a failed test leaves behind
/// goes with the private cluster.
pub struct TestDatabase {
    pub name: String,
    pub service: &'static str,
    superuser: PgConnectOptions,
}

/// Roles belong to the whole cluster, so all tests share their passwords.
fn passwords() -> Passwords {
    Passwords { owner: "owner".to_owned(), application: "application".to_owned(), relay: "relay".to_owned() }
}

impl TestDatabase {
    pub async fn create(service: &'static str) -> Self {
        Self::create_on(&postgres(), service).await
    }

    /// On a server of the test's own.
    pub async fn create_on(superuser: &PgConnectOptions, service: &'static str) -> Self {
        let name = unique(&format!("test_{}", service.replace('-', "_")));
        provision(superuser, &name, service, &passwords()).await.unwrap();
        Self { superuser: superuser.clone().database(&name), name, service }
    }

    /// The same database as it is reached at another port: through a proxy, or on a standby, whose roles are the same.
    pub fn at_port(&self, port: u16) -> Self {
        let superuser = self.superuser.clone().port(port);
        Self { name: self.name.clone(), service: self.service, superuser }
    }

    pub fn superuser(&self) -> &PgConnectOptions {
        &self.superuser
    }

    pub fn application(&self) -> PgConnectOptions {
        self.superuser.clone().username(APPLICATION_ROLE).password(&passwords().application)
    }

    /// Role, password, host and port for the relay.
    pub fn relay_login(&self) -> (String, String, String, u16) {
        let (host, port) = (self.superuser.get_host().to_owned(), self.superuser.get_port());
        (RELAY_ROLE.to_owned(), passwords().relay, host, port)
    }

    pub fn application_url(&self) -> String {
        self.url(APPLICATION_ROLE, &passwords().application)
    }

    pub fn relay_url(&self) -> String {
        self.url(RELAY_ROLE, &passwords().relay)
    }

    fn url(&self, role: &str, password: &str) -> String {
        let (host, port) = (self.superuser.get_host(), self.superuser.get_port());
        format!("postgres://{role}:{password}@{host}:{port}/{}", self.name)
    }

    /// A store as the application role sees it.
    pub async fn store(&self) -> Store {
        // Tests its connections, as servers come and go here.
        let pool = PgPoolOptions::new().max_connections(16).connect_with(self.application()).await.unwrap();
        Store::new(self.service, pool)
    }

    pub async fn superuser_connection(&self) -> PgConnection {
        PgConnection::connect_with(&self.superuser).await.unwrap()
    }

    /// Drops the slots first: a slot pins its database and its WAL.
    pub async fn drop_database(self) {
        let cluster = self.superuser.clone().database("postgres");
        let mut connection = PgConnection::connect_with(&cluster).await.unwrap();
        let drop_slots = "select pg_terminate_backend(active_pid) from pg_replication_slots
             where database = $1 and active_pid is not null";
        sqlx::query(drop_slots).bind(&self.name).execute(&mut connection).await.unwrap();
        crate::eventually("the slots are dropped", async || {
            let mut connection = PgConnection::connect_with(&cluster).await.unwrap();
            let drop = "select pg_drop_replication_slot(slot_name) from pg_replication_slots
                 where database = $1 and not active";
            let _ = sqlx::query(drop).bind(&self.name).execute(&mut connection).await;
            let left: i64 =
                sqlx::query_scalar("select count(*) from pg_replication_slots where database = $1")
                    .bind(&self.name)
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
            (left == 0).then_some(())
        })
        .await;
        let drop = format!("drop database \"{}\" with (force)", self.name);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
    }
}
