//! `lunaria projections`: how the read models are, built anew, compared with the events. A client of the API, with its rights and its records.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::{ProjectionsAction, ProjectionsOptions};
use crate::client::Client;
use crate::desk::Output;

const POLL: Duration = Duration::from_millis(250);
/// Where there is no terminal to draw on, a line so often.
const TOLD_EVERY: Duration = Duration::from_secs(5);

pub(crate) async fn run(options: ProjectionsOptions) -> anyhow::Result<ExitCode> {
    let client = options.asking.client()?;
    match options.action {
        ProjectionsAction::List => list(&client, options.asking.output).await,
        ProjectionsAction::Rebuild { name, detach } => begin(&client, &name, "rebuild", detach).await,
        ProjectionsAction::Verify { name, detach } => begin(&client, &name, "verify", detach).await,
        ProjectionsAction::Follow { operation_id } => follow(&client, operation_id).await,
        ProjectionsAction::Cancel { operation_id } => cancel(&client, operation_id).await,
    }
}

async fn list(client: &Client, output: Output) -> anyhow::Result<ExitCode> {
    let document = client.get("/v1/projections").await?.document()?;
    let mut out = std::io::stdout().lock();
    if output == Output::Json {
        writeln!(out, "{document:#}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{:<20} {:>7} {:>7} {:<38} state", "projection", "version", "parked", "last operation")?;
    for projection in document["projections"].as_array().into_iter().flatten() {
        let text = |field: &str| projection[field].as_str().unwrap_or("-").to_owned();
        let state = projection["behind_reason"].as_str();
        let state = state.map_or_else(|| "follows".to_owned(), |reason| format!("behind: {reason}"));
        writeln!(
            out,
            "{:<20} {:>7} {:>7} {:<38} {state}",
            text("name"),
            projection["version"].to_string(),
            projection["parked_streams"].to_string(),
            text("operation_id"),
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn begin(client: &Client, name: &str, what: &str, detach: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/projections/{name}/{what}");
    let id = client.post(&path, &Uuid::now_v7().to_string(), &json!({})).await?.id("operation_id")?;
    if detach {
        say(&format!("operation {id}: `lunaria projections follow {id}` shows how far it is"))?;
        return Ok(ExitCode::SUCCESS);
    }
    // It goes on when this is interrupted, and can be found again.
    writeln!(std::io::stderr(), "operation {id}")?;
    follow(client, id).await
}

async fn cancel(client: &Client, id: Uuid) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/operations/{id}/cancel");
    client.post(&path, &Uuid::now_v7().to_string(), &json!({})).await?.document()?;
    say("cancelled: what serves stays as it is")?;
    Ok(ExitCode::SUCCESS)
}

/// Until it has ended. Interrupted, the operation goes on.
async fn follow(client: &Client, id: Uuid) -> anyhow::Result<ExitCode> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}, {eta} left");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let is_drawn = std::io::stderr().is_terminal();
    let mut untold = Duration::ZERO;
    loop {
        let operation = client.get(&format!("/v1/operations/{id}")).await?.document()?;
        let number = |field: &str| operation[field].as_u64();
        let (done, total) = (number("events_done").unwrap_or_default(), number("events_total"));
        if operation["status"] != "running" {
            bar.finish_and_clear();
            return conclude(&operation);
        }
        bar.set_length(total.unwrap_or_default().max(done));
        bar.set_position(done);
        untold += POLL;
        if !is_drawn && untold >= TOLD_EVERY {
            untold = Duration::ZERO;
            let (rate, left) = (number("events_per_second"), number("seconds_left"));
            let shown = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |n| n.to_string());
            let (total, rate, left) = (shown(total), shown(rate), shown(left));
            writeln!(std::io::stderr(), "{done} of {total} events, {rate} a second, {left} s left")?;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Exit code 1 where it did not end well, or has found something.
fn conclude(operation: &Value) -> anyhow::Result<ExitCode> {
    let (projection, events) = (&operation["projection"], &operation["events_done"]);
    let projection = projection.as_str().unwrap_or("?");
    match operation["status"].as_str() {
        Some("completed") => {}
        Some("failed") => {
            bail!("it has failed: {}", operation["reason"].as_str().unwrap_or("for no reason given"))
        }
        other => bail!("it is {}", other.unwrap_or("in a state that is not known here")),
    }
    let Some(differences) = operation["differences"].as_array() else {
        say(&format!("{projection} is built anew, out of {events} events"))?;
        return Ok(ExitCode::SUCCESS);
    };
    if differences.is_empty() {
        say(&format!("{projection} is what its {events} events say"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for difference in differences {
        let table = difference["table"].as_str().unwrap_or("?");
        let (serving, rebuilt) = (&difference["only_serving"], &difference["only_rebuilt"]);
        say(&format!(
            "{table}: {serving} rows that the events do not say, {rebuilt} that they say and are not there"
        ))?;
        for (mark, side) in [('-', "only_serving"), ('+', "only_rebuilt")] {
            for row in difference["examples"][side].as_array().into_iter().flatten() {
                say(&format!("  {mark} {row}"))?;
            }
        }
    }
    say(&format!("`lunaria projections rebuild {projection}` builds it anew"))?;
    Ok(ExitCode::FAILURE)
}

fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
