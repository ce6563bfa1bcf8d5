//! From facts to profile actions: one whole memo per slot.

use std::collections::BTreeMap;

use crate::extraction::{DraftAction, Policy, Request, Verb};
use crate::ports::TokenCounter;
use crate::profile::SlotName;

use super::{Fact, SINGLE, SlotRef};

/// What stands between the values of a memo.
const JOINT: &str = "; ";

/// The memos that change, and those that were there.
pub(super) struct Memos<'a> {
    policy: &'a Policy,
    counter: &'a dyn TokenCounter,
    /// The newest present memo of each name.
    present: BTreeMap<SlotName, &'a str>,
    changed: Vec<(SlotRef, Vec<String>, Vec<u32>)>,
}

impl<'a> Memos<'a> {
    pub(super) fn new(request: &'a Request, counter: &'a dyn TokenCounter) -> Self {
        let present = request.profile.iter().rev().map(|s| (s.name(), s.content.as_str())).collect();
        Self { policy: &request.policy, counter, present, changed: Vec::new() }
    }

    /// Takes up a fact that line `number` told.
    pub(super) fn tell(&mut self, fact: Fact, number: u32) {
        let Fact { slot, value } = fact;
        let name = SlotName::new(slot.0, slot.1);
        let unwanted = self.policy.strict && !self.policy.schema.names(&name);
        if unwanted || !self.fits(std::slice::from_ref(&value)) {
            return;
        }
        let index = self.changed.iter().position(|(s, ..)| *s == slot).unwrap_or_else(|| {
            let present = self.present.get(&name).copied().unwrap_or_default();
            let values = present.split(JOINT.trim()).map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
            self.changed.push((slot, values.collect(), Vec::new()));
            self.changed.len() - 1
        });
        let (_, values, numbers) = &mut self.changed[index];
        let known = values.iter().any(|v| v.to_lowercase() == value.to_lowercase());
        if SINGLE.contains(&slot) {
            *values = vec![value];
        } else if !known {
            values.push(value);
        }
        if !numbers.contains(&number) {
            numbers.push(number);
        }
        let mut values = std::mem::take(&mut self.changed[index].1);
        // The newest fits alone, so this ends with it at the latest.
        while values.len() > 1 && !self.fits(&values) {
            values.remove(0);
        }
        self.changed[index].1 = values;
    }

    fn fits(&self, values: &[String]) -> bool {
        self.counter.fits(&values.join(JOINT), self.policy.max_memo_tokens)
    }

    /// One `set` per slot whose memo is new, in the order in which they were first told.
    pub(super) fn into_actions(self) -> Vec<DraftAction> {
        let present = self.present;
        let action = |((topic, sub_topic), values, messages): (SlotRef, Vec<String>, Vec<u32>)| {
            let memo = values.join(JOINT);
            let unchanged = present.get(&SlotName::new(topic, sub_topic)).is_some_and(|m| **m == memo);
            let (topic, sub_topic) = (topic.to_owned(), sub_topic.to_owned());
            (!unchanged).then_some(DraftAction { action: Verb::Set, topic, sub_topic, memo, messages })
        };
        self.changed.into_iter().filter_map(action).collect()
    }
}
