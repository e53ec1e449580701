//! `lunaria corrections`: what is wrong is shown as it would be mended, approved by somebody else, and mended.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use event::StreamName;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::bulk::{BulkAction, bulk};
use super::options::{Asking, Output, Paging};
use super::print::{list, money, more, print, status, table, text, time};
use super::{get, query};
use crate::client::Client;

#[derive(Debug, Args)]
pub(crate) struct CorrectionsOptions {
    #[command(flatten)]
    pub asking: Asking,
    #[command(subcommand)]
    pub action: CorrectionsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CorrectionsAction {
    /// The newest first.
    List {
        /// Such as `awaiting_approval`.
        #[arg(long)]
        status: Option<String>,
        /// That they are about, such as `transfer-0198c1f2-…`.
        #[arg(long, value_name = "STREAM")]
        subject: Option<StreamName>,
        #[command(flatten)]
        paging: Paging,
    },
    /// One, and what it would do, or has done.
    Show { correction_id: Uuid },
    /// What it would do. Nothing is recorded.
    Preview {
        #[command(subcommand)]
        wanted: Wanted,
    },
    /// Asks for it. Somebody else has to approve it.
    Request {
        /// DUPL, TECH, FRAD, CUST, RAIL or CORR.
        #[arg(long, value_name = "CODE")]
        reason: String,
        /// Where it can be read up: a ticket, the rail's message, a statement.
        #[arg(long)]
        evidence: String,
        /// An earlier correction that was wrong.
        #[arg(long, value_name = "ID")]
        corrects: Option<Uuid>,
        #[command(subcommand)]
        wanted: Wanted,
    },
    /// Shows once more what it would do, when that has changed.
    Again { correction_id: Uuid },
    /// Approves what its preview shows.
    Approve {
        correction_id: Uuid,
        /// The hash that the preview is shown with.
        #[arg(long, value_name = "HASH")]
        preview: String,
    },
    /// Ends it without doing it.
    Reject {
        correction_id: Uuid,
        #[arg(long)]
        reason: String,
    },
    /// Does what was approved, if it still is what the preview shows.
    Execute { correction_id: Uuid },
    /// Many at once: a list, approved as one.
    Bulk {
        #[command(subcommand)]
        action: BulkAction,
    },
}

/// What is to be corrected.
#[derive(Debug, Subcommand)]
pub(crate) enum Wanted {
    /// The rail has paid, although nobody could tell.
    Settled {
        transfer_id: Uuid,
        /// When, as the rail's evidence says.
        #[arg(long, value_name = "TIME")]
        at: Timestamp,
    },
    /// The rail has not paid, and will not.
    Rejected {
        transfer_id: Uuid,
        /// ISO 20022, such as AC04.
        #[arg(long)]
        code: String,
    },
    /// Takes a settled book transfer back.
    Reverse { transfer_id: Uuid },
    /// Moves money between an account and one of the ledger's own.
    Adjust {
        account_id: Uuid,
        /// In minor units; out of the account where it is negative: `--amount=-12500`.
        #[arg(long, allow_negative_numbers = true)]
        amount: i64,
        /// Such as DKK.
        #[arg(long)]
        currency: String,
        /// settlement, suspense or funding.
        #[arg(long, value_name = "ACCOUNT")]
        against: String,
    },
    /// Has a handler leave out an event that it cannot handle.
    Skip {
        handler: String,
        /// Such as `account-0198c1f2-…`.
        stream: StreamName,
        seq: i64,
    },
}

impl Wanted {
    fn document(&self) -> Value {
        match self {
            Self::Settled { transfer_id, at } => json!({
                "kind": "resolve_transfer", "transfer_id": transfer_id, "outcome": { "status": "settled", "settled_at": at },
            }),
            Self::Rejected { transfer_id, code } => json!({
                "kind": "resolve_transfer", "transfer_id": transfer_id, "outcome": { "status": "rejected", "reason_code": code },
            }),
            Self::Skip { handler, stream, seq } => {
                json!({ "kind": "skip_parked", "handler": handler, "stream": stream.as_str(), "seq": seq })
            }
            Self::Reverse { transfer_id } => {
                json!({ "kind": "reverse_transfer", "transfer_id": transfer_id })
            }
            Self::Adjust { account_id, amount, currency, against } => json!({
                "kind": "adjust_account", "account_id": account_id, "against": against,
                "amount": { "amount": amount.to_string(), "currency": currency },
            }),
        }
    }
}

pub(crate) async fn corrections(options: CorrectionsOptions) -> anyhow::Result<ExitCode> {
    let (client, output) = (options.asking.client()?, options.asking.output);
    match options.action {
        CorrectionsAction::List { status, subject, paging } => {
            let query = query([
                ("status", status),
                ("subject", subject.map(|stream| stream.to_string())),
                ("limit", paging.limit.map(|limit| limit.to_string())),
                ("cursor", paging.cursor),
            ]);
            let found = get(&client, &format!("/v1/corrections?{query}")).await?;
            print(output, &found, |found| listed(found) + &more(found))?;
        }
        CorrectionsAction::Show { correction_id } => {
            let found = get(&client, &format!("/v1/corrections/{correction_id}")).await?;
            print(output, &found, shown)?;
        }
        CorrectionsAction::Preview { wanted } => {
            let answer = post(&client, "/preview", &wanted.document()).await?;
            print(output, &answer, previewed)?;
        }
        CorrectionsAction::Request { reason, evidence, corrects, wanted } => {
            let body = json!({
                "correction": wanted.document(), "reason_code": reason, "evidence": evidence, "corrects": corrects,
            });
            act(&client, output, "", &body).await?;
        }
        CorrectionsAction::Again { correction_id } => {
            act(&client, output, &format!("/{correction_id}/preview"), &json!({})).await?;
        }
        CorrectionsAction::Approve { correction_id, preview } => {
            let body = json!({ "preview_hash": preview });
            act(&client, output, &format!("/{correction_id}/approve"), &body).await?;
        }
        CorrectionsAction::Reject { correction_id, reason } => {
            let body = json!({ "reason": reason });
            act(&client, output, &format!("/{correction_id}/reject"), &body).await?;
        }
        CorrectionsAction::Execute { correction_id } => {
            act(&client, output, &format!("/{correction_id}/execute"), &json!({})).await?;
        }
        CorrectionsAction::Bulk { action } => return bulk(&client, output, action).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn act(client: &Client, output: Output, path: &str, body: &Value) -> anyhow::Result<()> {
    print(output, &post(client, path, body).await?, shown)
}

async fn post(client: &Client, path: &str, body: &Value) -> anyhow::Result<Value> {
    client.post(&format!("/v1/corrections{path}"), &Uuid::now_v7().to_string(), body).await?.document()
}

fn listed(found: &Value) -> String {
    let row = |correction: &Value| {
        [
            text(&correction["correction_id"]),
            status(&correction["status"]),
            text(&correction["kind"]),
            money(&correction["amount"]),
            text(&correction["subject"]),
            text(&correction["requested_by"]),
            time(&correction["requested_at"]),
        ]
    };
    let rows = list(found, "corrections").iter().map(row).collect();
    table(["correction", "status", "kind", "amount", "about", "asked for by", "requested"], rows)
}

fn shown(correction: &Value) -> String {
    let mut shown =
        format!("correction {}  {}\n", text(&correction["correction_id"]), status(&correction["status"]));
    let mut line = |name: &str, value: String| shown.push_str(&format!("  {name:<14}{value}\n"));
    let approved_by: Vec<String> = list(correction, "approved_by").iter().map(text).collect();
    line("what", correction["correction"].to_string());
    line("reason", format!("{}: {}", text(&correction["reason_code"]), text(&correction["evidence"])));
    line("asked for by", text(&correction["requested_by"]));
    line(
        "approved by",
        format!("{} of {}: {}", approved_by.len(), correction["approvals"], approved_by.join(", ")),
    );
    line("until", time(&correction["execute_by"]));
    for (name, field) in [("why", "status_reason"), ("executed by", "executed_by"), ("corrects", "corrects")]
    {
        if !correction[field].is_null() {
            line(name, text(&correction[field]));
        }
    }
    for later in list(correction, "corrected_by") {
        line("corrected by", text(later));
    }
    if correction["preview"].is_null() { shown } else { shown + "\n" + &previewed(&correction["preview"]) }
}

fn previewed(preview: &Value) -> String {
    let change = |account: &Value, what: &str| {
        format!("{} → {}", money(&account["before"][what]), money(&account["after"][what]))
    };
    let account = |account: &Value| {
        [text(&account["account_id"]), change(account, "posted"), change(account, "reserved")]
    };
    let event = |event: &Value| {
        [
            format!("{}@{}", text(&event["stream"]), event["seq"]),
            text(&event["type"]),
            event["data"].to_string(),
        ]
    };
    let told = |told: &Value| [text(&told["stream"]), text(&told["type"]), told["data"].to_string()];
    let verdict = |verdict: &Value| {
        let holds = if verdict["holds"] == true { "holds" } else { "BROKEN" };
        [holds.to_owned(), text(&verdict["invariant"])]
    };
    let saga = match &preview["saga"] {
        Value::Null => String::new(),
        saga => {
            format!("{}: {} → {}\n\n", text(&saga["stream"]), text(&saga["before"]), text(&saga["after"]))
        }
    };
    let rows = |field: &str| list(preview, field);
    [
        saga,
        table(["account", "posted", "reserved"], rows("accounts").iter().map(account).collect()),
        "\n".to_owned(),
        table(["event", "type", "data"], rows("events").iter().map(event).collect()),
        "\n".to_owned(),
        table(["told", "type", "data"], rows("messages").iter().map(told).collect()),
        "\n".to_owned(),
        match &preview["skipped"] {
            Value::Null => String::new(),
            skipped => format!(
                "left out: {}, which fails: {}\n\n",
                text(&skipped["event_id"]),
                text(&skipped["reason"])
            ),
        },
        table(["rule", ""], rows("invariants").iter().map(verdict).collect()),
        format!("\npreview {}\n", text(&preview["hash"])),
    ]
    .concat()
}
