//! The program: reads the command line and the configuration, sets the log up, and hands over.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use powermemo::cli::{Cli, Command, JournalCommand};
use powermemo::config::{Config, LogFormat, Settings};
use powermemo::{bench, doctor, import, mock_model, projects, serve};
use tracing_subscriber::EnvFilter;

/// Requests are answered with many small allocations on several threads, where the allocator of glibc is slow. Without
/// transparent huge pages: they kept about 25 MB of what was freed resident, and inserts were as fast without them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for wrong usage or configuration; clap ends with the same on a command line it cannot read.
const EXIT_CONFIG: i32 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.task() {
        Command::Config => {
            let settings = settings(&cli);
            settings.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            print(&settings.yaml)
        }
        Command::Serve => with_log(&settings(&cli), serve::serve),
        Command::Migrate => with_log(&settings(&cli), serve::migrate),
        Command::Doctor => with_log(&settings(&cli), doctor::doctor),
        Command::Project(command) => with_log(&settings(&cli), |config| projects::run(config, &command)),
        Command::Journal(JournalCommand::Move { to, abandon }) => {
            with_log(&settings(&cli), |config| serve::move_journal(config, to, abandon))
        }
        Command::Import(command) => with_log(&settings(&cli), |config| import::run(config, &command)),
        Command::MockModel(faults) => mock_model::serve(cli.mock_model(faults).unwrap_or_else(|error| error.exit())),
        Command::Bench(args) => {
            let settings = args.needs_settings().then(|| settings(&cli));
            bench::bench(&cli.bench(args, settings.as_ref()).unwrap_or_else(|error| error.exit()))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("powermemo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Reads the configuration. One that cannot be used ends the program, with all that is wrong.
fn settings(cli: &Cli) -> Settings {
    Settings::load(&cli.inputs()).unwrap_or_else(|errors| {
        eprintln!("powermemo: {errors}\n`powermemo config` prints what is in force once these are mended.");
        std::process::exit(EXIT_CONFIG)
    })
}

fn with_log(settings: &Settings, task: impl FnOnce(&Config) -> anyhow::Result<()>) -> anyhow::Result<()> {
    start_log(settings)?;
    task(&settings.config)
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
    let filter = EnvFilter::try_new(settings.config.log_directives())?;
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
