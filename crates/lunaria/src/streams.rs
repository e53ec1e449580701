//! `lunaria streams`: what services publish to each other, and whether it is what follows from their events.

use std::io::Write;
use std::process::ExitCode;

use delivery::Verified;

use crate::cli::{ServiceName, StreamsAction};
use crate::config::Config;
use crate::desk;
use crate::services::{connect, derivations};

pub(crate) async fn run(config: &Config, action: StreamsAction) -> anyhow::Result<ExitCode> {
    match action {
        StreamsAction::VerifyDerived { service, json } => verify(config, service, json).await,
        StreamsAction::Show(options) => desk::stream(options).await,
        StreamsAction::At(options) => desk::stream_at(options).await,
        StreamsAction::Asyncapi => {
            let document = serde_json::to_string_pretty(&contract::asyncapi())?;
            writeln!(std::io::stdout(), "{document}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn verify(config: &Config, service: ServiceName, json: bool) -> anyhow::Result<ExitCode> {
    let store = connect(service, config).await?;
    let (mut out, mut code) = (std::io::stdout(), ExitCode::SUCCESS);
    for derivation in derivations(service, config) {
        let verified = derivation.verify(&store).await?;
        if !verified.differences.is_empty() {
            code = ExitCode::FAILURE;
        }
        if json {
            writeln!(out, "{}", serde_json::to_string(&verified)?)?;
        } else {
            print(&mut out, &verified)?;
        }
    }
    store.pool().close().await;
    Ok(code)
}

fn print(out: &mut impl Write, verified: &Verified) -> std::io::Result<()> {
    let Verified { contract, streams, events, waiting, differences, more_differences } = verified;
    writeln!(out, "{contract}: {events} events of {streams} streams are what follows from their sources")?;
    if *waiting > 0 {
        writeln!(out, "  {waiting} events have not been looked at by the handler yet")?;
    }
    for difference in differences {
        writeln!(out, "  {}@{}: {}", difference.stream, difference.seq, difference.what)?;
    }
    if *more_differences > 0 {
        writeln!(out, "  and {more_differences} more")?;
    }
    Ok(())
}
