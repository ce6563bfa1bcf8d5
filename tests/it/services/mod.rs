//! The services that adapters need, each private to a test.

pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod redis;

use std::path::Path;
use std::process::Command;

/// A command that runs a program.
pub(crate) fn command(program: &Path) -> Command {
    Command::new(program)
}
