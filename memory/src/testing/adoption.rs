use std::collections::HashSet;

use jiff::Timestamp;
use uuid::Uuid;

use super::store::State;
use super::store_rows::{UserRows, in_order};
use crate::ids::{Incarnation, UserKey};
use crate::ports::{Adoption, Legacy, User};
use crate::profile::Author;

impl State {
    pub(super) fn adopt(
        &mut self,
        key: &UserKey,
        incarnation: Incarnation,
        legacy: &Legacy,
        now: Timestamp,
    ) -> Adoption {
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
