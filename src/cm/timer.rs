//! Deadlines: how long a peer waits, and a queue of what is due next.

use core::ops::DerefMut;
use core::time::Duration;

use roce_wire::num::Timeout;

/// Added wherever we wait until a peer has surely given up: packets and this machine's timers are late sometimes.
pub const SLACK: Duration = Duration::from_secs(1);

/// Longest time that the ids of a rejected connection are kept back, whatever timeouts the peer asked for.
pub const QUARANTINE_MAX: Duration = Duration::from_mins(10);

/// The time that a timeout code stands for: 4.096 µs · 2ⁿ, at most 2.4 hours.
pub const fn duration(code: Timeout) -> Duration {
    Duration::from_nanos(code.nanoseconds())
}

/// One element of the memory of the manager's deadlines. Only the manager looks into it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimerCell {
    /// What is at this place of the heap.
    node: Node,
    /// Where the timer whose key is this element's index is in the heap.
    position: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    deadline: Duration,
    key: u16,
}

/// At most one deadline for each key below a fixed number, the earliest at hand: a binary heap that knows where each key is.
///
/// All operations take logarithmic time at most.
#[derive(Debug)]
pub struct DeadlineQueue<C> {
    cells: C,
    len: usize,
}

impl<C: DerefMut<Target = [TimerCell]>> DeadlineQueue<C> {
    /// An empty queue in `cells`, whose number is the number of keys.
    pub fn new(mut cells: C) -> Self {
        cells.fill(TimerCell::default());
        Self { cells, len: 0 }
    }

    /// How many keys there are.
    pub fn capacity(&self) -> usize {
        self.cells.len()
    }

    /// The earliest deadline and its key.
    pub fn first(&self) -> Option<(Duration, u16)> {
        let cell = self.cells.first().filter(|_| self.len > 0)?;
        Some((cell.node.deadline, cell.node.key))
    }

    /// Gives `key` a deadline, or takes it away. Keys that there are not have none.
    pub fn set(&mut self, key: u16, deadline: Option<Duration>) {
        let Some(cell) = self.cells.get(usize::from(key)) else {
            return;
        };
        match (cell.position.map(usize::from), deadline) {
            (None, None) => {}
            (None, Some(deadline)) => {
                let place = self.len;
                self.len += 1;
                self.put(place, Node { deadline, key });
                self.sift_up(place);
            }
            (Some(place), Some(deadline)) => {
                self.put(place, Node { deadline, key });
                self.restore(place);
            }
            (Some(place), None) => {
                self.cells[usize::from(key)].position = None;
                self.len -= 1;
                if place < self.len {
                    self.put(place, self.cells[self.len].node);
                    self.restore(place);
                }
            }
        }
    }

    fn put(&mut self, place: usize, node: Node) {
        self.cells[place].node = node;
        // Places are below the number of cells, which keys of 16 bits number.
        self.cells[usize::from(node.key)].position = u16::try_from(place).ok();
    }

    fn restore(&mut self, place: usize) {
        let place = self.sift_up(place);
        self.sift_down(place);
    }

    fn sift_up(&mut self, mut place: usize) -> usize {
        let node = self.cells[place].node;
        while place > 0 {
            let parent = (place - 1) / 2;
            let above = self.cells[parent].node;
            if above <= node {
                break;
            }
            self.put(place, above);
            place = parent;
        }
        self.put(place, node);
        place
    }

    fn sift_down(&mut self, mut place: usize) {
        let node = self.cells[place].node;
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.len);
            let Some(child) = children.min_by_key(|child| self.cells[*child].node) else {
                break;
            };
            let below = self.cells[child].node;
            if node <= below {
                break;
            }
            self.put(place, below);
            place = child;
        }
        self.put(place, node);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    const KEYS: u16 = 24;

    #[test]
    fn timeout_codes_are_those_of_ibta() {
        assert_eq!(duration(Timeout::truncated(0)), Duration::from_nanos(4_096));
        assert_eq!(
            duration(Timeout::truncated(20)),
            Duration::from_nanos(4_294_967_296)
        );
        assert_eq!(duration(Timeout::MAX).as_secs(), 8_796);
    }

    proptest! {
        #[test]
        fn the_queue_is_a_sorted_set(
            steps in prop::collection::vec((0..KEYS + 2, prop::option::of(0_u64..50)), 0..200)
        ) {
            let mut queue = DeadlineQueue::new(vec![TimerCell::default(); KEYS.into()]);
            let mut model = BTreeSet::new();
            for (key, deadline) in steps {
                let deadline = deadline.map(Duration::from_secs);
                queue.set(key, deadline);
                model.retain(|(_, other)| *other != key);
                model.extend(deadline.filter(|_| key < KEYS).map(|deadline| (deadline, key)));
                prop_assert_eq!(queue.first(), model.first().copied());
            }
            while let Some((deadline, key)) = queue.first() {
                prop_assert_eq!(model.pop_first(), Some((deadline, key)));
                queue.set(key, None);
            }
            prop_assert!(model.is_empty());
        }
    }
}
