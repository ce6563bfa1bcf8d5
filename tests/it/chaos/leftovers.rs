//! What is left to do, and what should not be left.

use std::collections::HashSet;

use redis::Connection;
use sqlx::{PgConnection, query_scalar};
use uuid::Uuid;

/// The parts of a key of an owner: what it is, the user and the life.
fn parts(key: &str) -> Option<(&str, Uuid, Uuid)> {
    let mut parts = key.split_once("}:")?.1.split(':');
    let kind = parts.next()?;
    Some((kind, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn keys(redis: &mut Connection, pattern: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(pattern).query(redis).unwrap()
}

/// The owners of whom something waits in the journal.
pub(super) fn waiting(redis: &mut Connection) -> Vec<String> {
    let indexes = keys(redis, "{pm:*}:owners");
    indexes
        .iter()
        .flat_map(|index| redis::cmd("ZRANGE").arg(index).arg(0).arg(-1).query::<Vec<String>>(redis).unwrap())
        .collect()
}

/// Deleted users whose journal was not purged yet.
pub(super) async fn purge_orders(store: &mut PgConnection) -> i64 {
    query_scalar("SELECT count(*) FROM tombstones WHERE purged_at IS NULL").fetch_one(store).await.unwrap()
}

/// Keys of the journal that are of no living user. `living` are users with their lives.
///
/// Tombstones stay for a while. So do the numbers of a life whose purge the journal has forgotten (`forgetful`), when
/// nothing waits that would bring it to notice: they tell nothing of what was said.
pub(super) fn of_the_dead(redis: &mut Connection, living: &HashSet<(Uuid, Uuid)>, forgetful: bool) -> Vec<String> {
    let may_stay = |kind: &str| kind == "gone" || (forgetful && kind == "state");
    let of_the_dead =
        |key: &String| parts(key).is_some_and(|(kind, user, life)| !may_stay(kind) && !living.contains(&(user, life)));
    keys(redis, "{pm:*}:*").into_iter().filter(of_the_dead).collect()
}

#[test]
fn keys_are_read() {
    let (user, life) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let key = format!("{{pm:017}}:state:{}:{}:__root__", user.simple(), life.simple());
    assert_eq!(parts(&key), Some(("state", user, life)));
    assert_eq!(parts("{pm:017}:owners"), None);
    assert_eq!(parts("pm:journal_id"), None);
}
