//! What may happen, drawn at random.

use proptest::prelude::*;

/// What goes wrong with one call of a port.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    None,
    /// Away: nothing happens.
    Outage,
    /// It happens, but the reply is lost.
    Lost,
}

/// How the model answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mood {
    Good,
    Unusable,
    Refused,
    Unavailable,
    /// It is not asked: the project has no tokens left.
    Held,
}

/// The content of a blob.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Chat,
    Doc,
    /// A chat that cannot be read.
    Garbage,
}

/// What a client does to a slot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Add,
    Update,
    Move,
    Delete,
}

/// One thing that happens. Indices are taken modulo what there is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Append {
        p: usize,
        u: usize,
        kind: Kind,
        slot: u8,
        words: usize,
        fault: Fault,
        late: bool,
        waits: bool,
    },
    Resend {
        p: usize,
        pick: usize,
        fault: Fault,
    },
    Deliver {
        p: usize,
        u: usize,
        pick: usize,
    },
    Request {
        p: usize,
        u: usize,
        doc: bool,
        waits: bool,
    },
    Forget {
        p: usize,
        u: usize,
    },
    Tick {
        secs: u64,
    },
    Sweep {
        p: usize,
    },
    Step {
        p: usize,
        u: usize,
        fault: Fault,
        mood: Mood,
    },
    StepOrphan {
        p: usize,
        pick: usize,
        fault: Fault,
    },
    Run {
        p: usize,
        u: usize,
        steps: usize,
    },
    Renew {
        p: usize,
        u: usize,
    },
    Crash {
        p: usize,
    },
    Snapshot,
    Restore {
        pick: usize,
    },
    DeleteUser {
        p: usize,
        u: usize,
    },
    CreateUser {
        u: usize,
    },
    Purge {
        fault: Fault,
    },
    DeleteBlob {
        pick: usize,
    },
    /// A worker elsewhere fails for good with the next batch; when it dies over that, the batch stays in the journal.
    Bury {
        u: usize,
        doc: bool,
        dies: bool,
    },
    /// A call, and how many of its steps follow at once.
    RetryLetter {
        p: usize,
        pick: usize,
        steps: usize,
    },
    DropLetter {
        pick: usize,
        steps: usize,
    },
    StepCall {
        pick: usize,
        fault: Fault,
    },
    AbandonCall {
        pick: usize,
    },
    Edit {
        u: usize,
        slot: u8,
        edit: Edit,
    },
}

/// A whole run.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) processes: usize,
    pub(crate) users: usize,
    pub(crate) record_answers: bool,
    /// The model is shown the memos of the profile; else their names only.
    pub(crate) quotes: bool,
    pub(crate) actions: Vec<Action>,
}

impl std::fmt::Debug for Script {
    /// One line per action: what proptest prints of a failure is to be read.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processes, users, record_answers, quotes, actions } = self;
        writeln!(f, "processes {processes}, users {users}, record_answers {record_answers}, quotes {quotes}")?;
        actions.iter().try_for_each(|action| writeln!(f, "    {action:?}"))
    }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![12 => Just(Fault::None), 1 => Just(Fault::Outage), 2 => Just(Fault::Lost)]
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        8 => Just(Mood::Good),
        1 => Just(Mood::Unusable),
        1 => Just(Mood::Refused),
        1 => Just(Mood::Unavailable),
        1 => Just(Mood::Held)
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![16 => Just(Kind::Chat), 4 => Just(Kind::Doc), 1 => Just(Kind::Garbage)]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![4 => Just(Edit::Add), 3 => Just(Edit::Update), 1 => Just(Edit::Move), 1 => Just(Edit::Delete)]
}

fn append() -> impl Strategy<Value = Action> {
    (
        0..3_usize,
        0..3_usize,
        kind(),
        0..3_u8,
        0..12_usize,
        fault(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(p, u, kind, slot, words, fault, late, waits)| Action::Append {
            p,
            u,
            kind,
            slot,
            words,
            fault,
            late,
            waits,
        })
}

fn action() -> impl Strategy<Value = Action> {
    use Action as A;
    let (p, u, pick) = (0..3_usize, 0..3_usize, 0..64_usize);
    let at = || (p.clone(), u.clone());
    let bool = prop::bool::ANY;
    prop_oneof![
        20 => append(),
        3 => (p.clone(), pick.clone(), fault()).prop_map(|(p, pick, fault)| A::Resend { p, pick, fault }),
        2 => (at(), pick.clone()).prop_map(|((p, u), pick)| A::Deliver { p, u, pick }),
        6 => (at(), prop::bool::weighted(0.2), bool).prop_map(|((p, u), doc, waits)| A::Request { p, u, doc, waits }),
        1 => at().prop_map(|(p, u)| A::Forget { p, u }),
        5 => prop_oneof![1..10_u64, 25..90_u64].prop_map(|secs| A::Tick { secs }),
        5 => p.clone().prop_map(|p| A::Sweep { p }),
        30 => (at(), fault(), mood()).prop_map(|((p, u), fault, mood)| A::Step { p, u, fault, mood }),
        3 => (p.clone(), pick.clone(), fault()).prop_map(|(p, pick, fault)| A::StepOrphan { p, pick, fault }),
        12 => (at(), 2..9_usize).prop_map(|((p, u), steps)| A::Run { p, u, steps }),
        2 => at().prop_map(|(p, u)| A::Renew { p, u }),
        3 => p.clone().prop_map(|p| A::Crash { p }),
        3 => Just(A::Snapshot),
        2 => pick.clone().prop_map(|pick| A::Restore { pick }),
        2 => at().prop_map(|(p, u)| A::DeleteUser { p, u }),
        3 => u.clone().prop_map(|u| A::CreateUser { u }),
        2 => fault().prop_map(|fault| A::Purge { fault }),
        5 => pick.clone().prop_map(|pick| A::DeleteBlob { pick }),
        6 => (u.clone(), prop::bool::weighted(0.2), prop::bool::weighted(0.2))
            .prop_map(|(u, doc, dies)| A::Bury { u, doc, dies }),
        9 => (p.clone(), pick.clone(), 0..4_usize).prop_map(|(p, pick, steps)| A::RetryLetter { p, pick, steps }),
        5 => (pick.clone(), 0..6_usize).prop_map(|(pick, steps)| A::DropLetter { pick, steps }),
        15 => (pick.clone(), fault()).prop_map(|(pick, fault)| A::StepCall { pick, fault }),
        1 => pick.prop_map(|pick| A::AbandonCall { pick }),
        6 => (u.clone(), 0..3_u8, edit()).prop_map(|(u, slot, edit)| A::Edit { u, slot, edit }),
    ]
}

/// Half of all scripts know no restores, so that the order of effects can be checked.
pub(crate) fn script() -> impl Strategy<Value = Script> {
    let actions = prop::collection::vec(action(), 20..90);
    let quotes = prop::bool::weighted(0.7);
    (1..=3_usize, 1..=3_usize, prop::bool::weighted(0.8), quotes, prop::bool::ANY, actions).prop_map(
        |(processes, users, record_answers, quotes, restores, mut actions)| {
            actions.retain(|a| restores || !matches!(a, Action::Restore { .. }));
            Script { processes, users, record_answers, quotes, actions }
        },
    )
}
