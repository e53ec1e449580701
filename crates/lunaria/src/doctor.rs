//! `lunaria doctor`: what is missing for running with this configuration, and how to mend it.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use replication::Client;
use sqlx::{Connection, PgConnection};

use crate::cli::ServiceName;
use crate::config::{Config, PostgresUrl, Transport};
use crate::relays::{PUBLICATION, replication_config};

const TIMEOUT: Duration = Duration::from_secs(5);
/// In `server_version_num`'s form.
const VERSION_MIN: i64 = 150_000;

/// What was found, and what to do about it when it is not well.
struct Finding {
    what: String,
    remedy: Option<String>,
}

impl Finding {
    fn new(well: bool, what: impl Into<String>, remedy: &str) -> Self {
        Self { what: what.into(), remedy: (!well).then(|| remedy.to_owned()) }
    }
}

/// Exit code 0 when all is well, 1 when something has to be mended.
pub(crate) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    for service in ServiceName::enabled(&config) {
        database(service, &config, &mut findings).await;
    }
    if config.transport == Transport::Kafka {
        findings.push(broker(&config).await);
    }
    findings.push(clearing_house(&config.instant.clearing_house_url).await);
    let mut out = std::io::stdout().lock();
    let mut all_well = true;
    for Finding { what, remedy } in findings {
        match remedy {
            None => writeln!(out, "ok    {what}")?,
            Some(remedy) => {
                all_well = false;
                writeln!(out, "FAIL  {what}\n      {remedy}")?;
            }
        }
    }
    Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn database(service: ServiceName, config: &Config, findings: &mut Vec<Finding>) {
    let (name, settings) = (service.as_str(), service.database(config));
    match tokio::time::timeout(TIMEOUT, connect(&settings.database_url)).await {
        Ok(Ok(mut connection)) => {
            if let Err(error) = server(name, &settings.slot, &mut connection, findings).await {
                findings.push(Finding::new(false, format!("{name}: {error}"), "see the server's log"));
            }
        }
        outcome => {
            let is_optional = service == ServiceName::AdapterCard;
            let unwanted = if is_optional { "; without a card network: card.enabled = false" } else { "" };
            let why = outcome.map_or_else(
                |_| "no answer".to_owned(),
                |error| error.err().map_or_else(String::new, |error| format!("{error:#}")),
            );
            findings.push(Finding::new(
                false,
                format!("{name}: cannot connect to {}: {why}", settings.database_url),
                &format!("start PostgreSQL, or set `database_url` of the service; a service that is new to this installation gets its database by `lunaria provision {name}`{unwanted}"),
            ));
        }
    }
    findings.push(match relay_login(&settings.relay_url).await {
        Ok(()) => Finding::new(true, format!("{name}: the relay's role can log in for replication"), ""),
        Err(error) => Finding::new(
            false,
            format!("{name}: the relay cannot log in to {}: {error:#}", settings.relay_url),
            "give the role REPLICATION and LOGIN, a password, and a line in pg_hba.conf for this database",
        ),
    });
}

async fn connect(url: &PostgresUrl) -> anyhow::Result<PgConnection> {
    Ok(PgConnection::connect_with(&url.application()?).await?)
}

async fn relay_login(url: &PostgresUrl) -> anyhow::Result<()> {
    Client::connect(&replication_config(url)?).await?.identify_system().await?;
    Ok(())
}

async fn server(
    service: &str,
    slot: &str,
    connection: &mut PgConnection,
    findings: &mut Vec<Finding>,
) -> Result<(), sqlx::Error> {
    let mut setting = async |name: &str| -> Result<String, sqlx::Error> {
        sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&mut *connection).await
    };
    let version: i64 = setting("server_version_num").await?.parse().unwrap_or_default();
    let shown = setting("server_version").await?;
    findings.push(Finding::new(
        version >= VERSION_MIN,
        format!("{service}: PostgreSQL {shown}"),
        "install PostgreSQL 15 or newer",
    ));
    for (name, wanted, remedy) in [
        ("wal_level", &["logical"][..], "set wal_level = logical and restart: the relay reads the WAL"),
        ("fsync", &["on"], "set fsync = on: without it a power cut loses acknowledged money"),
        ("full_page_writes", &["on"], "set full_page_writes = on: without it a torn page is lost"),
        (
            "synchronous_commit",
            &["on", "remote_write", "remote_apply", "local"],
            "set synchronous_commit = on: without it a crash loses acknowledged money",
        ),
    ] {
        let value = setting(name).await?;
        findings.push(Finding::new(
            wanted.contains(&value.as_str()),
            format!("{service}: {name} = {value}"),
            remedy,
        ));
    }
    let (slots_left, senders_left, has_slot): (i64, i64, bool) = sqlx::query_as(
        "select current_setting('max_replication_slots')::bigint - (select count(*) from pg_replication_slots),
                current_setting('max_wal_senders')::bigint - (select count(*) from pg_stat_replication),
                exists (select from pg_replication_slots where slot_name = $1 and wal_status is distinct from 'lost')",
    )
    .bind(slot)
    .fetch_one(&mut *connection)
    .await?;
    findings.push(Finding::new(
        has_slot || (slots_left > 0 && senders_left > 0),
        format!(
            "{service}: slot {slot} exists: {has_slot}; {slots_left} slots and {senders_left} walsenders left"
        ),
        "raise max_replication_slots and max_wal_senders, and restart",
    ));
    schema(service, connection, findings).await
}

async fn schema(
    service: &str,
    connection: &mut PgConnection,
    findings: &mut Vec<Finding>,
) -> Result<(), sqlx::Error> {
    let migrate = format!("as the owner: lunaria --set <section>.database.database_url=… migrate {service}");
    let exists: bool = sqlx::query_scalar("select to_regclass('public.event') is not null")
        .fetch_one(&mut *connection)
        .await?;
    findings.push(Finding::new(exists, format!("{service}: the event table exists: {exists}"), &migrate));
    if !exists {
        return Ok(());
    }
    let (may_append, may_write, is_superuser, published): (bool, bool, bool, bool) = sqlx::query_as(
        "select (select count(*) = 2 and bool_and(has_function_privilege(oid, 'execute'))
                 from pg_proc where proname in ('append_event', 'append_events')),
                has_table_privilege('event', 'insert, update, delete, truncate'),
                (select rolsuper from pg_roles where rolname = current_user),
                exists (select from pg_publication_tables where pubname = $1 and tablename = 'event')",
    )
    .bind(PUBLICATION)
    .fetch_one(&mut *connection)
    .await?;
    findings.push(Finding::new(
        may_append,
        format!("{service}: the role may append: {may_append}"),
        &migrate,
    ));
    findings.push(Finding::new(
        !may_write && !is_superuser,
        format!(
            "{service}: the role may write the event table past append_events: {}",
            may_write || is_superuser
        ),
        "connect as lunaria_app, and grant it no more than the migrations do",
    ));
    findings.push(Finding::new(
        published,
        format!("{service}: the event table is published: {published}"),
        &migrate,
    ));
    Ok(())
}

async fn broker(config: &Config) -> Finding {
    let brokers = &config.kafka.brokers;
    let reached = async { Ok::<_, anyhow::Error>(config.kafka.access()?.check_within(TIMEOUT).await?) };
    match reached.await {
        Ok(()) => Finding::new(true, format!("kafka: {brokers} answers"), ""),
        Err(error) => Finding::new(false, format!("kafka: {error:#}"), "start Kafka, or set kafka.brokers"),
    }
}

async fn clearing_house(url: &str) -> Finding {
    let asked = reqwest::Client::new().get(format!("{url}/livez")).timeout(TIMEOUT).send().await;
    let remedy = "start it (`lunaria simulator --journal FILE`), or set instant.clearing_house_url";
    match asked {
        Ok(answer) => Finding::new(
            answer.status().is_success(),
            format!("clearing house: {url} answers {}", answer.status()),
            remedy,
        ),
        Err(error) => Finding::new(false, format!("clearing house: {url}: {error}"), remedy),
    }
}
