//! The services that adapters need, each private to a test.

pub(crate) mod postgres;
pub(crate) mod proxy;
pub(crate) mod redis;

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

thread_local! {
    static TIED: Cell<bool> = const { Cell::new(false) };
}

/// From now on, what this thread starts with [`command`] is killed when the thread ends, even when the whole test is
/// killed and can tidy up nothing. Not for threads that start what others use after them.
///
/// # Panics
/// When the system cannot do that.
pub(crate) fn tie() {
    let can = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).status();
    assert!(can.is_ok_and(|status| status.success()), "setpriv (Debian: util-linux) is needed");
    TIED.set(true);
}

/// A command that runs a program. See [`tie`].
pub(crate) fn command(program: &Path) -> Command {
    if !TIED.get() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}
