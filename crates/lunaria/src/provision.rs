//! `lunaria provision`: the database, the roles and the schema of a service, as the configuration names them.

use std::path::Path;

use anyhow::{Context, ensure};
use event_store::{APPLICATION_ROLE, Passwords, RELAY_ROLE};

use crate::cli::{ProvisionOptions, ServiceName};
use crate::config::{Config, PostgresUrl};

/// What provisioning connects to before the service's database exists.
const SUPERUSER_DATABASE: &str = "postgres";

pub(crate) async fn run(config: Config, options: ProvisionOptions) -> anyhow::Result<()> {
    let service: ServiceName = options.service;
    let settings = service.database(&config);
    let (application, database) = login("database_url", &settings.database_url, APPLICATION_ROLE)?;
    let (relay, relay_database) = login("relay_url", &settings.relay_url, RELAY_ROLE)?;
    ensure!(
        database == relay_database,
        "database_url names the database {database}, relay_url {relay_database}"
    );
    let owner = secret(&options.owner_password_file)?;
    usable("the owner's password", &owner)?;
    let superuser = settings.database_url.application().context("database_url")?;
    let superuser = superuser
        .database(SUPERUSER_DATABASE)
        .username(&options.superuser)
        .password(&secret(&options.superuser_password_file)?);
    let passwords = Passwords { owner, application, relay };
    event_store::provision(&superuser, &database, service.as_str(), &passwords)
        .await
        .with_context(|| format!("cannot make the database {database} as {}", options.superuser))?;
    tracing::info!(service = service.as_str(), database, "provisioned");
    Ok(())
}

/// The password and the database of a URL whose role has to be `role`.
fn login(setting: &str, shown: &PostgresUrl, role: &str) -> anyhow::Result<(String, String)> {
    let url = shown.parsed().context(setting.to_owned())?;
    ensure!(url.username() == role, "{setting} is {shown}; its role has to be {role}");
    let password = url.password().with_context(|| format!("{setting}: {shown} has no password"))?;
    usable(&format!("the password in {setting}"), password)?;
    let database = url.path().trim_start_matches('/');
    ensure!(!database.is_empty(), "{setting}: {shown} names no database");
    Ok((password.to_owned(), database.to_owned()))
}

/// A URL says the same as a file, and SQL the same as both, when nothing has to be escaped.
fn usable(what: &str, password: &str) -> anyhow::Result<()> {
    ensure!(
        !password.is_empty() && password.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{what} has to be of letters and digits"
    );
    Ok(())
}

/// The first line of a file.
fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    ensure!(!line.is_empty(), "{} is empty", file.display());
    Ok(line)
}
