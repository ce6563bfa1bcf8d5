//! The command line.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::backends::JournalPlace;
use crate::bench::{BenchArgs, Options as BenchOptions};
use crate::config::{Inputs, Settings};
use crate::import::ImportCommand;
use crate::mock_model::{Faults, Options};
use crate::projects::ProjectCommand;

/// Where the mock model listens when no flag says otherwise.
const MOCK_MODEL_ADDRESS: (&str, u16) = ("127.0.0.1", 18_090);

/// A memory service for chat bots.
#[derive(Clone, Debug, Parser)]
#[command(name = "powermemo", version, about, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do; serve when left out.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Configuration file, in place of ./config.yaml and ./powermemo.yaml (also POWERMEMO_CONFIG).
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address to listen on.
    #[arg(long, global = true)]
    pub host: Option<String>,
    /// TCP port; 0 takes any free one.
    #[arg(long, global = true)]
    pub port: Option<String>,
    /// Folder of the embedded database.
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Name of the default project.
    #[arg(long, global = true, value_name = "NAME")]
    pub project_id: Option<String>,
    /// What to log: a level or directives such as info,powermemo=debug.
    #[arg(long, global = true, value_name = "DIRECTIVES")]
    pub log: Option<String>,
    /// Shape of log lines: text or json.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<String>,
}

const AFTER_HELP: &str = "Every key of config.yaml can also be set as POWERMEMO_<KEY> in the environment or in .env; \
    secrets belong there.\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// What to do.
#[derive(Clone, PartialEq, Debug, Subcommand)]
pub enum Command {
    /// Serve the API until SIGTERM or Ctrl-C (the default).
    Serve,
    /// Print the effective configuration and where each value comes from, secrets masked.
    Config,
    /// Bring the database up to date and stop.
    Migrate,
    /// Check configuration, database, Redis, model endpoint and clocks, and say what to do about each finding.
    Doctor,
    /// Work on projects: create, list, suspend or delete them, and make their tokens anew.
    #[command(subcommand)]
    Project(ProjectCommand),
    /// Work on the journal: what was acknowledged and is not processed yet.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Take over what another service remembered.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Serve a stand-in for a language model on --host (127.0.0.1) and --port (18090): for tests, and without a key.
    MockModel(Faults),
    /// Measure a server under load: the one at --url, or one that is started for it.
    Bench(Box<BenchArgs>),
}

/// What to do with the journal.
#[derive(Clone, PartialEq, Debug, Subcommand)]
pub enum JournalCommand {
    /// Move it between Redis and the store's own database, while no server runs. redis_url names the Redis in both
    /// directions.
    Move {
        /// Where it is to be.
        to: JournalPlace,
        /// Give up a journal in a Redis that is lost for good.
        #[arg(long)]
        abandon: bool,
    },
}

impl Cli {
    /// What to do.
    pub fn task(&self) -> Command {
        self.command.clone().unwrap_or(Command::Serve)
    }

    /// The mock model that is asked for. It has no configuration: its own flags, --host and --port are all.
    ///
    /// # Errors
    /// When a flag cannot be used; made to be shown and ended with ([`clap::Error::exit`]).
    pub fn mock_model(&self, faults: Faults) -> Result<Options, clap::Error> {
        let wrong = |message: String| Self::command().error(ErrorKind::ValueValidation, message);
        let mut given = self.flags().into_iter().filter(|(_, value)| value.is_some()).map(|(name, _)| name);
        let strange = given.find(|name| !["host", "port"].contains(name)).or(self.config.as_ref().map(|_| "config"));
        if let Some(name) = strange {
            return Err(wrong(format!("--{name} has no meaning for mock-model; leave it out")));
        }
        faults.check().map_err(wrong)?;
        let (host, port) = MOCK_MODEL_ADDRESS;
        let port = self.port.as_deref().map_or(Ok(port), str::parse);
        Ok(Options {
            host: self.host.clone().unwrap_or_else(|| host.to_owned()),
            port: port.map_err(|_| wrong("--port must be a number from 0 to 65535".to_owned()))?,
            faults,
        })
    }

    /// What is to be measured, and how. `settings` are those of a server that is started for it.
    ///
    /// # Errors
    /// When a flag cannot be used; made to be shown and ended with ([`clap::Error::exit`]).
    pub fn bench(&self, args: Box<BenchArgs>, settings: Option<&Settings>) -> Result<BenchOptions, clap::Error> {
        let wrong = |message: String| Self::command().error(ErrorKind::ValueValidation, message);
        args.check().map_err(wrong)?;
        let flags = self.flags().into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let file = self.config.iter().map(|file| ("config", file.to_string_lossy().into_owned()));
        let flags: Vec<_> = flags.chain(file).collect();
        if let (None, Some((name, _))) = (settings, flags.first()) {
            return Err(wrong(format!("--{name} is for a server that is started: leave it out, or --url")));
        }
        Ok(BenchOptions::new(*args, flags, settings.map(|settings| &settings.config)))
    }

    /// What the configuration is read from. Values of flags are checked there, like those of any other layer.
    pub fn inputs(&self) -> Inputs {
        let given = self.flags().into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        Inputs::of_process(self.config.clone(), given.collect())
    }

    /// The flags that set keys of the configuration.
    fn flags(&self) -> [(&'static str, &Option<String>); 6] {
        [
            ("host", &self.host),
            ("port", &self.port),
            ("data-dir", &self.data_dir),
            ("project-id", &self.project_id),
            ("log", &self.log),
            ("log-format", &self.log_format),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_before_and_after_the_command() {
        Cli::command().debug_assert();
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(parse("powermemo --port 1").task(), Command::Serve);
        for line in ["powermemo --port 1 config", "powermemo config --port 1"] {
            let cli = parse(line);
            assert_eq!(cli.task(), Command::Config);
            assert_eq!(cli.inputs().flags, [("port", "1".to_owned())]);
        }
    }

    #[test]
    fn the_mock_model_has_flags_of_its_own() {
        let parse = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            let Command::MockModel(faults) = cli.task() else { panic!("{line}") };
            cli.mock_model(faults).map_err(|error| error.to_string())
        };
        let options = parse("powermemo mock-model").unwrap();
        assert_eq!((options.host.as_str(), options.port, options.faults), ("127.0.0.1", 18_090, Faults::default()));
        let options = parse("powermemo --host ::1 mock-model --port 0 --errors 10% --latency 20ms").unwrap();
        assert_eq!((options.host.as_str(), options.port, options.faults.errors), ("::1", 0, 0.1));
        for (line, told) in [
            ("powermemo mock-model --port 70000", "--port must be"),
            ("powermemo mock-model --hang 0.6 --drop 0.6", "more than 1"),
            ("powermemo mock-model --data-dir d", "--data-dir has no meaning"),
            ("powermemo mock-model --config f", "--config has no meaning"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn the_source_of_an_import_is_not_shown() {
        let line = "powermemo import memobase --from postgres://me:secret@host/db --project p --dry-run";
        let shown = format!("{:?}", Cli::try_parse_from(line.split(' ')).unwrap().task());
        assert!(shown.contains("dry_run: true") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn every_flag_sets_a_known_key() {
        let flags = "powermemo --host localhost --port 1 --data-dir d --project-id p --log info --log-format json";
        let mut inputs = Cli::try_parse_from(flags.split(' ')).unwrap().inputs();
        (inputs.environment, inputs.working_dir) = (Vec::new(), PathBuf::from("/nonexistent"));
        let settings = crate::config::Settings::load(&inputs).unwrap();
        assert_eq!(settings.sources.values().filter(|s| s.to_string().starts_with("flag --")).count(), 6);
        assert_eq!(settings.sources["data_dir"].to_string(), "flag --data-dir");
    }
}
