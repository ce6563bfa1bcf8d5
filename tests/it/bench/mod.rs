//! `powermemo bench` against real servers: that it counts right what it does. How fast that is, is no test's business.

mod broken;
mod counts;
mod interrupt;
mod report;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::server::Server;

/// A folder for results, in which bench is run.
struct Desk {
    folder: TempDir,
}

/// A run of bench that has ended.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    /// What it wrote as JSON; null when it wrote nothing.
    json: Value,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// `powermemo bench` with these words on its command line, away from any configuration.
    fn command(&self, line: &str) -> Command {
        let mut command = Server::command(self.path(), &[]);
        command.env_remove("POWERMEMO_PORT").env_remove("POWERMEMO_DATA_DIR");
        command.arg("bench").args(line.split_whitespace()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end.
    fn run(&self, line: &str) -> Run {
        self.finish(self.command(line))
    }

    /// Runs a [`Desk::command`] to its end.
    fn finish(&self, mut command: Command) -> Run {
        let file = self.path().join("result.json");
        let output = command.arg("--json").arg(&file).output().unwrap();
        let run = Run::of(&output, std::fs::read_to_string(&file).ok().as_deref());
        eprintln!("{command:?}\n{}{}", run.stdout, run.stderr);
        run
    }
}

impl Run {
    fn of(output: &Output, json: Option<&str>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            json: json.map_or(Value::Null, |json| serde_json::from_str(json).unwrap()),
        }
    }

    /// The results of the workloads, by name.
    fn workloads(&self) -> Vec<(&str, &Value)> {
        let workloads = self.json["workloads"].as_array().unwrap();
        workloads.iter().map(|outcome| (outcome["workload"].as_str().unwrap(), outcome)).collect()
    }

    /// Successes of a kind of request, warm-up included.
    fn acknowledged(&self, workload: &str, kind: &str) -> u64 {
        let outcome = self.workloads().into_iter().find(|(name, _)| *name == workload).unwrap().1;
        let kinds = outcome["operations"].as_array().unwrap();
        kinds.iter().find(|k| k["name"] == kind).unwrap()["acknowledged"].as_u64().unwrap()
    }
}
