//! Floors: what the server does without us, by pgbench.

use std::path::PathBuf;

use anyhow::Context;
use event_store::APPLICATION_ROLE;
use sqlx::postgres::PgConnectOptions;
use tokio::process::Command;

use super::Bed;

/// Transactions a second of a script, by so many clients on two threads.
pub(super) async fn pgbench(
    bed: &Bed,
    application: &PgConnectOptions,
    password: &str,
    script: &str,
    clients: u32,
    seconds: u32,
) -> anyhow::Result<f64> {
    let file = bed.directory.join("bench.sql");
    tokio::fs::write(&file, script).await?;
    let output = Command::new(program()?)
        .args(["-n", "-M", "prepared", "-j", "2", "-h", "127.0.0.1", "-U", APPLICATION_ROLE])
        .args(["-c", &clients.to_string(), "-T", &seconds.to_string()])
        .args(["-p", &application.get_port().to_string()])
        .arg("-f")
        .arg(&file)
        .arg(application.get_database().unwrap_or_default())
        .env("PGPASSWORD", password)
        .output()
        .await
        .context("pgbench did not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench: {}{text}", String::from_utf8_lossy(&output.stderr)))
}

/// Beside the server's other programs, as Debian has it, or on the path.
fn program() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut programs: Vec<PathBuf> = versions
        .map(|version| version.path().join("bin/pgbench"))
        .filter(|program| program.exists())
        .collect();
    programs.sort();
    Ok(programs.pop().unwrap_or_else(|| PathBuf::from("pgbench")))
}
