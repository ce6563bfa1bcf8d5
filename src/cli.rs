//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Inputs;

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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Subcommand)]
pub enum Command {
    /// Serve the API until SIGTERM or Ctrl-C (the default).
    Serve,
    /// Print the effective configuration and where each value comes from, secrets masked.
    Config,
    /// Bring the database up to date and stop.
    Migrate,
}

impl Cli {
    /// What to do.
    pub fn task(&self) -> Command {
        self.command.unwrap_or(Command::Serve)
    }

    /// What the configuration is read from. Values of flags are checked there, like those of any other layer.
    pub fn inputs(&self) -> Inputs {
        let flags = [
            ("host", &self.host),
            ("port", &self.port),
            ("data-dir", &self.data_dir),
            ("project-id", &self.project_id),
            ("log", &self.log),
            ("log-format", &self.log_format),
        ];
        let given = flags.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        Inputs::of_process(self.config.clone(), given.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

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
    fn every_flag_sets_a_known_key() {
        let flags = "powermemo --host localhost --port 1 --data-dir d --project-id p --log info --log-format json";
        let mut inputs = Cli::try_parse_from(flags.split(' ')).unwrap().inputs();
        (inputs.environment, inputs.working_dir) = (Vec::new(), PathBuf::from("/nonexistent"));
        let settings = crate::config::Settings::load(&inputs).unwrap();
        assert_eq!(settings.sources.values().filter(|s| s.to_string().starts_with("flag --")).count(), 6);
        assert_eq!(settings.sources["data_dir"].to_string(), "flag --data-dir");
    }
}
