use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::store::State;
use super::store_rows::{UserRows, in_order};
use crate::ids::{Incarnation, ProjectId, UserKey};
use crate::ports::{Adoption, Legacy, Project, ProjectAdoption, ProjectStatus, User};
use crate::profile::Author;

impl State {
    /// Whether a project is here, and is to stay.
    fn is_kept(&self, id: &ProjectId) -> bool {
        self.projects.get(id).is_some_and(|project| project.status != ProjectStatus::Deleting)
    }

    pub(super) fn adopt_project(&mut self, project: &Project, source: &str, implicit: bool) -> ProjectAdoption {
        let id = &project.id;
        if let Some(other) = self.sources.get(id) {
            return match self.is_kept(id) {
                _ if other != source => ProjectAdoption::Taken,
                true => ProjectAdoption::Here,
                false => ProjectAdoption::Deleted,
            };
        }
        let is_free = implicit || self.users_of(id).next().is_none();
        if !is_free || self.projects.contains_key(id) && !self.is_kept(id) {
            return ProjectAdoption::Taken;
        }
        self.sources.insert(id.clone(), source.to_owned());
        if self.projects.contains_key(id) {
            return ProjectAdoption::Here;
        }
        self.projects.insert(id.clone(), project.clone());
        self.usage.retain(|(other, _), _| implicit || other != id);
        ProjectAdoption::New
    }

    pub(super) fn adopt(
        &mut self,
        key: &UserKey,
        incarnation: Incarnation,
        legacy: &Legacy,
        now: Timestamp,
    ) -> Adoption {
        if !self.is_kept(&key.project) {
            return Adoption::NoProject;
        }
        if self.tombstones.iter().any(|tombstone| tombstone.owner.key == *key) {
            return Adoption::Deleted;
        }
        let rows = self.users.entry(key.clone()).or_default();
        let is_new = rows.user.is_none();
        let user = rows.user.get_or_insert_with(|| User {
            id: key.user,
            incarnation,
            revision: 0,
            data: legacy.data.clone(),
            created_at: legacy.created_at,
            updated_at: legacy.updated_at,
        });
        let incarnation = user.incarnation;
        let ids: HashSet<Uuid> = legacy.ids().into_iter().filter(|id| !rows.has(*id)).collect();
        rows.adopted.extend(&ids);
        rows.take_over(legacy.clone().only(&ids), now);
        Adoption::Done { incarnation, is_new, ids }
    }
}

impl UserRows {
    /// Whether this id was adopted, or is that of a slot, an event or a blob.
    fn has(&self, id: Uuid) -> bool {
        self.adopted.contains(&id)
            || self.slots.iter().any(|slot| slot.id.0 == id)
            || self.events.iter().any(|(event, _)| event.id.0 == id)
            || self.blobs.iter().any(|stored| stored.blob.id.0 == id)
    }

    fn take_over(&mut self, legacy: Legacy, now: Timestamp) {
        if legacy.changes_memory() {
            self.bump();
        }
        for slot in legacy.slots {
            self.log("insert", Author::Client, &slot, now);
            self.slots.push(slot);
        }
        self.events.extend(legacy.events.into_iter().map(|(event, gists)| (event, in_order(&gists))));
        self.blobs.extend(legacy.blobs);
    }
}
