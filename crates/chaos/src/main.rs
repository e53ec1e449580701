//! `lunaria-chaos`: a crash campaign from the command line, on servers of its own.

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chaos::{Plan, Program, Site, Verdict, campaign, power_cut};
use clap::Parser;

/// Kills relays, server, brokers and connections at random while events are written, and proves that none is lost, invented,
/// reordered or confirmed too early. Needs LUNARIA_KAFKA_LIBS, as `scripts/kafka.sh` prints it.
#[derive(Debug, Parser)]
struct Options {
    /// How many events to write.
    #[arg(long, default_value_t = 60_000)]
    events: u64,
    #[arg(long, default_value_t = 8)]
    relay_kills: u32,
    /// Longer than the standby bears the leader's silence, so some 11 s each.
    #[arg(long, default_value_t = 1)]
    relay_pauses: u32,
    #[arg(long, default_value_t = 3)]
    postmaster_kills: u32,
    #[arg(long, default_value_t = 2)]
    broker_kills: u32,
    /// Cut and held in turn.
    #[arg(long, default_value_t = 4)]
    proxy_cuts: u32,
    /// The same seed orders the same load and the same faults [default: a new one].
    #[arg(long)]
    seed: Option<u64>,
    /// Three, or one.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    brokers: u8,
    /// The binary under test [default: `lunaria` beside this one].
    #[arg(long, env = "LUNARIA_BIN", value_name = "PATH")]
    lunaria: Option<PathBuf>,
    /// A seeded mistake of that binary, which has to be built with the feature `mutants`.
    #[arg(long, default_value = "", value_name = "NAME")]
    mutant: String,
    /// Instead of all that: cuts the power of a disk of its own under the server, once. Needs root, and a loop device.
    #[arg(long)]
    power_cut: bool,
    /// With a server that does not flush what it commits: the run has to see that events are gone.
    #[arg(long, requires = "power_cut")]
    without_fsync: bool,
    /// The faults, one JSON line each.
    #[arg(long, default_value = "chaos-history.jsonl", value_name = "FILE")]
    history: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(rand::random);
    let verdict = if options.power_cut {
        power_cut(&options.program(), !options.without_fsync).await
    } else {
        say(&format!("seed {seed}\n"));
        let site = Arc::new(Site::start(options.brokers.into()).await);
        campaign(&site, &options.program(), &options.plan(seed)).await
    };
    conclude(&verdict, seed)
}

impl Options {
    fn program(&self) -> Program {
        let beside = || env::current_exe().unwrap_or_default().with_file_name("lunaria");
        Program { path: self.lunaria.clone().unwrap_or_else(beside), mutant: self.mutant.clone() }
    }

    fn plan(&self, seed: u64) -> Plan {
        Plan {
            seed,
            events: self.events,
            relay_kills: self.relay_kills,
            relay_pauses: self.relay_pauses,
            postmaster_kills: self.postmaster_kills,
            broker_kills: self.broker_kills,
            network_faults: self.proxy_cuts,
            history: self.history.clone(),
        }
    }
}

fn conclude(verdict: &Verdict, seed: u64) -> ExitCode {
    say(&verdict.figures.to_string());
    if verdict.violations.is_empty() && verdict.halt.is_none() {
        say("nothing was lost, invented, reordered or confirmed too early\n");
        return ExitCode::SUCCESS;
    }
    let halt = verdict.halt.as_ref().map_or(String::new(), |why| format!("a relay has halted: {why}\n"));
    say(&format!("{halt}{}{}\nseed {seed}\n", verdict.violations, verdict.log));
    ExitCode::FAILURE
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever does not listen does not want to know.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
