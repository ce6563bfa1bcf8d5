use memory::ids::{Incarnation, Owner, UserKey};
use memory::ports::User;
use serde_json::{Map, Value};

use super::Engine;
use crate::crash_point::crash_point;
use crate::error::EngineError;
use crate::purge::PurgeError;

impl Engine {
    /// Creates a user. Former lives of the same id are out of the journal when this returns: a process that has not
    /// heard of their end yet can append nothing to them any more, and thus looks for the new life.
    ///
    /// # Errors
    /// [`EngineError::UserExists`] when the id is taken.
    pub async fn create_user(&self, key: &UserKey, data: Option<&Map<String, Value>>) -> Result<(), EngineError> {
        // Before, so that a journal that is away is told before anything happens; and after, for a deletion that came
        // in between.
        self.purge_former_lives(key).await?;
        let incarnation = Incarnation(self.fresh_id());
        if !self.ports().store.create_user(key, incarnation, data, self.now()).await? {
            return Err(EngineError::UserExists);
        }
        self.purge_former_lives(key).await
    }

    async fn purge_former_lives(&self, key: &UserKey) -> Result<(), EngineError> {
        for owner in self.ports().store.purge_orders_of(key).await? {
            self.purge(&owner).await?;
        }
        Ok(())
    }

    /// Reads a user.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`].
    pub async fn user(&self, key: &UserKey) -> Result<User, EngineError> {
        self.ports().store.user(key).await?.ok_or(EngineError::UnknownUser(key.user))
    }

    /// Replaces the data of a user.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`].
    pub async fn update_user(&self, key: &UserKey, data: &Map<String, Value>) -> Result<(), EngineError> {
        let updated = self.ports().store.update_user(key, data, self.now()).await?;
        if updated { Ok(()) } else { Err(EngineError::UnknownUser(key.user)) }
    }

    /// Deletes a user with everything that is known of it. The store's rows go in one transaction, which leaves the
    /// order to purge the journal: should the process die in between, the sweeper carries it out.
    ///
    /// # Errors
    /// [`EngineError::UnknownUser`].
    pub async fn delete_user(&self, key: &UserKey) -> Result<(), EngineError> {
        let (engine, owned) = (self.clone(), key.clone());
        self.write(key, async move { engine.delete_and_purge(&owned).await }).await
    }

    async fn delete_and_purge(&self, key: &UserKey) -> Result<(), EngineError> {
        let incarnation = self.ports().store.delete_user(key, self.now()).await?;
        let incarnation = incarnation.ok_or(EngineError::UnknownUser(key.user))?;
        crash_point("after_delete").await;
        self.purge(&Owner { key: key.clone(), incarnation }).await
    }

    /// Carries out a purge order.
    async fn purge(&self, owner: &Owner) -> Result<(), EngineError> {
        self.0.context.purge(owner).await.map_err(|error| match error {
            PurgeError::Journal(error) => error.into(),
            PurgeError::Store(error) => error.into(),
        })
    }
}
