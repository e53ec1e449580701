//! `lunaria corrections bulk`: many corrections at once, from a list that is frozen, approved as one, and done under a person's eyes.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::options::{Output, Paging};
use super::print::{list, money, more, print, status, table, text, time};
use super::{get, query};
use crate::client::Client;

const POLL: Duration = Duration::from_millis(250);

#[derive(Debug, Subcommand)]
pub(crate) enum BulkAction {
    /// The newest first.
    List {
        /// Such as `awaiting_approval`.
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// One, what it would do, and how far it is.
    Show { bulk_id: Uuid },
    /// What has become of each item, in the order of the list.
    Items {
        bulk_id: Uuid,
        /// Such as `failed`.
        #[arg(long)]
        status: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Asks for it. Somebody else has to approve what it would do, once that is known.
    Request(BulkRequest),
    /// Approves what all items would do.
    Approve {
        bulk_id: Uuid,
        /// The hash that it is shown with.
        #[arg(long, value_name = "HASH")]
        preview: String,
    },
    /// Ends it before any of it is done.
    Reject {
        bulk_id: Uuid,
        #[arg(long)]
        reason: String,
    },
    /// Has the first items done; then it waits for a person to look at them.
    Start(Confirmed),
    /// Has it go on, after the first items or after a pause.
    Resume(Confirmed),
    /// Stops after the item that is being done.
    Pause { bulk_id: Uuid },
    /// Ends it where it is. What is done stays.
    Abort {
        bulk_id: Uuid,
        #[arg(long)]
        reason: String,
    },
    /// Watches until it waits for a person, or has ended.
    Follow { bulk_id: Uuid },
}

#[derive(Debug, Args)]
pub(crate) struct BulkRequest {
    /// DUPL, TECH, FRAD, CUST, RAIL or CORR.
    #[arg(long, value_name = "CODE")]
    reason: String,
    /// Where it can be read up: a ticket, a statement.
    #[arg(long)]
    evidence: String,
    /// So many of the first are done before a person looks once more.
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    canary: u32,
    /// No more than so many are done in a second.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    per_second: u32,
    /// A line for each item below these headings: `kind` (`reverse_transfer`, `resolve_transfer`, `adjust_account`), and of what its kind
    /// needs `transfer_id`, `settled_at`, `reason_code`, `account_id`, `amount` in minor units, `currency`, `against`.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "reverse_transfers_of",
        conflicts_with = "reverse_transfers_of"
    )]
    csv: Option<PathBuf>,
    /// Takes back what this account has paid within a time.
    #[arg(long, value_name = "ACCOUNT", requires_all = ["from", "until"])]
    reverse_transfers_of: Option<Uuid>,
    #[arg(long, value_name = "TIME", requires = "reverse_transfers_of")]
    from: Option<Timestamp>,
    /// Not at this moment any more.
    #[arg(long, value_name = "TIME", requires = "reverse_transfers_of")]
    until: Option<Timestamp>,
}

/// Without a confirmation nothing is done, and it says what would be.
#[derive(Debug, Args)]
pub(crate) struct Confirmed {
    bulk_id: Uuid,
    /// How many items are to be corrected.
    #[arg(long, value_name = "COUNT")]
    confirm: Option<u64>,
}

pub(super) async fn bulk(client: &Client, output: Output, action: BulkAction) -> anyhow::Result<ExitCode> {
    let id_and = |id: Uuid, what: &str| format!("/{id}/{what}");
    let (path, body) = match action {
        BulkAction::List { status, paging } => {
            let query = query([
                ("status", status),
                ("limit", paging.limit.map(|limit| limit.to_string())),
                ("cursor", paging.cursor),
            ]);
            let found = get(client, &format!("/v1/bulk-corrections?{query}")).await?;
            print(output, &found, |found| listed(found) + &more(found))?;
            return Ok(ExitCode::SUCCESS);
        }
        BulkAction::Show { bulk_id } => {
            print(output, &read(client, bulk_id).await?, shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        BulkAction::Items { bulk_id, status, paging } => {
            let query = query([
                ("status", status),
                ("limit", paging.limit.map(|limit| limit.to_string())),
                ("cursor", paging.cursor),
            ]);
            let found = get(client, &format!("/v1/bulk-corrections/{bulk_id}/items?{query}")).await?;
            print(output, &found, |found| listed_items(found) + &more(found))?;
            return Ok(ExitCode::SUCCESS);
        }
        BulkAction::Follow { bulk_id } => return follow(client, output, bulk_id).await,
        BulkAction::Request(request) => (String::new(), request.document()?),
        BulkAction::Approve { bulk_id, preview } => {
            (id_and(bulk_id, "approve"), json!({ "preview_hash": preview }))
        }
        BulkAction::Reject { bulk_id, reason } => (id_and(bulk_id, "reject"), json!({ "reason": reason })),
        BulkAction::Abort { bulk_id, reason } => (id_and(bulk_id, "abort"), json!({ "reason": reason })),
        BulkAction::Pause { bulk_id } => (id_and(bulk_id, "pause"), json!({})),
        BulkAction::Start(confirmed) => {
            confirmed.check(client).await?;
            (id_and(confirmed.bulk_id, "start"), json!({}))
        }
        BulkAction::Resume(confirmed) => {
            confirmed.check(client).await?;
            (id_and(confirmed.bulk_id, "resume"), json!({}))
        }
    };
    let path = format!("/v1/bulk-corrections{path}");
    let answer = client.post(&path, &Uuid::now_v7().to_string(), &body).await?.document()?;
    print(output, &answer, shown)?;
    Ok(ExitCode::SUCCESS)
}

async fn read(client: &Client, bulk_id: Uuid) -> anyhow::Result<Value> {
    get(client, &format!("/v1/bulk-corrections/{bulk_id}")).await
}

impl Confirmed {
    async fn check(&self, client: &Client) -> anyhow::Result<()> {
        let found = read(client, self.bulk_id).await?;
        // What it would do is not known: the API says what is wrong.
        if found["preview"].is_null() {
            return Ok(());
        }
        let counted = |name: &str| found["progress"][name].as_u64().unwrap_or_default();
        let items = found["items"].as_u64().unwrap_or_default();
        let open = items.saturating_sub(counted("executed") + counted("failed") + counted("left"));
        // Where nothing is left, too.
        if open == 0 || self.confirm == Some(open) {
            return Ok(());
        }
        let totals = totals(&found["preview"]);
        bail!(
            "nothing is done: {open} items are to be corrected, of {totals} in all; `--confirm {open}` does"
        )
    }
}

impl BulkRequest {
    fn document(&self) -> anyhow::Result<Value> {
        let mut document = json!({
            "reason_code": self.reason, "evidence": self.evidence,
            "canary": self.canary, "per_second": self.per_second,
        });
        if let Some(path) = &self.csv {
            document["items"] = items_of(path).with_context(|| path.display().to_string())?;
        }
        if let Some(account) = self.reverse_transfers_of {
            document["reverse_transfers"] = json!({
                "from_account": account, "requested_from": self.from, "requested_until": self.until,
            });
        }
        Ok(document)
    }
}

fn items_of(path: &Path) -> anyhow::Result<Value> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path)?;
    let mut items = Vec::new();
    for row in reader.deserialize() {
        let row: HashMap<String, String> = row?;
        // The headings are the first line.
        items.push(item_of(&row).with_context(|| format!("line {}", items.len() + 2))?);
    }
    Ok(Value::Array(items))
}

fn item_of(row: &HashMap<String, String>) -> anyhow::Result<Value> {
    let given = |name: &str| row.get(name).filter(|value| !value.is_empty());
    let field = |name: &str| given(name).with_context(|| format!("{name} is missing"));
    Ok(match field("kind")?.as_str() {
        kind @ "reverse_transfer" => json!({ "kind": kind, "transfer_id": field("transfer_id")? }),
        kind @ "resolve_transfer" => {
            let outcome = match given("settled_at") {
                Some(at) => json!({ "status": "settled", "settled_at": at }),
                None => json!({ "status": "rejected", "reason_code": field("reason_code")? }),
            };
            json!({ "kind": kind, "transfer_id": field("transfer_id")?, "outcome": outcome })
        }
        kind @ "adjust_account" => json!({
            "kind": kind, "account_id": field("account_id")?, "against": field("against")?,
            "amount": { "amount": field("amount")?, "currency": field("currency")? },
        }),
        kind => bail!("{kind} is no kind of correction that a list has"),
    })
}

async fn follow(client: &Client, output: Output, bulk_id: Uuid) -> anyhow::Result<ExitCode> {
    let style = ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} items, {per_sec}, {eta} left");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (is_drawn, mut told) = (std::io::stderr().is_terminal(), String::new());
    loop {
        let found = read(client, bulk_id).await?;
        let (items, now) = (found["items"].as_u64().unwrap_or_default(), text(&found["status"]));
        let counted = |name: &str| found["progress"][name].as_u64().unwrap_or_default();
        let done = match now.as_str() {
            "previewing" => counted("previewed") + counted("failed"),
            _ => counted("executed") + counted("failed") + counted("left"),
        };
        let is_under_way = matches!(now.as_str(), "previewing" | "canary" | "running");
        let is_over = matches!(now.as_str(), "completed" | "rejected" | "aborted" | "expired");
        if !is_under_way && (!is_over || done >= items) {
            bar.finish_and_clear();
            print(output, &found, shown)?;
            return Ok(ExitCode::SUCCESS);
        }
        bar.set_length(items);
        bar.set_message(now.clone());
        bar.set_position(done);
        if !is_drawn && now != told {
            writeln!(std::io::stderr(), "{now}: {done} of {items} items")?;
            told = now;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn totals(preview: &Value) -> String {
    let totals: Vec<String> = list(preview, "totals").iter().map(money).collect();
    if totals.is_empty() { "nothing at stake".to_owned() } else { totals.join(" and ") }
}

fn listed(found: &Value) -> String {
    let row = |bulk: &Value| {
        [
            text(&bulk["bulk_id"]),
            status(&bulk["status"]),
            text(&bulk["items"]),
            format!("{}: {}", text(&bulk["reason_code"]), text(&bulk["evidence"])),
            text(&bulk["requested_by"]),
            time(&bulk["requested_at"]),
        ]
    };
    let rows = list(found, "bulk_corrections").iter().map(row).collect();
    table(["bulk correction", "status", "items", "reason", "asked for by", "requested"], rows)
}

fn listed_items(found: &Value) -> String {
    let row = |item: &Value| {
        [
            text(&item["number"]),
            status(&item["status"]),
            text(&item["kind"]),
            text(&item["subject"]),
            money(&item["amount"]),
            text(&item["status_reason"]),
            text(&item["correction_id"]),
        ]
    };
    let rows = list(found, "items").iter().map(row).collect();
    table(["item", "status", "kind", "about", "amount", "why", "correction"], rows)
}

fn shown(bulk: &Value) -> String {
    let mut shown = format!("bulk correction {}  {}\n", text(&bulk["bulk_id"]), status(&bulk["status"]));
    let mut line = |name: &str, value: String| shown.push_str(&format!("  {name:<14}{value}\n"));
    line("items", text(&bulk["items"]));
    line("list", text(&bulk["list_hash"]));
    line("reason", format!("{}: {}", text(&bulk["reason_code"]), text(&bulk["evidence"])));
    line("asked for by", text(&bulk["requested_by"]));
    let preview = &bulk["preview"];
    if !preview.is_null() {
        line("at stake", totals(preview));
        line("can be done", format!("{}, and {} cannot", preview["ready"], preview["refused"]));
        line("first", format!("up to item {}", preview["canary_to"]));
        line("preview", text(&preview["hash"]));
        let approved_by: Vec<String> = list(bulk, "approved_by").iter().map(text).collect();
        let (count, names) = (approved_by.len(), approved_by.join(", "));
        line("approved by", format!("{count} of {}: {names}", preview["approvals"]));
    }
    for (name, field) in [("run by", "run_by"), ("why", "status_reason"), ("waits until", "waits_until")] {
        if !bulk[field].is_null() {
            line(name, text(&bulk[field]));
        }
    }
    if let Some(progress) = bulk["progress"].as_object() {
        let count = |name: &str| progress.get(name).map(text).unwrap_or_default();
        line("done", format!("{}, {} failed, {} left", count("executed"), count("failed"), count("left")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_item_or_says_what_is_wrong_with_it() {
        let row = |fields: &[(&str, &str)]| {
            let row = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            item_of(&row.collect()).map_err(|error| format!("{error:#}"))
        };
        let reverse = row(&[("kind", "reverse_transfer"), ("transfer_id", "one"), ("amount", "")]);
        assert_eq!(reverse, Ok(json!({ "kind": "reverse_transfer", "transfer_id": "one" })));
        let rejected = row(&[("kind", "resolve_transfer"), ("transfer_id", "one"), ("reason_code", "AC04")]);
        assert_eq!(rejected.unwrap()["outcome"]["status"], "rejected");
        let settled =
            [("kind", "resolve_transfer"), ("transfer_id", "one"), ("settled_at", "2026-11-23T09:00:00Z")];
        assert_eq!(row(&settled).unwrap()["outcome"]["status"], "settled");
        let adjust =
            [("kind", "adjust_account"), ("account_id", "a"), ("against", "suspense"), ("amount", "-5")];
        assert_eq!(row(&adjust), Err("currency is missing".to_owned()));
        assert_eq!(
            row(&[("kind", "append")]),
            Err("append is no kind of correction that a list has".to_owned())
        );
        assert_eq!(row(&[("transfer_id", "one")]), Err("kind is missing".to_owned()));
    }
}
