//! What is asked, and the slots that it is compared with, as vectors.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use memory::ids::ProjectId;
use memory::ports::{Embedded, Purpose};
use memory::search::Vector;
use tokio::time::{Instant, timeout, timeout_at};

use crate::embeddings::{Embeddings, GATE_PAUSE};
use crate::outages;
use crate::settings::Ports;

/// How long a read waits for the vector of its query. It goes by words alone then.
const QUERY_WAIT: Duration = Duration::from_secs(2);
/// How long a read waits until the tokens that it took are counted.
const COUNT_WAIT: Duration = Duration::from_millis(200);
/// Vectors of queries that are kept: a bot asks for the same chat several times.
const MAX_QUERIES: usize = 1_000;
/// Vectors of slots that are kept, each with a text of 1,000 characters at most: those of some hundred users who are talking.
const MAX_SLOTS: usize = 10_000;
/// Slots that are asked for at a time: as many texts as every provider takes.
const SLOTS_PIECE: usize = 32;
/// Longer queries are not kept, in bytes.
const MAX_QUERY_BYTES: usize = 4_096;

/// Vectors by their texts, as many as are of use: of those that nobody has asked for lately half go at a time.
#[derive(Default)]
struct Known {
    lately: HashMap<String, Option<Vector>>,
    before: HashMap<String, Option<Vector>>,
}

impl Known {
    fn get(&mut self, text: &str, most: usize) -> Option<Option<Vector>> {
        if let Some(vector) = self.lately.get(text) {
            return Some(vector.clone());
        }
        let (text, vector) = self.before.remove_entry(text)?;
        self.keep(text, vector.clone(), most);
        Some(vector)
    }

    fn keep(&mut self, text: String, vector: Option<Vector>, most: usize) {
        if self.lately.len() >= most / 2 {
            self.before = std::mem::take(&mut self.lately);
        }
        self.lately.insert(text, vector);
    }
}

/// The vectors of what was asked a moment ago, and of the slots that it was compared with.
#[derive(Default)]
pub(crate) struct Queries {
    queries: Mutex<Known>,
    slots: Mutex<Known>,
    /// Until when no slots are asked for: they were late.
    slots_rest: Mutex<Option<Instant>>,
}

fn locked(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queries {
    /// What a query means; none when nobody can tell now.
    pub(crate) async fn meaning(&self, embeddings: &Embeddings, query: &str) -> Option<Vector> {
        if query.trim().is_empty() {
            return None;
        }
        if let Some(known) = locked(&self.queries).get(query, MAX_QUERIES) {
            return known;
        }
        let asked = embeddings.ask(&[query.to_owned()], Purpose::Query, QUERY_WAIT).await;
        let meaning = asked?.vectors.into_iter().next().flatten();
        if query.len() <= MAX_QUERY_BYTES {
            locked(&self.queries).keep(query.to_owned(), meaning.clone(), MAX_QUERIES);
        }
        meaning
    }

    /// What slots mean, as far as that can be told soon. Those that are not known are asked for, some at a time, and kept as
    /// they come; the tokens count for the project.
    pub(crate) async fn slots(
        &self,
        embeddings: &Embeddings,
        ports: &Ports,
        project: &ProjectId,
        slots: &[String],
    ) -> Vec<Option<Vector>> {
        let mut meanings: Vec<Option<Option<Vector>>> = {
            let mut known = locked(&self.slots);
            slots.iter().map(|slot| known.get(slot, MAX_SLOTS)).collect()
        };
        let unknown: Vec<usize> = (0..slots.len()).filter(|&at| meanings[at].is_none()).collect();
        let (until, mut tokens) = (Instant::now() + QUERY_WAIT, 0);
        for piece in unknown.chunks(SLOTS_PIECE) {
            let texts: Vec<String> = piece.iter().map(|&at| slots[at].clone()).collect();
            let Some(embedded) = self.ask_slots(embeddings, &texts, until).await else { break };
            tokens += embedded.tokens;
            let mut known = locked(&self.slots);
            for ((&at, text), vector) in piece.iter().zip(texts).zip(embedded.vectors) {
                known.keep(text, vector.clone(), MAX_SLOTS);
                meanings[at] = Some(vector);
            }
        }
        if tokens > 0 {
            let (embeddings, ports, project) = (embeddings.clone(), ports.clone(), project.clone());
            let count = tokio::spawn(async move {
                if let Err(error) = embeddings.put(&ports, &project, &[], tokens).await {
                    outages::store_failed(&error);
                }
            });
            // A read does not wait for a slow store; the tokens are counted all the same.
            let _ = timeout(COUNT_WAIT, count).await;
        }
        meanings.into_iter().map(Option::flatten).collect()
    }

    /// Embeds slots that are of use until an instant. When they are late, none are asked for for a while: a model that is too
    /// slow for many texts has to have time for queries.
    async fn ask_slots(&self, embeddings: &Embeddings, texts: &[String], until: Instant) -> Option<Embedded> {
        let rest = || self.slots_rest.lock().unwrap_or_else(PoisonError::into_inner);
        if rest().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match timeout_at(until, embeddings.embed_slots(texts)).await {
            Ok(embedded) => embedded,
            Err(_) => {
                *rest() = Some(Instant::now() + GATE_PAUSE);
                None
            }
        }
    }
}
