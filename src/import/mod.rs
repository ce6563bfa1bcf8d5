//! `powermemo import`: takes over what another service remembered.
//!
//! `source` reads it, `convert` brings it into the form that it has here, `desk` and `projects` hand it over, `report`
//! tells what became of it. A user's profile and events are one transaction, unless they are very many; what a run that
//! was cut short has moved, the next one finds.

mod convert;
mod desk;
mod projects;
mod report;
mod source;
mod statements;

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, anyhow, ensure};
use clap::{Args, Subcommand};
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::backends::Backends;
use crate::config::Config;
use desk::{Desk, Destination};
use source::Source;

/// Threads that do the work of both databases.
const IO_THREADS: usize = 2;
/// Users after which the log says how far it is.
const MILESTONE: usize = 1_000;

/// What to import.
#[derive(Clone, PartialEq, Debug, Subcommand)]
pub enum ImportCommand {
    /// Move projects, users, profiles, events and messages out of the Postgres of a Memobase 0.0.42, which is only read.
    /// To be repeated at will: what came before is left as it is now. With Postgres, servers need not be stopped.
    Memobase(MemobaseArgs),
}

/// How to import from Memobase.
#[derive(Clone, PartialEq, Debug, Args)]
pub struct MemobaseArgs {
    /// Its database: postgres://user:password@host:port/name. The password may be left out, and be in PGPASSWORD.
    #[arg(long, value_name = "URL")]
    pub from: SourceUrl,
    /// Move this project alone.
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// Only read and check everything, and tell what would be moved if nothing were here.
    #[arg(long)]
    pub dry_run: bool,
}

/// The URL of a source. It may hold a password, and is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl(String);

impl FromStr for SourceUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self(url.to_owned()))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceUrl(…)")
    }
}

/// Imports, and says what became of what was there.
///
/// # Errors
/// When source or target cannot be used, or when anything was left behind.
pub fn run(config: &Config, command: &ImportCommand) -> anyhow::Result<()> {
    let ImportCommand::Memobase(args) = command;
    let io = Builder::new_multi_thread().worker_threads(IO_THREADS).enable_all().build()?;
    io.block_on(memobase(config, args))
}

async fn memobase(config: &Config, args: &MemobaseArgs) -> anyhow::Result<()> {
    let mut source = Source::open(&args.from.0, args.project.as_deref(), config.max_body_bytes).await?;
    if args.dry_run {
        let mut desk = Desk::new(config, None);
        let read = move_all(&mut source, &mut desk).await;
        println!("{}, read and not moved:\n{}", source.target(), desk.report);
        source.close().await;
        read?;
        return check(&desk);
    }
    let target = Backends::open(config).await.context("the target cannot be used")?;
    let (close, expelled) = (target.close(), target.expelled());
    let mut desk = Desk::new(config, Some(&target));
    let moved = tokio::select! {
        moved = move_all(&mut source, &mut desk) => moved,
        () = expelled => Err(anyhow!("a command has the database for itself")),
    };
    println!("from {}\nto   {}\n{}", source.target(), target.places[0], desk.report);
    source.close().await;
    let closed = close.await;
    moved.context("the import was cut short: run it again, and it goes on where it ended")?;
    closed?;
    check(&desk)
}

fn check(desk: &Desk<'_>) -> anyhow::Result<()> {
    ensure!(desk.report.is_complete(), "something was left behind, see LEFT BEHIND; the source still has it");
    Ok(())
}

async fn move_all(source: &mut Source, desk: &mut Desk<'_>) -> anyhow::Result<()> {
    let counts = source.counts().await?;
    desk.report.unmoved(source.unmoved().await?);
    let names = source.projects().await?;
    let mut moved = 0;
    for name in &names {
        let row = source.project(name).await?;
        let destination = desk.project(name, row).await?;
        let mut last = None;
        loop {
            let ids = source.user_ids(name, last).await?;
            let Some(end) = ids.last().copied() else { break };
            for id in ids {
                move_user(source, desk, name, &destination, id).await?;
                moved += 1;
                if moved % MILESTONE == 0 {
                    tracing::info!("{moved} of {} users", counts.users);
                }
            }
            last = Some(end);
        }
    }
    desk.report.complete(&counts);
    Ok(())
}

async fn move_user(
    source: &mut Source,
    desk: &mut Desk<'_>,
    name: &str,
    destination: &Destination,
    id: Uuid,
) -> anyhow::Result<()> {
    let mut heir = desk.user(destination, &source.user(name, id).await?);
    let mut slots = source.slots(name, id);
    while let Some(row) = slots.next().await? {
        desk.slot(&mut heir, &row).await?;
    }
    drop(slots);
    let mut events = source.events(name, id);
    while let Some(row) = events.next().await? {
        desk.event(&mut heir, &row).await?;
    }
    drop(events);
    desk.hand_over(&mut heir).await?;
    let mut blobs = source.blobs(name, id);
    while let Some(row) = blobs.next().await? {
        desk.blob(&mut heir, &row).await?;
    }
    drop(blobs);
    desk.finish(heir).await
}
