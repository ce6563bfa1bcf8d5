//! The buffer alone, with replies that arrive in any order.

use std::time::Duration;

use memory::blob::BlobType;
use memory::buffer::{BufferLimits, Effect, FlushEnd, UserBuffer};
use memory::ports::{Append, Level};
use proptest::prelude::*;

const LIMITS: BufferLimits = BufferLimits { flush_tokens: 20, max_blobs: 1_000, max_waiters: 4 };
const TYPES: [BlobType; 2] = [BlobType::Chat, BlobType::Doc];
/// Blobs of a batch at most.
const BATCH: usize = 3;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Append {
        kind: usize,
        tokens: u64,
        waits: bool,
    },
    Deliver {
        pick: usize,
    },
    Request {
        kind: usize,
        waits: bool,
    },
    Forget,
    Retry,
    /// The flush under way takes its batch.
    Take,
    End {
        how: u8,
    },
    /// Another process appends, or seals a batch and is done with it.
    Other {
        kind: usize,
        seals: bool,
    },
    Remove {
        kind: usize,
    },
    Restore,
}

/// A whole run, printed one event per line.
#[derive(Clone)]
pub(crate) struct Script(pub(crate) Vec<Event>);

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|event| write!(f, "\n    {event:?}"))
    }
}

pub(crate) fn script() -> impl Strategy<Value = Script> {
    use Event as E;
    let (kind, any) = (0..2_usize, prop::bool::ANY);
    let event = prop_oneof![
        10 => (kind.clone(), 1..12_u64, any).prop_map(|(kind, tokens, waits)| E::Append { kind, tokens, waits }),
        10 => (0..9_usize).prop_map(|pick| E::Deliver { pick }),
        3 => (kind.clone(), any).prop_map(|(kind, waits)| E::Request { kind, waits }),
        1 => Just(E::Forget),
        2 => Just(E::Retry),
        8 => Just(E::Take),
        8 => (0..10_u8).prop_map(|how| E::End { how }),
        3 => (kind.clone(), any).prop_map(|(kind, seals)| E::Other { kind, seals }),
        1 => kind.prop_map(|kind| E::Remove { kind }),
        1 => Just(E::Restore),
    ];
    prop::collection::vec(event, 5..60).prop_map(Script)
}

/// The journal of one user: the sequence number and the tokens of each blob that waits.
#[derive(Clone, Default)]
struct Shelf {
    last_seq: u64,
    waiting: Vec<(u64, u64)>,
}

impl Shelf {
    fn level(&self) -> Level {
        let tokens = self.waiting.iter().map(|(_, tokens)| tokens).sum();
        Level { last_seq: self.last_seq, blobs: self.waiting.len() as u64, tokens }
    }

    fn append(&mut self, tokens: u64) -> Append {
        self.last_seq += 1;
        self.waiting.push((self.last_seq, tokens));
        Append { seq: self.last_seq, level: self.level() }
    }

    fn seal(&mut self) -> Option<u64> {
        let count = self.waiting.len().min(BATCH);
        self.waiting.drain(..count).next_back().map(|(seq, _)| seq)
    }
}

#[derive(Default)]
struct Bench {
    shelves: [Shelf; 2],
    old: Option<[Shelf; 2]>,
    /// The sealed batch of which the outcome is open: its type and its last blob.
    open: Option<(usize, u64)>,
    late: Vec<(usize, u64, Append, Option<u64>)>,
    running: Option<usize>,
    /// What the flush under way got.
    taken: Option<FlushEnd>,
    waiting: Vec<u64>,
    ids: u64,
    retry: bool,
    /// The buffer learnt from a removal that others filled it: the next append tells.
    removed: [bool; 2],
    /// The last flush failed or found another at work: the sweeper will come.
    left_to_sweeper: bool,
}

/// Plays a script, delivers everything, and compares.
pub(crate) fn play(script: &[Event]) {
    let (mut buffer, mut bench) = (UserBuffer::new(LIMITS), Bench::default());
    for event in script {
        bench.act(&mut buffer, *event);
        bench.look(&buffer);
    }
    for (kind, blob_type) in TYPES.into_iter().enumerate() {
        while !bench.late.is_empty() {
            bench.act(&mut buffer, Event::Deliver { pick: 0 });
        }
        bench.rest(&mut buffer);
        bench.act(&mut buffer, Event::Append { kind, tokens: 1, waits: false });
        bench.act(&mut buffer, Event::Deliver { pick: 0 });
        assert_eq!(buffer.level(blob_type), bench.shelves[kind].level(), "after a fresh reply");
        bench.look(&buffer);
        bench.rest(&mut buffer);
        bench.look(&buffer);
    }
    assert!(bench.waiting.is_empty(), "somebody waits for ever");
    assert!(buffer.is_idle(), "{buffer:?}");
}

impl Bench {
    fn act(&mut self, buffer: &mut UserBuffer, event: Event) {
        self.ids += 1;
        let id = |waits: bool| waits.then_some(self.ids);
        match event {
            Event::Append { kind, tokens, waits } => {
                let (sent_at, waiter) = (buffer.admit(TYPES[kind]).unwrap(), id(waits));
                let reply = self.shelves[kind].append(tokens);
                self.late.push((kind, sent_at, reply, waiter));
            }
            Event::Deliver { pick } if !self.late.is_empty() => {
                let (kind, sent_at, reply, waiter) = self.late.remove(pick % self.late.len());
                self.removed[kind] = false;
                let (waits, effects) = buffer.appended(TYPES[kind], sent_at, &reply, waiter);
                self.waiting.extend(waiter.filter(|_| waits));
                self.carry_out(effects);
            }
            Event::Request { kind, waits } => {
                let waiter = id(waits);
                if let Ok(effects) = buffer.request(TYPES[kind], waiter) {
                    self.waiting.extend(waiter);
                    self.carry_out(effects);
                }
            }
            Event::Forget if !self.waiting.is_empty() => buffer.forget(self.waiting.remove(0)),
            Event::Retry if std::mem::take(&mut self.retry) => self.carry_out(buffer.retry()),
            Event::Take => self.take(),
            Event::End { how } => self.end(buffer, how),
            Event::Other { kind, seals } => {
                if seals {
                    self.shelves[kind].seal();
                } else {
                    self.shelves[kind].append(5);
                }
            }
            Event::Remove { kind } if !self.shelves[kind].waiting.is_empty() => {
                self.shelves[kind].waiting.pop();
                buffer.removed(TYPES[kind], self.shelves[kind].level());
                self.removed[kind] = true;
            }
            Event::Restore => {
                let now = self.shelves.clone();
                self.shelves = self.old.replace(now).unwrap_or_default();
            }
            _ => {}
        }
    }

    fn take(&mut self) {
        let (Some(asked), None) = (self.running, &self.taken) else { return };
        let sealed = self.open.or_else(|| self.shelves[asked].seal().map(|through| (asked, through)));
        self.taken = Some(match sealed {
            Some((kind, through_seq)) => {
                self.open = Some((kind, through_seq));
                let level = Some(self.shelves[kind].level());
                FlushEnd::Committed { blob_type: TYPES[kind], through_seq, result: None, level }
            }
            None => FlushEnd::Empty(self.shelves[asked].level()),
        });
    }

    fn end(&mut self, buffer: &mut UserBuffer, how: u8) {
        let Some(taken) = self.taken.take() else { return };
        self.running = None;
        let (reason, ready_in) = ("no".to_owned(), Duration::ZERO);
        let end = match (how, taken) {
            (0, FlushEnd::Committed { blob_type, level, .. }) => {
                FlushEnd::Failed { reason, level: level.map(|level| (blob_type, level)) }
            }
            (1, FlushEnd::Committed { .. }) => FlushEnd::Busy { ready_in },
            (2, FlushEnd::Committed { .. }) => FlushEnd::Moved,
            (3, FlushEnd::Committed { blob_type, level, .. }) => FlushEnd::Dead { blob_type, reason, level },
            (_, end) => end,
        };
        if matches!(end, FlushEnd::Committed { .. } | FlushEnd::Dead { .. }) {
            self.open = None;
        }
        self.left_to_sweeper = matches!(end, FlushEnd::Failed { .. } | FlushEnd::Busy { .. });
        let effects = buffer.ended(end);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Flush { blob_type, .. } => {
                    let kind = TYPES.iter().position(|t| *t == blob_type);
                    assert!(std::mem::replace(&mut self.running, kind).is_none(), "two flushes");
                    self.left_to_sweeper = false;
                }
                Effect::Answer(id, _) => {
                    let place = self.waiting.iter().position(|w| *w == id);
                    self.waiting.remove(place.expect("an answer to nobody, or a second one"));
                }
                Effect::RetryIn(_) => self.retry = true,
            }
        }
    }

    /// A buffer over its limit is being flushed, or left to the sweeper; who waits has somebody at work.
    fn look(&self, buffer: &UserBuffer) {
        let over = (0..2).any(|kind| !self.removed[kind] && buffer.level(TYPES[kind]).tokens > LIMITS.flush_tokens);
        let at_work = self.running.is_some() || self.retry;
        assert!(!over || at_work || self.left_to_sweeper, "a wake-up was lost: {buffer:?}");
        assert!(self.waiting.is_empty() || at_work, "nobody works for who waits: {buffer:?}");
    }

    /// Lets flushes go on until none is under way.
    fn rest(&mut self, buffer: &mut UserBuffer) {
        for _ in 0..200 {
            self.take();
            self.end(buffer, 9);
            self.act(buffer, Event::Retry);
            if self.running.is_none() && !self.retry {
                return;
            }
        }
        panic!("flushes without end: {buffer:?}");
    }
}
