//! Embeddings: of what a flush has told, and of what has none yet. Those of what is asked are in `queries.rs`.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use memory::event::Gist;
use memory::ids::{GistId, ProjectId, UserId, UserKey};
use memory::ports::{Change, Embedded, Embedder, ModelError, NewVector, Purpose, StoreError, Unembedded, Vectors};
use memory::recall::embeddable;
use memory::search::Vector;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::outages;
use crate::registry::Registry;
use crate::settings::Ports;

/// How long a flush that has taken effect waits for the vectors of its gists. They are filled in later then.
const FLUSH_WAIT: Duration = Duration::from_secs(10);
/// Failures in a row after which reads and flushes ask nothing for a while: they would only wait.
const MAX_FAILURES: u32 = 3;
/// How long that is.
pub(crate) const GATE_PAUSE: Duration = Duration::from_secs(15);
/// Calls for flushes at the same time: the places of a provider are for queries, too.
const MAX_TOLD: usize = 16;
/// How old a gist must be to be filled in: its flush may be at it.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// Gists that are looked for at once when some have none.
const PAGE: u32 = 256;
/// Gists that are filled in by one call: what was paid for is kept.
const PIECE: usize = 64;
/// How long nothing is filled in after a failure; twice as long after each further one.
const REST: Duration = Duration::from_secs(30);
/// The longest such rest.
const MAX_REST: Duration = Duration::from_secs(3_600);
/// What every model has a direction for.
const HARMLESS: &str = "hello";

/// What searches by meaning need. Cheap to clone.
#[derive(Clone)]
pub struct Embeddings {
    /// Makes the vectors.
    embedder: Arc<dyn Embedder>,
    /// Keeps them.
    vectors: Arc<dyn Vectors>,
    gate: Arc<Gate>,
    told: Arc<Semaphore>,
}

/// Keeps reads and flushes from waiting for what has just failed several times.
#[derive(Default)]
struct Gate(Mutex<(u32, Option<Instant>)>);

impl Gate {
    fn is_open(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 < MAX_FAILURES || state.1.is_none_or(|last| last.elapsed() >= GATE_PAUSE)
    }

    fn worked(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (0, None);
        outages::embedding_worked();
    }

    fn failed(&self, error: &impl std::fmt::Display) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = (state.0.saturating_add(1), Some(Instant::now()));
        drop(state);
        outages::embedding_failed(error);
    }
}

/// Vectors that nobody keeps yet.
pub(crate) struct News {
    pub(crate) news: Vec<NewVector>,
    /// The tokens that they cost.
    pub(crate) tokens: u32,
}

#[derive(Debug, thiserror::Error)]
enum FillError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Embeddings {
    /// Of an embedder, and of what keeps its vectors.
    pub fn new(embedder: Arc<dyn Embedder>, vectors: Arc<dyn Vectors>) -> Self {
        Self { embedder, vectors, gate: Arc::default(), told: Arc::new(Semaphore::new(MAX_TOLD)) }
    }

    /// The vectors of a user's newest gists.
    pub(crate) async fn vectors_of(&self, key: &UserKey, limit: u32) -> Result<Vec<(GistId, Vector)>, StoreError> {
        self.vectors.vectors(key, self.embedder.space(), limit).await
    }

    /// Embeds texts for somebody who waits. None when that failed, takes too long, or failed a moment ago.
    pub(crate) async fn ask(&self, texts: &[String], purpose: Purpose, wait: Duration) -> Option<Embedded> {
        if !self.gate.is_open() {
            return None;
        }
        match timeout(wait, self.embedder.embed(texts, purpose)).await {
            Ok(Ok(embedded)) => {
                self.gate.worked();
                return Some(embedded);
            }
            Ok(Err(error)) => self.gate.failed(&error),
            Err(_) => self.gate.failed(&format_args!("no vector within {} s", wait.as_secs())),
        }
        None
    }

    /// Embeds slots. Those that are refused have no vector; None when that cannot be told.
    pub(crate) async fn embed_slots(&self, texts: &[String]) -> Option<Embedded> {
        if !self.gate.is_open() {
            return None;
        }
        match self.embedder.embed(texts, Purpose::Document).await {
            Ok(embedded) => {
                self.gate.worked();
                Some(embedded)
            }
            // One of them may be what the model does not like.
            Err(ModelError::Refused(_)) if texts.len() > 1 => {
                let mut all = Embedded { vectors: Vec::new(), tokens: 0 };
                for text in texts {
                    match self.embedder.embed(std::slice::from_ref(text), Purpose::Document).await {
                        Ok(one) => {
                            all.vectors.extend(one.vectors);
                            all.tokens += one.tokens;
                        }
                        Err(ModelError::Refused(_)) => all.vectors.push(None),
                        Err(_) => return None,
                    }
                }
                Some(all)
            }
            Err(ModelError::Refused(_)) => Some(Embedded { vectors: vec![None], tokens: 0 }),
            Err(error) => {
                self.gate.failed(&error);
                None
            }
        }
    }

    /// Embeds the gists that a flush has told, in one call. None when that failed: they are filled in later.
    pub(crate) async fn told(&self, key: &UserKey, gists: Vec<Gist>) -> Option<News> {
        // Those that find no place are filled in later.
        let _place = self.told.try_acquire().ok()?;
        let gist = |gist: Gist| Unembedded {
            key: key.clone(),
            event_id: gist.event_id,
            gist_id: gist.id,
            text: gist.text,
            sources: gist.sources,
        };
        let gists: Vec<Unembedded> = gists.into_iter().map(gist).collect();
        let embedded = self.ask(&texts_of(&gists), Purpose::Document, FLUSH_WAIT).await?;
        Some(News { news: news_of(&gists, embedded.vectors), tokens: embedded.tokens })
    }

    /// Keeps vectors of one project. Returns the new revisions of its users.
    pub(crate) async fn put(
        &self,
        ports: &Ports,
        project: &ProjectId,
        news: &[NewVector],
        tokens: u32,
    ) -> Result<Vec<(UserId, i64)>, StoreError> {
        self.vectors.put_vectors(self.embedder.space(), project, news, tokens.into(), ports.clock.now()).await
    }
}

fn texts_of(gists: &[Unembedded]) -> Vec<String> {
    gists.iter().map(|gist| embeddable(&gist.text, &gist.sources)).collect()
}

fn news_of(gists: &[Unembedded], vectors: Vec<Option<Vector>>) -> Vec<NewVector> {
    let new = |(gist, vector): (&Unembedded, Option<Vector>)| NewVector {
        user: gist.key.user,
        event_id: gist.event_id,
        gist_id: gist.gist_id,
        vector,
    };
    gists.iter().zip(vectors).map(new).collect()
}

/// Fills in what has no vector: what a flush could not embed, what a client wrote, and all that there is when another
/// model is configured.
pub(crate) struct Filler {
    pub(crate) embeddings: Embeddings,
    pub(crate) ports: Ports,
    pub(crate) registry: Arc<Registry>,
    pub(crate) pause: Duration,
}

impl Filler {
    /// Fills in until it is told to stop.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(self.pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut rest, mut rests_until, mut is_preferred) = (REST, Instant::now(), false);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if Instant::now() < rests_until {
                continue;
            }
            let filled = tokio::select! {
                filled = self.prefer_and_fill(&mut is_preferred) => filled,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match filled {
                Ok(gists) => {
                    rest = REST;
                    if gists > 0 {
                        tracing::debug!(gists, "vectors were filled in");
                        ticks.reset_immediately();
                    }
                }
                Err(error) => {
                    outages::embedding_failed(&error);
                    rests_until = Instant::now() + rest;
                    rest = (rest * 2).min(MAX_REST);
                }
            }
        }
    }

    /// Says once which space vectors are to be of. Of processes with different models on one store, the one that was
    /// started last fills in: they would overwrite each other's vectors for ever.
    async fn prefer_and_fill(&self, is_preferred: &mut bool) -> Result<usize, FillError> {
        let Embeddings { embedder, vectors, .. } = &self.embeddings;
        if !*is_preferred {
            vectors.set_space(embedder.space()).await?;
            *is_preferred = true;
        }
        if vectors.space().await?.as_deref() != Some(embedder.space()) {
            return Ok(0);
        }
        self.fill().await
    }

    /// Fills in some gists, and tells how many. What goes wrong in one project keeps no other waiting.
    async fn fill(&self) -> Result<usize, FillError> {
        let before = self.ports.clock.now().saturating_sub(GRACE).unwrap_or_default();
        let space = self.embeddings.embedder.space();
        let mut projects = BTreeMap::<ProjectId, Vec<Unembedded>>::new();
        for gist in self.embeddings.vectors.unembedded(space, before, PAGE).await? {
            projects.entry(gist.key.project.clone()).or_default().push(gist);
        }
        let (mut filled, mut failed) = (0, None);
        for (project, gists) in projects {
            for piece in gists.chunks(PIECE) {
                match self.fill_piece(&project, piece).await {
                    Ok(()) => filled += piece.len(),
                    Err(error) => failed = Some(error),
                }
                let users: HashSet<&UserKey> = piece.iter().map(|gist| &gist.key).collect();
                for key in users {
                    self.registry.changed(key);
                    self.ports.changes.announce(&Change::Memory(key.clone())).await;
                }
                if failed.is_some() {
                    break;
                }
            }
        }
        failed.map_or(Ok(filled), Err)
    }

    async fn fill_piece(&self, project: &ProjectId, gists: &[Unembedded]) -> Result<(), FillError> {
        match self.embeddings.embedder.embed(&texts_of(gists), Purpose::Document).await {
            Ok(Embedded { vectors, tokens }) => {
                self.embeddings.gate.worked();
                self.embeddings.put(&self.ports, project, &news_of(gists, vectors), tokens).await?;
                Ok(())
            }
            Err(error @ (ModelError::Refused(_) | ModelError::Unusable(_))) => {
                self.one_by_one(project, gists, error).await
            }
            Err(error) => Err(error.into()),
        }
    }

    /// One of the texts may be what the model does not like: it is left without a vector. When the model does not even
    /// like a harmless one, it is something else.
    async fn one_by_one(&self, project: &ProjectId, gists: &[Unembedded], error: ModelError) -> Result<(), FillError> {
        let embedder = &self.embeddings.embedder;
        if embedder.embed(&[HARMLESS.to_owned()], Purpose::Document).await.is_err() {
            return Err(error.into());
        }
        for gist in gists {
            let gist = std::slice::from_ref(gist);
            let Embedded { vectors, tokens } = match embedder.embed(&texts_of(gist), Purpose::Document).await {
                Err(ModelError::Refused(_) | ModelError::Unusable(_)) => Embedded { vectors: vec![None], tokens: 0 },
                embedded => embedded?,
            };
            self.embeddings.put(&self.ports, project, &news_of(gist, vectors), tokens).await?;
        }
        Ok(())
    }
}
