//! Shards, and the names of keys and members.

use memory::blob::BlobType;
use memory::ids::{Incarnation, Owner, ProjectId, UserId, UserKey};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// How many shards there are. Never to be changed: it decides where a user's keys are.
pub(super) const SHARDS: u16 = 256;

/// The shard of a user, over all its lives.
pub(super) fn shard_of(key: &UserKey) -> u16 {
    let hash = Sha256::new().chain_update(key.project.as_str()).chain_update(key.user.0.as_bytes()).finalize();
    u16::from(hash[0])
}

/// The hash tag that all keys of a shard share.
fn tag(prefix: &str, shard: u16) -> String {
    format!("{{{prefix}:{shard:03}}}")
}

/// How an owner is named in keys and indexes: `<user>:<incarnation>:<project>`.
pub(super) fn owner_name(owner: &Owner) -> String {
    format!("{}:{}:{}", owner.key.user.0.simple(), owner.incarnation.0.simple(), owner.key.project)
}

/// Reads what [`owner_name`] wrote.
pub(super) fn read_owner(name: &str) -> Option<Owner> {
    let mut parts = name.splitn(3, ':');
    let mut uuid = || Uuid::try_parse(parts.next()?).ok();
    let (user, incarnation) = (UserId(uuid()?), Incarnation(uuid()?));
    let key = UserKey { project: ProjectId::from(parts.next()?), user };
    Some(Owner { key, incarnation })
}

/// Reads a member of a due index: `<type>:<owner>`.
pub(super) fn read_due(member: &str) -> Option<(Owner, BlobType)> {
    let (kind, owner) = member.split_once(':')?;
    Some((read_owner(owner)?, kind.parse().ok()?))
}

/// The keys of an owner and of its shard, in the order in which the scripts expect them.
pub(super) fn of_owner(prefix: &str, owner: &Owner) -> [String; 9] {
    let (shard, name) = (shard_of(&owner.key), owner_name(owner));
    let own = |kind: &str| format!("{}:{kind}:{name}", tag(prefix, shard));
    let [due_waiting, due_batches] = due(prefix, shard);
    [
        own("state"),
        own("meta"),
        own("data"),
        own("waiting"),
        own("sealed"),
        own("gone"),
        due_waiting,
        due_batches,
        owners(prefix, shard),
    ]
}

/// The due indexes of a shard: buffers by their oldest blob, batches by the end of their claim or wait.
pub(super) fn due(prefix: &str, shard: u16) -> [String; 2] {
    let tag = tag(prefix, shard);
    [format!("{tag}:due:waiting"), format!("{tag}:due:batches")]
}

/// The index of the owners in a shard of whom something is held.
pub(super) fn owners(prefix: &str, shard: u16) -> String {
    format!("{}:owners", tag(prefix, shard))
}
