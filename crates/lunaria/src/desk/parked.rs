//! `lunaria parked`: what handlers could not handle, by what it fails for, and how it is tried again.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use event::StreamName;
use serde_json::{Value, json};
use uuid::Uuid;

use super::options::{Asking, Paging};
use super::print::{list, more, print, table, text, time};
use super::{get, query};

#[derive(Debug, Args)]
pub(crate) struct ParkedOptions {
    #[command(flatten)]
    pub asking: Asking,
    #[command(subcommand)]
    pub action: ParkedAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParkedAction {
    /// By what it fails for.
    List,
    /// The streams that wait for one cause.
    Show {
        /// As the list calls it.
        group: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Has those tried again that wait for a person. Without a confirmation nothing is done, and it says what would be. What is to be left
    /// out is a correction: `lunaria corrections request … skip`.
    Retry {
        group: String,
        /// Why it will go better now.
        #[arg(long)]
        reason: String,
        /// Only this one.
        #[arg(long)]
        stream: Option<StreamName>,
        /// No more than so many are tried in a second.
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        per_second: u32,
        /// How many streams wait, as it is shown.
        #[arg(long, value_name = "COUNT")]
        confirm: Option<u64>,
    },
}

pub(crate) async fn parked(options: ParkedOptions) -> anyhow::Result<ExitCode> {
    let (client, output) = (options.asking.client()?, options.asking.output);
    match options.action {
        ParkedAction::List => print(output, &get(&client, "/v1/parked").await?, groups)?,
        ParkedAction::Show { group, paging } => {
            let query =
                query([("limit", paging.limit.map(|limit| limit.to_string())), ("cursor", paging.cursor)]);
            let found = get(&client, &format!("/v1/parked/{group}/streams?{query}")).await?;
            print(output, &found, |found| streams(found) + &more(found))?;
        }
        ParkedAction::Retry { group, reason, stream, per_second, confirm } => {
            let Some(confirmed) = confirm else {
                let found = get(&client, &format!("/v1/parked/{group}/streams?limit=1")).await?;
                let (group, count) = (&found["group"], &found["group"]["streams"]);
                let count = if stream.is_some() { &json!(1) } else { count };
                bail!(
                    "nothing is done: {count} of the streams that wait in {} would be tried again; `--confirm {count}` does",
                    text(&group["handler"])
                );
            };
            let body =
                json!({ "streams": confirmed, "stream": stream, "per_second": per_second, "reason": reason });
            let path = format!("/v1/parked/{group}/retry");
            let answer = client.post(&path, &Uuid::now_v7().to_string(), &body).await?.document()?;
            print(output, &answer, |answer| format!("{} streams are tried again\n", answer["streams"]))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn groups(found: &Value) -> String {
    let row = |group: &Value| {
        [
            text(&group["group_id"]),
            text(&group["handler"]),
            text(&group["streams"]),
            text(&group["retried"]),
            text(&group["events"]),
            time(&group["first_failed_at"]),
            text(&group["cause"]),
        ]
    };
    let rows = list(found, "groups").iter().map(row).collect();
    table(["group", "handler", "waiting", "retried", "events", "since", "cause"], rows)
}

fn streams(found: &Value) -> String {
    let row = |stream: &Value| {
        [
            format!("{}@{}", text(&stream["stream"]), stream["seq"]),
            text(&stream["events"]),
            text(&stream["attempts"]),
            time(&stream["last_failed_at"]),
            time(&stream["retry_at"]),
            text(&stream["reason"]),
        ]
    };
    let rows = list(found, "streams").iter().map(row).collect();
    let group = &found["group"];
    let (handler, cause) = (text(&group["handler"]), text(&group["cause"]));
    let about = format!("{handler}: {cause}\n\n");
    about + &table(["event", "events", "tried", "last", "again", "reason"], rows)
}
