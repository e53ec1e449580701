//! The `lunaria` binary: parses what was typed, reads the configuration, runs one role.

mod cli;
mod config;
mod process;

mod embedded;
mod relays;
mod roles;
mod services;

mod bench;
mod capturing;
mod client;
mod deadlines;
mod desk;
mod dev;
mod doctor;
mod health;
mod identity;
mod ops;
mod projections;
mod provision;
mod relaying;
mod skeleton;
mod smoke;
mod streams;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use config::Config;

/// `EX_USAGE` of sysexits(3): wrong configuration, before anything has started.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = Cli::parse();
    process::log_to_stderr(&cli);
    process::end_on_panic();
    let config = match Config::load(cli.config.as_deref(), &cli.set) {
        Ok(config) => config,
        Err(error) => {
            process::complain(&format!("configuration: {error:#}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let outcome = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli, config)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            process::complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli, config: Config) -> anyhow::Result<ExitCode> {
    let shutdown = process::shutdown_signal();
    match cli.command {
        Command::Dev(options) => Box::pin(dev::run(config, options, shutdown)).await?,
        Command::Serve => roles::serve(config, shutdown).await?,
        Command::Relay { action } => return relaying::run(config, action, shutdown).await,
        Command::Capture { action } => return capturing::run(config, action, shutdown).await,
        Command::Handlers { service } => roles::handlers(config, service, shutdown).await?,
        Command::Adapter { rail } => roles::adapter(config, rail.service(), shutdown).await?,
        Command::Simulator(options) => roles::simulator(options, shutdown).await?,
        Command::Migrate { service } => roles::migrate(config, service).await?,
        Command::RestoreDeadlines { service } => deadlines::restore(service, &config).await?,
        Command::Provision(options) => provision::run(config, options).await?,
        Command::Health { of } => return health::run(config, of).await,
        Command::Smoke(options) => return smoke::run(options).await,
        Command::Doctor => return doctor::run(config).await,
        Command::New { what: cli::New::Adapter { name, workspace } } => skeleton::write(&name, &workspace)?,
        Command::Bench(options) => bench::run(options).await?,
        Command::Streams { action } => return streams::run(&config, action).await,
        Command::Transfers(options) => return desk::transfers(options).await,
        Command::Events(options) => return desk::events(options).await,
        Command::Parked(options) => return desk::parked(options).await,
        Command::Corrections(options) => return desk::corrections(options).await,
        Command::Cases(options) => return desk::cases(options).await,
        Command::Sagas(options) => return desk::sagas(options).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lunaria", &mut script);
            std::io::stdout().write_all(&script)?;
        }
        Command::Man => clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?,
        Command::Projections(options) => return projections::run(options).await,
        Command::Config { action: cli::ConfigAction::Show } => config.show()?,
    }
    Ok(ExitCode::SUCCESS)
}
