//! Users for a workload.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use uuid::Uuid;

use crate::bench::form::{Form, Id};
use crate::bench::load::Session;
use crate::bench::rig::Rig;

/// Users who exist on the server.
#[derive(Clone, Debug)]
pub(crate) struct Users(pub(crate) Arc<Vec<Id>>);

/// The id of a user who does not exist yet.
pub(super) fn fresh_id() -> Id {
    let mut id = [0; 36];
    Uuid::new_v4().hyphenated().encode_lower(&mut id);
    id
}

/// The request that makes a user.
pub(super) fn create(rig: &Rig) -> Form {
    Form::new(&rig.target, "POST", "/users", Some(r#"{"id":"{id}","data":{"made_by":"powermemo bench"}}"#))
}

/// The request that deletes one.
pub(super) fn delete(rig: &Rig) -> Form {
    Form::new(&rig.target, "DELETE", "/users/{id}", None)
}

impl Users {
    /// Makes users.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn make(rig: &Rig, count: u32) -> anyhow::Result<Self> {
        let users = Self(Arc::new((0..count).map(|_| fresh_id()).collect()));
        for_each(rig, "creating users", &users, vec![create(rig)]).context("users cannot be created")?;
        Ok(users)
    }

    /// The n-th of them, from the first again after the last.
    pub(crate) fn nth(&self, n: u64) -> &Id {
        // There is at least one user, and no more than fit the memory.
        &self.0[usize::try_from(n % self.0.len() as u64).unwrap_or_default()]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Sends some requests for each user, those of one user one after the other.
///
/// # Errors
/// When the server refuses any.
pub(super) fn for_each(rig: &Rig, what: &str, users: &Users, forms: Vec<Form>) -> anyhow::Result<()> {
    let (taken, forms) = (Arc::new(AtomicUsize::new(0)), Arc::new(forms));
    let session = || {
        let (taken, forms, users) = (taken.clone(), forms.clone(), users.clone());
        let (mut user, mut step) = (usize::MAX, usize::MAX);
        Box::new(move |request: &mut Vec<u8>| {
            if step >= forms.len() {
                (user, step) = (taken.fetch_add(1, Ordering::Relaxed), 0);
            }
            forms.get(step)?.write(users.0.get(user)?, user as u64, request);
            step += 1;
            Some(0_usize)
        }) as Box<dyn Session>
    };
    let sessions = (0..rig.setup_connections()).map(|_| session()).collect();
    rig.bulk(what, users.len() as u64 * forms.len() as u64, sessions)
}

/// Deletes users. Some may be gone already.
///
/// # Errors
/// When the server refuses.
pub(crate) fn delete_all(rig: &Rig, ids: Vec<Id>) -> anyhow::Result<()> {
    let users = Users(Arc::new(ids));
    for_each(rig, "deleting users", &users, vec![delete(rig)]).context("users cannot be deleted")
}
