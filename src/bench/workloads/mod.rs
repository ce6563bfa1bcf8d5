//! The workloads: what the connections of each ask.

mod background;
mod bot;
mod flush;
mod insert;
mod reads;
mod users;

use std::collections::HashMap;
use std::sync::Arc;

use super::form::Form;
use super::load::{Measured, Session};
use super::options::{Case, Workload};
use super::rig::Rig;

pub(crate) use reads::Readers;
pub(crate) use users::{Users, delete_all};

/// A workload that is ready to run.
pub(crate) trait Work {
    /// The kinds of its requests.
    fn kinds(&self) -> &'static [&'static str];

    /// The kind that the workload is about; None: all together.
    fn headline(&self) -> Option<usize> {
        None
    }

    /// True when a round lasts until all is done, however long.
    fn is_batch(&self) -> bool {
        false
    }

    /// One session for each connection of a round.
    fn sessions(&mut self, rig: &Rig, connections: u32) -> anyhow::Result<Vec<Box<dyn Session>>>;

    /// After a round, which may have left work under way that counts.
    fn settle(&mut self, _rig: &Rig, _measured: &mut Measured) -> anyhow::Result<()> {
        Ok(())
    }

    /// What is worth knowing about the rounds so far.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// The users that it has made, to be deleted.
    fn users(&self) -> Vec<super::form::Id>;
}

/// The health check: what the server, the system and this client can do at most.
pub(crate) fn health_checks(rig: &Rig, connections: u32) -> Vec<Box<dyn Session>> {
    let form = Arc::new(Form::new(&rig.target, "GET", "/healthcheck", None));
    let session = || {
        let form = form.clone();
        Box::new(move |request: &mut Vec<u8>| {
            form.write(&[b'-'; 36], 0, request);
            Some(0_usize)
        }) as Box<dyn Session>
    };
    (0..connections).map(|_| session()).collect()
}

/// Makes a workload ready: its users, and what they must have. Users who are only read are shared.
///
/// # Errors
/// When the server refuses that.
pub(crate) fn prepare(
    case: &Case,
    cases: &[Case],
    rig: &Rig,
    readers: &mut HashMap<u32, Arc<Readers>>,
) -> anyhow::Result<Box<dyn Work>> {
    // A user is never asked by two connections at once where that would change what is measured.
    let users = case.users.max(case.connections);
    Ok(match case.workload {
        Workload::Insert => Box::new(insert::Insert::new(rig, case.users)?),
        Workload::Profile | Workload::Context | Workload::ContextChats => {
            let known = match readers.get(&case.users) {
                Some(known) => known.clone(),
                None => Arc::new(Readers::new(rig, case.users, cases.iter().any(Case::reads_events))?),
            };
            readers.insert(case.users, known.clone());
            Box::new(reads::Read::new(rig, known, case.workload))
        }
        Workload::FlushWait => Box::new(flush::FlushWait::new(rig, users)?),
        Workload::FlushBackground => Box::new(background::FlushBackground::new(rig, users)?),
        Workload::Mixed | Workload::Soak => Box::new(bot::Bots::new(rig, users, case.connections)?),
    })
}
