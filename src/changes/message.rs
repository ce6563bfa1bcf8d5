use memory::ids::{Incarnation, Owner, ProjectId, UserId, UserKey};
use memory::ports::Change;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A change on its way, and who told it.
#[derive(Serialize, Deserialize)]
struct Message {
    from: Uuid,
    #[serde(flatten)]
    told: Told,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Told {
    Memory { project: ProjectId, user: UserId },
    Deleted { project: ProjectId, user: UserId, incarnation: Incarnation },
    Project { project: ProjectId },
    Everything,
}

/// A change as compact JSON, from the process `from`.
pub(super) fn encode(from: Uuid, change: &Change) -> String {
    let told = match change.clone() {
        Change::Memory(UserKey { project, user }) => Told::Memory { project, user },
        Change::Deleted(Owner { key: UserKey { project, user }, incarnation }) => {
            Told::Deleted { project, user, incarnation }
        }
        Change::Project(project) => Told::Project { project },
        Change::Everything => Told::Everything,
    };
    // A struct of strings and ids always serialises.
    serde_json::to_string(&Message { from, told }).unwrap_or_default()
}

/// Reads what [`encode`] wrote; none when `me` wrote it. What cannot be read (a newer version may have sent it) may
/// be any change.
pub(super) fn decode(text: &str, me: Uuid) -> Option<Change> {
    let Ok(message) = serde_json::from_str::<Message>(text) else {
        tracing::warn!("a change that cannot be read was told: taken for a change of everything");
        return Some(Change::Everything);
    };
    if message.from == me {
        return None;
    }
    Some(match message.told {
        Told::Memory { project, user } => Change::Memory(UserKey { project, user }),
        Told::Deleted { project, user, incarnation } => {
            Change::Deleted(Owner { key: UserKey { project, user }, incarnation })
        }
        Told::Project { project } => Change::Project(project),
        Told::Everything => Change::Everything,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_back_from_others_alone() {
        let (me, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let key = UserKey { project: ProjectId::from("p\"'ü"), user: UserId(Uuid::from_u128(3)) };
        let owner = Owner { key: key.clone(), incarnation: Incarnation(Uuid::from_u128(4)) };
        let project = Change::Project(key.project.clone());
        for change in [Change::Memory(key), Change::Deleted(owner), project, Change::Everything] {
            let text = encode(me, &change);
            assert_eq!(decode(&text, other), Some(change));
            assert_eq!(decode(&text, me), None);
        }
        for unknown in ["", "{}", r#"{"from":"00000000-0000-0000-0000-000000000002","kind":"new"}"#] {
            assert_eq!(decode(unknown, me), Some(Change::Everything));
        }
    }
}
