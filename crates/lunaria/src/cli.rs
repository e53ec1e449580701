//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    /// Reads one service's replication slot and writes to Kafka.
    Relay { service: ServiceName },
    /// Runs one service's handlers and deadlines, from Kafka.
    Handlers { service: ServiceName },
    /// A rail's adapter: its handlers, its calls to the clearing house, and its read API, from Kafka.
    Adapter { rail: Rail },
    /// A simulated clearing house: the outside world, with faults to order.
    Simulator(SimulatorOptions),
    /// Brings a service's database to the current schema. Set `<service>.database_url` to the owner's.
    Migrate { service: ServiceName },
    /// Says what is missing for running here, and how to mend it.
    Doctor,
    /// Measures, each figure beside its floor in the same run, on servers of its own.
    Bench(BenchOptions),
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rail {
    Instant,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Each value with where it comes from.
    Show,
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
    /// End when standard input ends, as it does when the parent process has died.
    #[arg(long, hide = true)]
    pub exit_with_parent: bool,
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
    /// Events in the relay's backlog.
    #[arg(long, default_value_t = 300_000)]
    pub events: u32,
    #[arg(long, env = "LUNARIA_KAFKA_LIBS", value_name = "DIR")]
    pub kafka_libs: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    Append,
    Relay,
}
