//! What the commands that ask the API are told.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use event::StreamName;
use jiff::Timestamp;
use url::Url;
use uuid::Uuid;

use crate::client::Client;

const LIMIT: Duration = Duration::from_secs(30);

/// Where the API is, who asks, and how the answer is shown.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    #[arg(long, env = "LUNARIA_URL", global = true, default_value = "http://127.0.0.1:8080")]
    pub url: Url,
    /// A key of the API.
    #[arg(long, env = "LUNARIA_TOKEN", hide_env_values = true, global = true)]
    pub token: Option<String>,
    /// Its first line is the key, if there is no other.
    #[arg(long, env = "LUNARIA_TOKEN_FILE", value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// A table for people, or the API's answer as it is.
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub output: Output,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

impl Asking {
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        let from_file = self.token_file.as_ref().map(|path| {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let key = text.lines().next().unwrap_or_default().trim().to_owned();
            ensure!(!key.is_empty(), "{}: its first line is empty", path.display());
            Ok(key)
        });
        let token = self.token.clone().map(Ok).or(from_file).transpose()?;
        Client::new(&self.url, token.as_deref(), LIMIT)
    }
}

/// A page of a list.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// So many at most, 50 without it.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[arg(long)]
    pub cursor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct TransfersOptions {
    #[command(flatten)]
    pub asking: Asking,
    #[command(subcommand)]
    pub action: TransfersAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TransfersAction {
    /// The newest first.
    List {
        /// Such as `requires_attention`.
        #[arg(long)]
        status: Option<String>,
        /// That pays.
        #[arg(long)]
        account: Option<Uuid>,
        /// Only those that have stood as they do since before then.
        #[arg(long, value_name = "TIME")]
        changed_before: Option<Timestamp>,
        #[command(flatten)]
        paging: Paging,
    },
    /// One, where it stands, its cases, and what has happened because of what.
    Show { transfer_id: Uuid },
    /// Its events as they happen, until it has ended.
    Follow { transfer_id: Uuid },
    /// Its own events, with what they say.
    Events { transfer_id: Uuid },
    /// What has caused what, for Graphviz: `… graph ID | dot -Tsvg`.
    Graph { transfer_id: Uuid },
}

#[derive(Debug, Args)]
pub(crate) struct EventsOptions {
    #[command(flatten)]
    pub asking: Asking,
    /// Of streams of this category, such as `transfer`.
    #[arg(long)]
    pub category: Option<String>,
    /// Such as `OperatorAttentionRequired`.
    #[arg(long, value_name = "TYPE")]
    pub r#type: Option<String>,
    /// That hold all of these words, or words that begin like them.
    #[arg(long, value_name = "WORDS")]
    pub words: Option<String>,
    /// That follow from this request.
    #[arg(long, value_name = "ID")]
    pub correlation: Option<Uuid>,
    /// That follow directly from this event or request.
    #[arg(long, value_name = "ID")]
    pub cause: Option<Uuid>,
    #[arg(long, value_name = "TIME")]
    pub recorded_before: Option<Timestamp>,
    #[command(flatten)]
    pub paging: Paging,
}

#[derive(Debug, Args)]
pub(crate) struct CasesOptions {
    #[command(flatten)]
    pub asking: Asking,
    #[command(subcommand)]
    pub action: CasesAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CasesAction {
    /// What needs a person, the newest first.
    List {
        /// `open`, `withdrawn` or `resolved`.
        #[arg(long, default_value = "open")]
        status: String,
        /// That they are about, such as `transfer-0198c1f2-…`.
        #[arg(long, value_name = "STREAM")]
        subject: Option<StreamName>,
        /// That this one looks after.
        #[arg(long, value_name = "NAME")]
        assigned_to: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// The open ones by what has caused them.
    Groups,
    /// The events of one.
    Show { case_id: Uuid },
    /// Says who looks after it; without a name, nobody any more.
    Assign { case_id: Uuid, to: Option<String> },
    /// Writes down what was found out.
    Note { case_id: Uuid, note: String },
    /// Ends it: by a correction that was executed, or with a reason.
    Resolve {
        case_id: Uuid,
        /// What was done, or why nothing has to be.
        resolution: String,
        #[arg(long, value_name = "ID")]
        correction: Option<Uuid>,
    },
    /// It was not resolved after all.
    Reopen { case_id: Uuid, reason: String },
}

#[derive(Debug, Args)]
pub(crate) struct SagasOptions {
    #[command(flatten)]
    pub asking: Asking,
}

#[derive(Debug, Args)]
pub(crate) struct StreamShowOptions {
    #[command(flatten)]
    pub asking: Asking,
    /// Such as `transfer-0198c1f2-…`.
    pub stream: StreamName,
    /// Those after this seq.
    #[arg(long, default_value_t = 0)]
    pub after: i64,
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct StreamAtOptions {
    #[command(flatten)]
    pub asking: Asking,
    /// Such as `account-0198c1f2-…`.
    pub stream: StreamName,
    /// After this event.
    #[arg(long, conflicts_with = "time")]
    pub seq: Option<i64>,
    /// As of then.
    #[arg(long)]
    pub time: Option<Timestamp>,
}
