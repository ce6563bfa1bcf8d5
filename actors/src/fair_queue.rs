//! A queue that serves projects in turn.

use std::collections::{HashMap, VecDeque};

use memory::ids::ProjectId;

/// First in, first out within a project; the projects take turns, so that one with thousands of flushes delays
/// another's only by those under way.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    queues: HashMap<ProjectId, VecDeque<T>>,
    /// Projects with something queued, the next one first.
    turns: VecDeque<ProjectId>,
    len: usize,
}

impl<T> FairQueue<T> {
    pub(crate) fn new() -> Self {
        Self { queues: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }

    pub(crate) fn push(&mut self, project: &ProjectId, item: T) {
        let queue = self.queues.entry(project.clone()).or_default();
        if queue.is_empty() {
            self.turns.push_back(project.clone());
        }
        queue.push_back(item);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let project = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&project)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&project);
        } else {
            self.turns.push_back(project);
        }
        self.len -= usize::from(item.is_some());
        item
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn drain(&mut self) -> Vec<T> {
        std::iter::from_fn(|| self.pop()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_take_turns() {
        let mut queue = FairQueue::new();
        let (a, b) = (ProjectId::from("a"), ProjectId::from("b"));
        (0..5).for_each(|n| queue.push(&a, ("a", n)));
        queue.push(&b, ("b", 0));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(("a", 0)), Some(("b", 0)), Some(("a", 1))));
        assert_eq!((queue.len(), queue.drain().len(), queue.pop(), queue.len()), (3, 3, None, 0));
    }
}
