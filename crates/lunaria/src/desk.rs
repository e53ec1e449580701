//! What operators ask from the command line: clients of the API, with its rights and its records.
//!
//! ```text
//! lunaria transfers list | show | follow | events | graph      lunaria events     lunaria cases list | groups | show | resolve …
//! lunaria corrections preview | request | approve | execute | …      lunaria corrections bulk request | approve | start | resume | …
//! lunaria parked list | show | retry
//! lunaria streams show | at                                    lunaria sagas      lunaria projections …
//! ```

mod bulk;
mod corrections;
mod options;
mod parked;
mod print;
mod timeline;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;
use uuid::Uuid;

pub(crate) use corrections::{CorrectionsOptions, corrections};
pub(crate) use options::{
    Asking, CasesOptions, EventsOptions, Output, SagasOptions, StreamAtOptions, StreamShowOptions,
    TransfersOptions,
};
use options::{CasesAction, TransfersAction};
pub(crate) use parked::{ParkedOptions, parked};
use print::{age, list, money, more, print, status, table, text, time};

use crate::client::Client;

/// Of a list, where nothing else is said.
const LIMIT: u32 = 50;
/// After a live stream has ended, before the next one.
const PAUSE: Duration = Duration::from_secs(1);
/// After which nothing goes on by itself.
const ENDED: [&str; 6] =
    ["Succeeded", "Failed", "Cancelled", "Returned", "Reversed", "OperatorAttentionRequired"];

pub(crate) async fn transfers(options: TransfersOptions) -> anyhow::Result<ExitCode> {
    let (client, output) = (options.asking.client()?, options.asking.output);
    match options.action {
        TransfersAction::List { status: wanted, account, changed_before, paging } => {
            let query = query([
                ("status", wanted),
                ("account", account.map(|id| id.to_string())),
                ("changed_before", changed_before.map(|time| time.to_string())),
                ("limit", paging.limit.map(|limit| limit.to_string())),
                ("cursor", paging.cursor),
            ]);
            let found = get(&client, &format!("/v1/transfers?{query}")).await?;
            print(output, &found, |found| listed_transfers(found) + &more(found))?;
        }
        TransfersAction::Show { transfer_id } => show(&client, output, transfer_id).await?,
        TransfersAction::Follow { transfer_id } => return follow(&client, output, transfer_id).await,
        TransfersAction::Events { transfer_id } => {
            let found = get(&client, &format!("/v1/transfers/{transfer_id}/events")).await?;
            print(output, &found, |found| listed_events(found) + &more(found))?;
        }
        TransfersAction::Graph { transfer_id } => {
            let timeline = get(&client, &format!("/v1/transfers/{transfer_id}/timeline")).await?;
            print(output, &timeline, timeline::graph)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn events(options: EventsOptions) -> anyhow::Result<ExitCode> {
    let EventsOptions { asking, category, r#type, words, correlation, cause, recorded_before, paging } =
        options;
    let is_story = correlation.is_some() || cause.is_some();
    let limit = paging.limit.or((!is_story).then_some(LIMIT)).map(|limit| limit.to_string());
    let query = query([
        ("category", category),
        ("type", r#type),
        ("q", words),
        ("correlation_id", correlation.map(|id| id.to_string())),
        ("causation_id", cause.map(|id| id.to_string())),
        ("recorded_before", recorded_before.map(|time| time.to_string())),
        ("limit", limit),
        ("cursor", paging.cursor),
    ]);
    let found = get(&asking.client()?, &format!("/v1/events?{query}")).await?;
    print(asking.output, &found, |found| listed_events(found) + &more(found))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn cases(options: CasesOptions) -> anyhow::Result<ExitCode> {
    let (client, output) = (options.asking.client()?, options.asking.output);
    match options.action {
        CasesAction::List { status, subject, assigned_to, paging } => {
            let query = query([
                ("status", Some(status)),
                ("subject", subject.map(|stream| stream.to_string())),
                ("assigned_to", assigned_to),
                ("limit", paging.limit.map(|limit| limit.to_string())),
                ("cursor", paging.cursor),
            ]);
            let found = get(&client, &format!("/v1/cases?{query}")).await?;
            print(output, &found, |found| listed_cases(found) + &more(found))?;
        }
        CasesAction::Groups => {
            let found = get(&client, "/v1/cases/groups").await?;
            print(output, &found, grouped_cases)?;
        }
        CasesAction::Show { case_id } => {
            let found = get(&client, &format!("/v1/cases/{case_id}/events")).await?;
            print(output, &found, |found| listed_events(found) + &more(found))?;
        }
        CasesAction::Assign { case_id, to } => {
            act(&client, output, case_id, "assign", &json!({ "to": to })).await?;
        }
        CasesAction::Note { case_id, note } => {
            act(&client, output, case_id, "note", &json!({ "note": note })).await?;
        }
        CasesAction::Resolve { case_id, resolution, correction } => {
            let body = json!({ "resolution": resolution, "correction_id": correction });
            act(&client, output, case_id, "resolve", &body).await?;
        }
        CasesAction::Reopen { case_id, reason } => {
            act(&client, output, case_id, "reopen", &json!({ "reason": reason })).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Has a case say something, and shows how it stands.
async fn act(client: &Client, output: Output, id: Uuid, what: &str, body: &Value) -> anyhow::Result<()> {
    let path = format!("/v1/cases/{id}/{what}");
    let case = client.post(&path, &Uuid::now_v7().to_string(), body).await?.document()?;
    print(output, &case, |case| {
        let by = case["assigned_to"].as_str().map(|name| format!(", {name}")).unwrap_or_default();
        let how = case["resolution"].as_str().map(|how| format!(": {how}")).unwrap_or_default();
        format!("case {id}  {}{by}{how}\n", status(&case["status"]))
    })
}

pub(crate) async fn sagas(options: SagasOptions) -> anyhow::Result<ExitCode> {
    let found = get(&options.asking.client()?, "/v1/sagas").await?;
    let now = Timestamp::now();
    print(options.asking.output, &found, |found| {
        let mut rows = Vec::new();
        for saga in list(found, "sagas") {
            for of in list(saga, "statuses") {
                let oldest = age(&of["unchanged_since"], now);
                rows.push([text(&saga["name"]), status(&of["status"]), text(&of["count"]), oldest]);
            }
        }
        table(["saga", "status", "count", "unchanged for"], rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn stream(options: StreamShowOptions) -> anyhow::Result<ExitCode> {
    let StreamShowOptions { asking, stream, after, limit } = options;
    let path = format!("/v1/streams/{stream}/events?after={after}&limit={limit}");
    let found = get(&asking.client()?, &path).await?;
    print(asking.output, &found, |found| {
        let events = list(found, "events");
        let is_full = u32::try_from(events.len()).is_ok_and(|count| count >= limit);
        let last = events.last().filter(|_| is_full);
        let more = last.map(|last| format!("perhaps more: --after {}\n", last["seq"])).unwrap_or_default();
        listed_events(found) + &more
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn stream_at(options: StreamAtOptions) -> anyhow::Result<ExitCode> {
    let StreamAtOptions { asking, stream, seq, time } = options;
    let query = query([("seq", seq.map(|seq| seq.to_string())), ("at", time.map(|time| time.to_string()))]);
    let found = get(&asking.client()?, &format!("/v1/streams/{stream}/state?{query}")).await?;
    print(asking.output, &found, |found| {
        format!("{}@{}\n{:#}\n", text(&found["stream"]), found["seq"], found["state"])
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn show(client: &Client, output: Output, id: Uuid) -> anyhow::Result<()> {
    let transfer = get(client, &format!("/v1/transfers/{id}")).await?;
    let timeline = get(client, &format!("/v1/transfers/{id}/timeline")).await?;
    let cases = client.get(&format!("/v1/cases?subject=transfer-{id}")).await?;
    // Whoever asks for their own transfer need not be allowed to see the cases.
    let may_see_cases = cases.status != StatusCode::FORBIDDEN;
    let cases = if may_see_cases { cases.document()? } else { Value::Null };
    let document = json!({ "transfer": transfer, "cases": cases["cases"], "steps": timeline["steps"] });
    print(output, &document, |_| {
        let mut shown = format!("transfer {id}  {}\n", status(&transfer["status"]));
        let mut line = |name: &str, value: String| shown.push_str(&format!("  {name:<12}{value}\n"));
        if !transfer["status_reason"].is_null() {
            line("reason", text(&transfer["status_reason"]));
        }
        line("amount", money(&transfer["amount"]));
        line("from", text(&transfer["from_account"]));
        let to = &transfer["to"];
        let account = if to["iban"].is_null() { text(&to["account_id"]) } else { text(&to["iban"]) };
        line("to", [account, to["name"].as_str().unwrap_or_default().to_owned()].join(" ").trim().to_owned());
        if !transfer["remittance"].is_null() {
            line("remittance", text(&transfer["remittance"]));
        }
        line("uetr", text(&transfer["uetr"]));
        for (name, what) in [("recall", "status"), ("returned", "reason_code")] {
            if !transfer[name].is_null() {
                line(name, text(&transfer[name][what]));
            }
        }
        if !may_see_cases {
            line("cases", "this key may not see them".to_owned());
        }
        for case in list(&document, "cases") {
            line(
                "case",
                format!("{} {}: {}", status(&case["status"]), text(&case["case_id"]), text(&case["reason"])),
            );
        }
        shown + "\n" + &timeline::tree(&timeline)
    })
}

/// Until it has ended, or somebody has to look: by its last event, whatever was before.
async fn follow(client: &Client, output: Output, id: Uuid) -> anyhow::Result<ExitCode> {
    let transfer = get(client, &format!("/v1/transfers/{id}/events")).await?;
    let known = list(&transfer, "events").last().and_then(|event| event["seq"].as_i64()).unwrap_or_default();
    let mut last = None;
    loop {
        let mut events = client.live(&format!("/v1/transfers/{id}/live"), last).await?;
        while let Some(event) = events.next().await? {
            let seq = event["seq"].as_i64().unwrap_or_default();
            last = Some(seq);
            let shown = |event: &Value| {
                let (at, seq) = (time(&event["recorded_at"]), &event["seq"]);
                format!("{at}  {seq:>3}  {}  {}\n", text(&event["type"]), event["data"])
            };
            match output {
                Output::Json => writeln!(std::io::stdout(), "{event}")?,
                Output::Table => print(output, &event, shown)?,
            }
            let has_ended = event["type"].as_str().is_some_and(|what| ENDED.contains(&what));
            if seq >= known && has_ended {
                return Ok(ExitCode::SUCCESS);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn listed_transfers(found: &Value) -> String {
    let row = |transfer: &Value| {
        [
            text(&transfer["transfer_id"]),
            status(&transfer["status"]),
            money(&transfer["amount"]),
            time(&transfer["requested_at"]),
            text(&transfer["status_reason"]),
        ]
    };
    let rows = list(found, "transfers").iter().map(row).collect();
    table(["transfer", "status", "amount", "requested", "reason"], rows)
}

fn listed_events(found: &Value) -> String {
    let row = |event: &Value| {
        let place = format!("{}@{}", text(&event["stream"]), event["seq"]);
        [
            time(&event["recorded_at"]),
            place,
            text(&event["type"]),
            text(&event["metadata"]["actor"]),
            event["data"].to_string(),
        ]
    };
    let rows: Vec<_> = list(found, "events").iter().map(row).collect();
    if rows.is_empty() && !found["next_cursor"].is_null() {
        // Of those that were looked at.
        return String::new();
    }
    table(["recorded", "event", "type", "actor", "data"], rows)
}

fn listed_cases(found: &Value) -> String {
    let now = Timestamp::now();
    let row = |case: &Value| {
        [
            text(&case["case_id"]),
            status(&case["status"]),
            age(&case["raised_at"], now),
            money(&case["amount"]),
            text(&case["assigned_to"]),
            text(&case["subject"]),
            text(&case["reason"]),
        ]
    };
    let rows = list(found, "cases").iter().map(row).collect();
    table(["case", "status", "age", "amount", "with", "about", "reason"], rows)
}

fn grouped_cases(found: &Value) -> String {
    let now = Timestamp::now();
    let row = |group: &Value| {
        [
            text(&group["count"]),
            age(&group["oldest_raised_at"], now),
            list(group, "amounts").iter().map(money).collect::<Vec<_>>().join(", "),
            text(&group["category"]),
            text(&group["cause"]),
            list(group, "examples").first().map(text).unwrap_or_default(),
        ]
    };
    let rows = list(found, "groups").iter().map(row).collect();
    table(["count", "oldest", "amount", "about", "cause", "oldest case"], rows)
}

async fn get(client: &Client, path: &str) -> anyhow::Result<Value> {
    client.get(path).await?.document()
}

/// Of what was said.
fn query<const N: usize>(parameters: [(&str, Option<String>); N]) -> String {
    let said = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    Serializer::new(String::new()).extend_pairs(said).finish()
}
