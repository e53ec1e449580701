//! The scenario of a failover: the primary dies while a commit waits for the synchronous standby, and that is promoted.
//!
//! The commit is in the primary's log, and so in its slot, before it officially happened. A relay that publishes it then has
//! published what the promoted standby, and so the platform, does not know.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testbed::{TestDatabase, eventually, own_postgres, unique};
use uuid::Uuid;

use crate::figures::Figures;
use crate::record::{Partition, consumer, read_all};
use crate::relays::{Program, Relays};
use crate::run::{PARTITIONS, Verdict, rows};
use crate::site::Site;
use crate::violations::Violations;

const STANDBY: &str = "chaos_standby";
const TEMPTATION: Duration = Duration::from_millis(1500);
const POLL: Duration = Duration::from_millis(20);

pub(crate) async fn play(site: &Arc<Site>, program: &Program) -> Verdict {
    let primary = own_postgres(&[]).await;
    let database = TestDatabase::create_on(primary.superuser(), "core").await;
    let standby = primary.standby(STANDBY, &[]).await;
    let setting = format!("alter system set synchronous_standby_names = '{STANDBY}'");
    let mut connection = database.superuser_connection().await;
    sqlx::raw_sql(AssertSqlSafe(setting)).execute(&mut connection).await.unwrap();
    sqlx::raw_sql("select pg_reload_conf()").execute(&mut connection).await.unwrap();

    let prefix = unique("f").replace('_', "-") + ".";
    let directory = tempfile::Builder::new().prefix("lunaria-chaos-").tempdir().unwrap();
    let config = config(site, &database, &prefix);
    let mut relays = Relays::new(program.clone(), directory.path(), [config.clone(), config]);
    relays.start(0);
    eventually("the relay has its slot", || std::future::ready(relays.leader().map(|_| ()))).await;
    let mut application = PgConnection::connect_with(&database.application()).await.unwrap();
    rows("account-f1", 1..=1, 10).append(&mut application).await.unwrap();
    let partitions: Vec<Partition> =
        (0..PARTITIONS).map(|number| Partition { topic: format!("{prefix}core.account"), number }).collect();
    let bootstrap = site.kafka.bootstrap();
    eventually("the first event is with Kafka", async || {
        (ids(bootstrap, &partitions).len() == 1).then_some(())
    })
    .await;

    // From here on no commit returns.
    standby.kill().await;
    let commit = tokio::spawn(async move { rows("account-f1", 2..=2, 10).append(&mut application).await });
    eventually("a commit waits for the standby", async || {
        let waits = "select true from pg_stat_activity where wait_event = 'SyncRep'";
        sqlx::query_scalar::<_, bool>(waits)
            .fetch_optional(&mut database.superuser_connection().await)
            .await
            .unwrap()
    })
    .await;
    let deadline = Instant::now() + TEMPTATION;
    while ids(bootstrap, &partitions).len() == 1 && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
    primary.kill().await;
    relays.kill_all();
    assert!(commit.await.unwrap().is_err(), "the commit has returned");
    standby.restart().await;
    standby.promote().await;

    let promoted = database.at_port(standby.port());
    let mut connection = promoted.superuser_connection().await;
    let known: Vec<Uuid> =
        sqlx::query_scalar("select id from event").fetch_all(&mut connection).await.unwrap();
    let known: HashSet<u128> = known.iter().map(Uuid::as_u128).collect();
    let mut violations = Violations::default();
    for id in ids(bootstrap, &partitions).difference(&known) {
        violations
            .add("C2 phantom", || format!("{id:032x} is in Kafka, and the promoted standby has not got it"));
    }
    for id in known.difference(&ids(bootstrap, &partitions)) {
        violations.add("C1 loss", || format!("{id:032x} was acknowledged before, and is not in Kafka"));
    }
    let (halt, log) = (relays.halt(), relays.last_words());
    Verdict { violations, halt, figures: Figures::default(), log }
}

fn ids(bootstrap: &str, partitions: &[Partition]) -> HashSet<u128> {
    let mut ids = HashSet::new();
    tokio::task::block_in_place(|| {
        // Its topics may not be there yet.
        if is_known(bootstrap, &partitions[0].topic) {
            read_all(bootstrap, partitions, |record| {
                ids.insert(record.id);
            });
        }
    });
    ids
}

fn is_known(bootstrap: &str, topic: &str) -> bool {
    let metadata = consumer(bootstrap).fetch_metadata(None, Duration::from_secs(5));
    metadata.is_ok_and(|metadata| metadata.topics().iter().any(|known| known.name() == topic))
}

fn config(site: &Site, database: &TestDatabase, prefix: &str) -> String {
    let (application, relay, slot) = (database.application_url(), database.relay_url(), &database.name);
    let (brokers, replication) = (site.kafka.bootstrap(), site.brokers.min(3));
    format!(
        "transport = \"kafka\"
ops.listen = \"127.0.0.1:0\"
kafka = {{ brokers = \"{brokers}\", prefix = \"{prefix}\", partitions = {PARTITIONS}, replication = {replication} }}
core.database = {{ database_url = \"{application}\", relay_url = \"{relay}\", slot = \"{slot}\", connections_max = 4, standby = \"{STANDBY}\" }}
"
    )
}
