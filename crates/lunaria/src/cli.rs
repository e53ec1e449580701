//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use url::Url;
use uuid::Uuid;

use crate::config::PostgresUrl;
use crate::desk::{
    Asking, CasesOptions, CorrectionsOptions, EventsOptions, ParkedOptions, SagasOptions, StreamAtOptions,
    StreamShowOptions, TransfersOptions,
};

/// Event sourcing and CDC outbox on Postgres, for moving money.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Cli {
    /// A TOML file; `LUNARIA__SECTION__KEY` in the environment and --set override it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, such as `--set api.listen=127.0.0.1:9000`. See `lunaria config show`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What to log, such as `debug` or `relay=debug,warn`.
    #[arg(long, global = true, env = "LUNARIA_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The whole platform on this machine, with servers of its own and demo data. Not for production.
    Dev(DevOptions),
    /// The API. With the embedded transport: the API and every other role, in this one process.
    Serve,
    /// From one service's replication slot to Kafka.
    Relay {
        #[command(subcommand)]
        action: RelayAction,
    },
    /// Tables of an existing system as change events in Kafka; each `[[capture]]` of the configuration has a name.
    Capture {
        #[command(subcommand)]
        action: CaptureAction,
    },
    /// Runs one service's handlers and deadlines, from Kafka.
    Handlers { service: ServiceName },
    /// A rail's adapter: its handlers, its calls to the clearing house, and its read API, from Kafka.
    Adapter { rail: Rail },
    /// A simulated clearing house: the outside world, with faults to order.
    Simulator(SimulatorOptions),
    /// Brings a service's database to the current schema. Set `<service>.database_url` to the owner's.
    Migrate { service: ServiceName },
    /// Makes a service's database, its roles with their passwords, and its schema. Safe to repeat.
    Provision(ProvisionOptions),
    /// After a restore of a service's events alone: sets the deadlines that its processes wait for. What else follows from the events, the
    /// service makes by itself when it starts.
    RestoreDeadlines { service: ServiceName },
    /// Says what is missing for running here, and how to mend it.
    Doctor,
    /// Says by its exit code whether one part works: for health checks, in an image that has no other program.
    Health {
        #[command(subcommand)]
        of: HealthOf,
    },
    /// Proves a running deployment from outside, with demo money and the simulated clearing house.
    Smoke(SmokeOptions),
    /// Measures, each figure beside its floor in the same run, on servers of its own.
    Bench(BenchOptions),
    /// Transfers: listed, shown with all that has happened because of what, followed. Asks the API.
    Transfers(TransfersOptions),
    /// What has happened, by kind, by words, by cause. Asks the API.
    Events(EventsOptions),
    /// What needs a person. Asks the API.
    Cases(CasesOptions),
    /// What is wrong is mended: shown first, approved by somebody else. Asks the API.
    Corrections(CorrectionsOptions),
    /// What handlers could not handle: seen by what it fails for, and tried again. Asks the API.
    Parked(ParkedOptions),
    /// Which processes there are, and how many of each stand where. Asks the API.
    Sagas(SagasOptions),
    /// Streams: any stream's events and state, by the API; and the external ones through which services meet.
    Streams {
        #[command(subcommand)]
        action: StreamsAction,
    },
    /// The read models: how they are, built anew, compared with the events. Asks the API.
    Projections(ProjectionsOptions),
    /// Writes the beginning of something of one's own into Lunaria's source.
    New {
        #[command(subcommand)]
        what: New,
    },
    /// Prints what a shell needs to complete these commands: `source <(lunaria completions bash)`.
    Completions { shell: Shell },
    /// Prints the manual page: `lunaria man | man -l -`.
    Man,
    /// The configuration.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceName {
    Core,
    AdapterInstant,
    AdapterCard,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RelayAction {
    /// Relays until it is stopped, or until something is in doubt.
    Run { service: ServiceName },
    /// Makes the proof that a relay begins with, and changes nothing. Exit code 1 when a relay would not start.
    Doctor { service: ServiceName },
    /// Where slot and relay stand, as the database knows it.
    Status {
        service: ServiceName,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The relay ends its session in good order and reads nothing; the server keeps the log for it meanwhile.
    Pause { service: ServiceName },
    /// The relay goes on where it was paused.
    Resume { service: ServiceName },
    /// Fills what Kafka misses out of the event table, and leaves a slot from which the relay goes on without a gap. Stop the
    /// relay before; what was cut short is run again.
    Refill { service: ServiceName },
    /// Sends history once more, into a topic of its own.
    Replay(ReplayOptions),
    /// Makes the topics that the service's relay needs, and says which are not as configured.
    Topics {
        service: ServiceName,
        /// Only says what there is to do.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    pub service: ServiceName,
    /// The topic to write to: none of the relay's own. It is made if it does not exist.
    #[arg(long, value_name = "TOPIC")]
    pub to: String,
    #[arg(long)]
    pub stream: Option<String>,
    #[arg(long)]
    pub category: Option<String>,
    /// Recorded then or later, such as `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    pub since: Option<jiff::Timestamp>,
    /// Recorded before then.
    #[arg(long, value_name = "TIME")]
    pub until: Option<jiff::Timestamp>,
    /// Only says how many events it would be.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaptureAction {
    /// Captures until it is stopped, or until something is in doubt. The first time, the rows that stand there come first.
    Run { name: String },
    /// Makes the proof that a capture begins with, and changes nothing. Exit code 1 when it would not start.
    Doctor { name: String },
    /// Where slot and capture stand, as the database knows it.
    Status {
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Makes what a capture needs in the database: rights, its own table, the publication. Safe to repeat.
    Prepare(PrepareOptions),
    /// Sends all rows as they stand now, and leaves a slot from which the capture goes on without a gap. Stop it before.
    Snapshot { name: String },
    /// The capture ends its session in good order and reads nothing; the server keeps the log for it meanwhile.
    Pause { name: String },
    /// The capture goes on where it was paused.
    Resume { name: String },
}

/// The role, its password and the database are those of the capture's `relay_url`.
#[derive(Debug, Args)]
pub(crate) struct PrepareOptions {
    pub name: String,
    /// The same database as a superuser reaches it.
    #[arg(long, env = "LUNARIA_SUPERUSER_URL", hide_env_values = true, value_name = "URL")]
    pub superuser_url: PostgresUrl,
    /// `schema.table`, as SQL has it; repeat it for several. Those of the publication stay in it.
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<String>,
    /// Prints the SQL, and changes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rail {
    Instant,
    Card,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HealthOf {
    /// Whether this address answers well, such as `http://127.0.0.1:8080/readyz`.
    Http { url: Url },
    /// Whether a relay reads the service's slot.
    Relay { service: ServiceName },
    /// Whether a capture reads its slot.
    Capture { name: String },
    /// Whether the service's handlers have their partitions.
    Handlers { service: ServiceName },
}

#[derive(Debug, Subcommand)]
pub(crate) enum New {
    /// A rail's adapter, as a crate below `adapters` whose tests pass.
    Adapter {
        name: String,
        /// Lunaria's source.
        #[arg(long, value_name = "DIR", default_value = ".")]
        workspace: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Each value with where it comes from.
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StreamsAction {
    /// Derives a service's external streams once more, and compares them with those that stand there. Changes nothing. Exit
    /// code 1 when they differ.
    VerifyDerived {
        service: ServiceName,
        /// One JSON object a contract.
        #[arg(long)]
        json: bool,
    },
    /// Prints the published language: an AsyncAPI 3 document, with a JSON Schema for each event.
    Asyncapi,
    /// The events of any stream of core, in order. Asks the API.
    Show(StreamShowOptions),
    /// What the events of any stream of core come to, now, after one of them, or as of a time. Asks the API.
    At(StreamAtOptions),
}

#[derive(Debug, Args)]
pub(crate) struct ProjectionsOptions {
    #[command(flatten)]
    pub asking: Asking,
    #[command(subcommand)]
    pub action: ProjectionsAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionsAction {
    /// What there is, and how it is.
    List,
    /// Builds one anew while the old one serves, and puts it in its place. Goes on when this is interrupted.
    Rebuild {
        name: String,
        /// Only begins it.
        #[arg(long)]
        detach: bool,
    },
    /// Builds one anew beside the one that serves, and compares them. Changes nothing. Exit code 1 when they differ.
    Verify {
        name: String,
        /// Only begins it.
        #[arg(long)]
        detach: bool,
    },
    /// Shows how far an operation has come, until it has ended. Exit code 1 unless it has completed and found nothing.
    Follow { operation_id: Uuid },
    /// Ends an operation. What serves stays as it is.
    Cancel { operation_id: Uuid },
}

#[derive(Debug, Args)]
pub(crate) struct DevOptions {
    #[arg(long, value_enum, default_value = "embedded")]
    pub transport: crate::config::Transport,
    /// Where data, logs and passwords live [default: $XDG_STATE_HOME/lunaria, or /var/lib/lunaria for root].
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The API's port [default: 8080 or the next free one].
    #[arg(long)]
    pub port: Option<u16>,
    /// The jars of Apache Kafka, for `--transport kafka` (`scripts/kafka.sh` prints the directory).
    #[arg(long, env = "LUNARIA_KAFKA_LIBS", value_name = "DIR")]
    pub kafka_libs: Option<PathBuf>,
    /// No demo customers and no demo transfer.
    #[arg(long)]
    pub no_demo: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SimulatorOptions {
    #[arg(long, default_value = "127.0.0.1:8095")]
    pub listen: SocketAddr,
    /// Who was paid: one JSON line each, fsynced before the answer.
    #[arg(long, value_name = "FILE")]
    pub journal: PathBuf,
    /// How long the house takes over a payment.
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub answer_time_ms: u64,
    /// How long a bank has to say whether it will credit a payment from another one.
    #[arg(long, default_value_t = 10_000, value_name = "MS")]
    pub acceptance_limit_ms: u64,
    /// What banks and the house show each other (Authorization: Bearer), and nothing else. Without it nobody shows anything.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// What the card network shows the card's bank, likewise.
    #[arg(long, value_name = "FILE")]
    pub network_token_file: Option<PathBuf>,
    /// Where the card network finds the cards' bank, until somebody says otherwise.
    #[arg(long, value_name = "URL")]
    pub card_bank: Option<Url>,
    /// What it speaks: nct-inst, fednow, or a .toml file.
    #[arg(long, default_value = "nct-inst")]
    pub profile: String,
    /// Its own name in that.
    #[arg(long, default_value = "NCTIDKK1XXX")]
    pub name: String,
    /// End when standard input ends, as it does when the parent process has died.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
}

/// The configured `database_url` and `relay_url` say where, which database, and the two roles' passwords.
#[derive(Debug, Args)]
pub(crate) struct ProvisionOptions {
    pub service: ServiceName,
    #[arg(long, default_value = "postgres", value_name = "ROLE")]
    pub superuser: String,
    /// Its first line is the superuser's password.
    #[arg(long, value_name = "FILE")]
    pub superuser_password_file: PathBuf,
    /// Its first line becomes the password of the tables' owner, who runs migrations.
    #[arg(long, value_name = "FILE")]
    pub owner_password_file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SmokeOptions {
    /// Where the API is reached.
    pub url: Url,
    /// Sent as a bearer token with each request.
    #[arg(long, env = "LUNARIA_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// How long any one thing may take, in seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub limit_s: u64,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    #[arg(value_enum)]
    pub what: Bench,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Seconds per measured window.
    #[arg(long, default_value_t = 8)]
    pub seconds: u32,
    /// Events in the relay's backlog, or that a projection is rebuilt from.
    #[arg(long, default_value_t = 300_000)]
    pub events: u32,
    /// For `append`: beside it, appends to a table of `--long-events` events against one of a million; some 20 GB and a
    /// quarter of an hour. For `relay`: one transaction of `--long-bytes`; some three times as much disk.
    #[arg(long)]
    pub long: bool,
    #[arg(long, default_value_t = 50_000_000, value_name = "COUNT")]
    pub long_events: u32,
    #[arg(long, default_value_t = 10_000_000_000, value_name = "BYTES")]
    pub long_bytes: u64,
    #[arg(long, env = "LUNARIA_KAFKA_LIBS", value_name = "DIR")]
    pub kafka_libs: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    Append,
    Cards,
    Deadlines,
    Rail,
    Rebuild,
    Relay,
    Transfers,
}
