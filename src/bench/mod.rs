//! `powermemo bench`: measures a server that speaks the wire API, this one or another, under load.
//!
//! `measure` runs the workloads round by round. `load` is the load generator, `client` its HTTP, `workloads` what is
//! asked, `subject` the server that is measured, `report` the result. Only routes that `docs/api.md` knows are used, so
//! that the same run measures whatever speaks them.

mod client;
mod form;
mod interrupt;
mod load;
mod measure;
mod options;
mod progress;
mod report;
mod rig;
mod subject;
mod target;
mod texts;
mod trial;
mod workloads;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

pub use options::{BenchArgs, Options, Workload};

use progress::Progress;
use report::Report;
use rig::Rig;
use subject::Subject;

/// Measures, and shows what was found.
///
/// # Errors
/// When the server cannot be measured, or any request failed: what was found is shown all the same.
pub fn bench(options: &Options) -> anyhow::Result<()> {
    if let Some(files) = &options.args.compare {
        let [a, b] = [read(&files[0])?, read(&files[1])?];
        print!("{}", report::compare(&a, &b).map_err(anyhow::Error::msg)?);
        return Ok(());
    }
    let stop = interrupt::listen()?;
    let progress = Progress::new();
    if let Some(url) = &options.args.url {
        progress.say(&format!(
            "measuring {url}; for contexts and flushes it must have a language model: for Powermemo, \
             `powermemo mock-model --latency 200ms` and POWERMEMO_LLM_BASE_URL=http://127.0.0.1:18090/v1"
        ));
    }
    let subject = Subject::open(options)?;
    subject.about.iter().for_each(|line| progress.say(line));
    let args = &options.args;
    let rig = Rig {
        target: subject.target.clone(),
        threads: args.threads,
        timeout: Duration::from_secs(args.timeout),
        buffer_tokens: if subject.is_own { subject::BUFFER_TOKENS } else { args.buffer_tokens },
        turns: args.turns,
        conversations: args.conversations,
        stop,
        progress,
    };
    let found = measure::measure(&rig, &subject, options);
    rig.progress.end();
    let report = found?;
    print!("{}", report::table(&report));
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &args.html {
        let page = report::page(&report).context("the page cannot be made")?;
        fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failed: u64 = report.workloads.iter().map(report::Outcome::failed).sum();
    if failed > 0 {
        bail!("{failed} requests failed");
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Report> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no result of powermemo bench", file.display()))
}
