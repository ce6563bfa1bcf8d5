//! Reads the layers and says of each value where it comes from. Nothing here knows what a key means.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use config::{FileFormat, Source as _, ValueKind};
use serde_json::Value;

use super::{ConfigErrors, Inputs, check};

/// The lowest layer: every key with its default.
pub(super) const DEFAULTS: &str = include_str!("../../config.yaml");
/// What the name of a variable begins with that sets the key of that name.
const PREFIX: &str = "POWERMEMO_";
/// The variable that names the configuration file: not a key.
const CONFIG_VARIABLE: &str = "POWERMEMO_CONFIG";
/// Variables that other tools share, and their keys. The prefixed name of the same key goes before.
const SHARED_VARIABLES: [(&str, &str); 6] = [
    ("DATABASE_URL", "database_url"),
    ("REDIS_URL", "redis_url"),
    ("PROJECT_ID", "project_id"),
    ("ACCESS_TOKEN", "access_token"),
    ("OPENAI_API_KEY", "llm_api_key"),
    ("OPENAI_BASE_URL", "llm_base_url"),
];

/// Where a value comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// The compiled-in default.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// A variable in `.env`.
    DotEnv(String),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv(name) => write!(f, ".env {name}"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// The layers, merged.
#[derive(Default)]
pub(super) struct Layers {
    /// The defaults alone.
    pub(super) defaults: BTreeMap<String, Value>,
    /// The value of every key, and where it comes from.
    pub(super) values: BTreeMap<String, (Value, Source)>,
    /// What could not be read.
    pub(super) errors: ConfigErrors,
    /// What was read and has no effect.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Reads all layers, lowest first.
    pub(super) fn read(inputs: &Inputs) -> Self {
        let mut layers = Self::default();
        match parse(DEFAULTS) {
            Ok(defaults) => layers.defaults = defaults,
            Err(error) => layers.errors.push(format!("config.yaml as compiled in: {error}")),
        }
        let default = |(key, value): (&String, &Value)| (key.clone(), (value.clone(), Source::Default));
        layers.values = layers.defaults.iter().map(default).collect();
        let dot_env = layers.dot_env(&inputs.working_dir);
        let environment = layers.environment(&inputs.environment);
        layers.files(inputs, environment.get(CONFIG_VARIABLE).or_else(|| dot_env.get(CONFIG_VARIABLE)));
        layers.variables(&dot_env, Source::DotEnv);
        layers.variables(&environment, Source::Environment);
        for (flag, text) in &inputs.flags {
            layers.set_text(&flag.replace('-', "_"), text, Source::Flag((*flag).to_owned()));
        }
        layers
    }

    /// The file that was named, or else those of the working directory.
    fn files(&mut self, inputs: &Inputs, variable: Option<&String>) {
        let named = inputs.config_file.clone().or_else(|| variable.map(PathBuf::from));
        if let Some(path) = named {
            return self.file(&path, true);
        }
        for name in ["config.yaml", "powermemo.yaml"] {
            self.file(&inputs.working_dir.join(name), false);
        }
    }

    fn file(&mut self, path: &Path, required: bool) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return,
            Err(error) => return self.errors.push(format!("{}: cannot be read: {error}", path.display())),
        };
        match parse(&text) {
            Err(error) => self.errors.push(format!("{}: {error}", path.display())),
            Ok(values) => {
                for (key, value) in values {
                    self.set(&key, value, Source::File(path.to_owned()));
                }
            }
        }
    }

    /// The variables of `.env`, which are not put into the environment of the process.
    fn dot_env(&mut self, working_dir: &Path) -> BTreeMap<String, String> {
        let path = working_dir.join(".env");
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
            Err(error) => {
                self.errors.push(format!("{}: cannot be read: {error}", path.display()));
                return BTreeMap::new();
            }
        };
        let mut variables = BTreeMap::new();
        for (index, item) in dotenvy::from_read_iter(text.as_slice()).enumerate() {
            match item {
                Ok((name, value)) => drop(variables.insert(name, value)),
                // The parser's own message would show the line, and with it perhaps a secret.
                Err(_) => self.errors.push(format!(
                    "{}: entry {} is not NAME=value; quote values with spaces",
                    path.display(),
                    index + 1
                )),
            }
        }
        variables
    }

    /// The variables that are ours. Others may hold anything and are not looked at.
    fn environment(&mut self, all: &[(OsString, OsString)]) -> BTreeMap<String, String> {
        let mut ours = BTreeMap::new();
        for (name, value) in all {
            let Some(name) = name.to_str().filter(|n| key_of(n).is_some() || *n == CONFIG_VARIABLE) else { continue };
            match OsStr::to_str(value) {
                Some(value) => drop(ours.insert(name.to_owned(), value.to_owned())),
                None => self.errors.push(format!("environment {name}: must be UTF-8")),
            }
        }
        ours
    }

    /// Takes over shared names first, so that a prefixed one wins. An empty variable counts as not set, since
    /// container tools pass empty ones on.
    fn variables(&mut self, variables: &BTreeMap<String, String>, source: fn(String) -> Source) {
        let (prefixed, shared): (Vec<_>, Vec<_>) = variables.iter().partition(|(name, _)| name.starts_with(PREFIX));
        for (name, text) in shared.into_iter().chain(prefixed) {
            if name != CONFIG_VARIABLE
                && !text.is_empty()
                && let Some(key) = key_of(name)
            {
                self.set_text(&key, text, source(name.clone()));
            }
        }
    }

    /// Sets a key from a text. A key whose default is a number, a truth value, a list or a map reads it as YAML.
    fn set_text(&mut self, key: &str, text: &str, source: Source) {
        let plain = matches!(self.defaults.get(key), None | Some(Value::String(_) | Value::Null));
        let value = if plain { Ok(Value::from(text)) } else { parse_value(text) };
        match value {
            Ok(value) => self.set(key, value, source),
            Err(error) => self.errors.push(format!("{source}: {key}: {error}")),
        }
    }

    fn set(&mut self, key: &str, value: Value, source: Source) {
        let Some(default) = self.defaults.get(key) else {
            match check::foreign(key) {
                Some(why) => self.warnings.push(format!("{source}: {key} has no effect: {why}")),
                None => self.errors.push(self.unknown(key, &source)),
            }
            return;
        };
        let value = if value.is_null() { default.clone() } else { value };
        // A file that repeats the defaults, as ./config.yaml does, changes nothing.
        let untouched = self.values.get(key).is_none_or(|(_, from)| *from == Source::Default);
        if value == *default && untouched && matches!(source, Source::File(_)) {
            return;
        }
        self.values.insert(key.to_owned(), (value, source));
    }

    fn unknown(&self, key: &str, source: &Source) -> String {
        let score = |known: &String| strsim::normalized_damerau_levenshtein(known, key);
        let nearest = self.defaults.keys().max_by(|a, b| score(a).total_cmp(&score(b)));
        let hint = nearest.map_or_else(String::new, |key| match source {
            Source::DotEnv(_) | Source::Environment(_) => {
                format!("; the nearest known one is {PREFIX}{}", key.to_uppercase())
            }
            _ => format!("; the nearest known one is {key}"),
        });
        format!("{source}: unknown key {key}{hint} (config.yaml lists them all)")
    }
}

/// The key that a variable sets, known or not.
fn key_of(variable: &str) -> Option<String> {
    if let Some(key) = variable.strip_prefix(PREFIX) {
        return Some(key.to_lowercase()).filter(|_| variable != CONFIG_VARIABLE);
    }
    SHARED_VARIABLES.iter().find(|(name, _)| *name == variable).map(|(_, key)| (*key).to_owned())
}

/// Parses a YAML map.
fn parse(text: &str) -> Result<BTreeMap<String, Value>, config::ConfigError> {
    // A file of comments alone is no map for the parser.
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(BTreeMap::new());
    }
    let map = config::File::from_str(text, FileFormat::Yaml).collect()?;
    Ok(map.into_iter().map(|(key, value)| (key, json(value.kind))).collect())
}

/// Parses one YAML value.
fn parse_value(text: &str) -> Result<Value, config::ConfigError> {
    let indented: String = text.lines().map(|line| format!("  {line}\n")).collect();
    Ok(parse(&format!("value:\n{indented}"))?.remove("value").unwrap_or_default())
}

/// The same value as JSON: a number that JSON does not hold becomes a string, which no numeric key takes.
fn json(kind: ValueKind) -> Value {
    match kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(value) => Value::from(value),
        ValueKind::I64(value) => Value::from(value),
        ValueKind::U64(value) => Value::from(value),
        ValueKind::Float(value) => Value::from(value),
        ValueKind::I128(value) => Value::from(value.to_string()),
        ValueKind::U128(value) => Value::from(value.to_string()),
        ValueKind::String(value) => Value::from(value),
        ValueKind::Table(map) => map.into_iter().map(|(key, value)| (key, json(value.kind))).collect(),
        ValueKind::Array(list) => list.into_iter().map(|value| json(value.kind)).collect(),
    }
}
