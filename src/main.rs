//! The program: reads the command line and the configuration, sets the log up, and hands over.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use powermemo::cli::{Cli, Command};
use powermemo::config::{LogFormat, Settings};
use powermemo::serve;
use tracing_subscriber::EnvFilter;

/// Exit code for wrong usage or configuration; clap ends with the same on a command line it cannot read.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::load(&cli.inputs()) {
        Ok(settings) => settings,
        Err(errors) => {
            eprintln!("powermemo: {errors}\n`powermemo config` prints what is in force once these are mended.");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let done = match cli.task() {
        Command::Config => {
            settings.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            print(&settings.yaml)
        }
        Command::Serve => start_log(&settings).and_then(|()| serve::serve(&settings.config)),
        Command::Migrate => start_log(&settings).and_then(|()| serve::migrate(&settings.config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("powermemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Writes to standard output. A reader that has seen enough (`powermemo config | head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Sends the log to standard error, and the warnings of the configuration into it.
fn start_log(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.config.log)?;
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    match settings.config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    Ok(())
}
