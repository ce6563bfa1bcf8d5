use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::store::MemoryStore;
use crate::ids::{GistId, ProjectId, UserId, UserKey};
use crate::ports::{NewVector, StoreError, Unembedded, Vectors};
use crate::search::Vector;
use crate::usage::Used;

#[async_trait]
impl Vectors for MemoryStore {
    async fn vectors(&self, key: &UserKey, space: &str, limit: u32) -> Result<Vec<(GistId, Vector)>, StoreError> {
        self.on(key, |rows| {
            let kept = |id: GistId| rows.vectors.get(&id).filter(|(of, _)| of == space).and_then(|(_, v)| v.clone());
            let gists = rows.gists(limit).into_iter();
            gists.filter_map(|gist| Some((gist.id, kept(gist.id)?))).collect()
        })
    }

    async fn unembedded(&self, space: &str, before: Timestamp, limit: u32) -> Result<Vec<Unembedded>, StoreError> {
        self.call(|state| {
            let mut found = Vec::new();
            for (key, rows) in &state.users {
                for gist in rows.gists(u32::MAX).into_iter().filter(|gist| gist.updated_at < before) {
                    let of = rows.vectors.get(&gist.id).map(|(of, _)| of.as_str());
                    if of != Some(space) {
                        let (event_id, gist_id) = (gist.event_id, gist.id);
                        let (text, sources) = (gist.text, gist.sources);
                        found.push((of.is_some(), Unembedded { key: key.clone(), event_id, gist_id, text, sources }));
                    }
                }
            }
            found.sort_by_key(|(has_another, _)| *has_another);
            found.into_iter().map(|(_, gist)| gist).take(limit as usize).collect()
        })
    }

    async fn put_vectors(
        &self,
        space: &str,
        project: &ProjectId,
        vectors: &[NewVector],
        tokens: u64,
        now: Timestamp,
    ) -> Result<Vec<(UserId, i64)>, StoreError> {
        self.call(|state| {
            for new in vectors {
                let key = UserKey { project: project.clone(), user: new.user };
                let Some(rows) = state.users.get_mut(&key) else { continue };
                if rows.gists(u32::MAX).iter().any(|gist| gist.id == new.gist_id && gist.event_id == new.event_id) {
                    rows.vectors.insert(new.gist_id, (space.to_owned(), new.vector.clone()));
                }
            }
            let users: BTreeSet<UserId> = vectors.iter().map(|new| new.user).collect();
            let mut revisions = Vec::new();
            for user in users {
                let key = UserKey { project: project.clone(), user };
                if let Some(rows) = state.users.get_mut(&key).filter(|rows| rows.user.is_some()) {
                    rows.bump();
                    revisions.extend(rows.user.as_ref().map(|row| (user, row.revision)));
                }
            }
            state.count(project, Used { embedding_tokens: tokens, ..Used::default() }, now);
            revisions
        })
    }

    async fn space(&self) -> Result<Option<String>, StoreError> {
        self.call(|state| state.space.clone())
    }

    async fn set_space(&self, space: &str) -> Result<(), StoreError> {
        self.call(|state| state.space = Some(space.to_owned()))
    }
}
