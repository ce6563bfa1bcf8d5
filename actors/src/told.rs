//! What a flush has told: into what is cached of the user's memory, to other processes, and to the embedder.

use std::sync::Arc;

use futures_util::future;
use memory::event::Gist;
use memory::flush::Step;
use memory::ids::{GistId, Owner};
use memory::ports::Change;
use memory::recall::KnownGists;
use memory::search::Vector;
use tokio::time::Instant;

use crate::offload::offload;
use crate::outages;
use crate::registry::Registry;
use crate::settings::Ports;

/// Cached gists that are copied as fast as one that is new is worked through.
const COPIED_AT_ONCE: usize = 50;

/// Tells what flushes did. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Teller {
    pub(crate) ports: Ports,
    pub(crate) registry: Arc<Registry>,
    /// See [`crate::EngineSettings::search_max_gists`].
    pub(crate) search_max_gists: u32,
}

/// What a commit adds to the memory of a user.
pub(crate) struct Told {
    /// The revision before it.
    base: i64,
    /// The revision after it.
    revision: i64,
    /// In order of position.
    gists: Vec<Gist>,
    /// When it had not begun yet.
    began: Instant,
}

impl Teller {
    /// What a step will tell, where somebody wants to know.
    pub(crate) fn of(&self, owner: &Owner, step: &Step) -> Option<Told> {
        let Step::Commit(commit) = step else { return None };
        let is_wanted = self.ports.embeddings.is_some() || self.registry.keeps_gists(&owner.key);
        let gists = commit.event.as_ref().filter(|_| is_wanted).map(|(_, gists)| gists.clone());
        let (base, revision) = (commit.base_revision, commit.base_revision + i64::from(commit.changes_memory()));
        Some(Told { base, revision, gists: gists.unwrap_or_default(), began: Instant::now() }).filter(|_| is_wanted)
    }

    /// Tells this process and the others that the memory of a user is another, and nobody knows which.
    pub(crate) async fn changed(&self, owner: &Owner) {
        self.registry.changed(&owner.key);
        self.announce(owner).await;
    }

    /// The same, after a commit that told this: what is cached of the gists grows by it.
    pub(crate) async fn committed(&self, owner: &Owner, told: &Told) {
        let (counter, gists, revision) = (self.ports.counter.clone(), told.gists.clone(), told.revision);
        let grow = move |known: KnownGists| known.with_event(revision, gists, &*counter);
        self.grow(owner, told.base, told.began, told.gists.len(), grow).await;
    }

    /// Embeds what a flush has told. The flush has taken effect, whatever comes of this.
    pub(crate) async fn embed(&self, owner: &Owner, told: Told) {
        let Some(embeddings) = self.ports.embeddings.as_ref().filter(|_| !told.gists.is_empty()) else { return };
        let began = Instant::now();
        let Some(embedded) = embeddings.told(&owner.key, told.gists).await else { return };
        let vectors: Vec<(GistId, Vector)> =
            embedded.news.iter().filter_map(|new| Some((new.gist_id, new.vector.clone()?))).collect();
        match embeddings.put(&self.ports, &owner.key.project, &embedded.news, embedded.tokens).await {
            Ok(revisions) => match revisions.into_iter().find(|(user, _)| *user == owner.key.user) {
                Some((_, revision)) => {
                    let grow = move |known: KnownGists| Some(known.with_vectors(vectors).at_revision(revision));
                    self.grow(owner, revision - 1, began, embedded.news.len(), grow).await;
                }
                None => self.changed(owner).await,
            },
            Err(error) => {
                outages::store_failed(&error);
                // They may be there all the same.
                self.changed(owner).await;
            }
        }
    }

    /// Drops what is cached and tells the others so, while the gists of revision `base` grow.
    async fn grow(
        &self,
        owner: &Owner,
        base: i64,
        began: Instant,
        gists: usize,
        grow: impl FnOnce(KnownGists) -> Option<KnownGists> + Send + 'static,
    ) {
        let limit = usize::try_from(self.search_max_gists).unwrap_or(usize::MAX);
        // A little more than the limit, rather than to read all of them anew for each that is too many.
        let limit = limit.saturating_add(limit / 8);
        let uprooted = self.registry.uproot(owner, base);
        let growth = async {
            if let Some(uprooted) = uprooted {
                let grow = move |known| grow(known).filter(|grown| grown.len() <= limit);
                // Where it fails, that is logged, and nothing is cached.
                let _ = offload(gists + uprooted.len() / COPIED_AT_ONCE, move || uprooted.grow(began, grow)).await;
            }
        };
        future::join(growth, self.announce(owner)).await;
    }

    async fn announce(&self, owner: &Owner) {
        self.ports.changes.announce(&Change::Memory(owner.key.clone())).await;
    }
}
