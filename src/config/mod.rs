//! Configuration: layers, checks, and where each value comes from.
//!
//! Rising order of precedence: `config.yaml` as compiled in, the user's file, `.env`, the environment, flags. The
//! user's file is the one named by `--config` or `POWERMEMO_CONFIG`; without one, `config.yaml` and then
//! `powermemo.yaml` of the working directory, where they exist.
//!
//! To add a key: give it a comment and a default in `config.yaml`, a field in [`Config`], and a number a range in
//! `check.rs`. Tests fail while one of the three is missing.

mod check;
mod embeddings;
mod layers;
mod log;
mod show;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

pub use embeddings::EmbeddingProvider;
pub use layers::Source;
pub use values::{Config, EventTag, LlmStyle, LogFormat, ProfileFilterBy, ReadConsistency};

use layers::Layers;

use crate::words::counted;

/// What the layers are read from: an argument, so that tests need not touch the process.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Where `config.yaml`, `powermemo.yaml` and `.env` are looked for.
    pub working_dir: PathBuf,
    /// The variables of the environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The file that `--config` names.
    pub config_file: Option<PathBuf>,
    /// Flags that set a key: the name without dashes in front, and the value.
    pub flags: Vec<(&'static str, String)>,
}

impl Inputs {
    /// The working directory and environment of this process.
    pub fn of_process(config_file: Option<PathBuf>, flags: Vec<(&'static str, String)>) -> Self {
        Self { working_dir: PathBuf::from("."), environment: std::env::vars_os().collect(), config_file, flags }
    }
}

/// A configuration in force, with what is worth knowing about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The values.
    pub config: Config,
    /// Where each value comes from, by key.
    pub sources: BTreeMap<String, Source>,
    /// What was set and has no effect. To be logged at start-up.
    pub warnings: Vec<String>,
    /// The effective values as YAML with their sources, secrets masked.
    pub yaml: String,
}

impl Settings {
    /// Reads all layers and checks them.
    ///
    /// # Errors
    /// Everything that is wrong, at once: unreadable files, unknown keys, values out of range, values that this
    /// version cannot honour.
    pub fn load(inputs: &Inputs) -> Result<Self, ConfigErrors> {
        let mut layers = Layers::read(inputs);
        let config = check::check(&mut layers);
        match config {
            Some(config) if layers.errors.0.is_empty() => Ok(Self {
                config,
                yaml: show::yaml(&layers),
                sources: layers.values.into_iter().map(|(key, (_, source))| (key, source)).collect(),
                warnings: layers.warnings,
            }),
            _ => Err(layers.errors),
        }
    }
}

/// All that is wrong with a configuration, one line each.
#[derive(Debug, Default, thiserror::Error)]
pub struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    fn push(&mut self, error: String) {
        self.0.push(error);
    }

    /// The errors, one line each.
    pub fn lines(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {}:", counted(self.0.len(), "error"))?;
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
