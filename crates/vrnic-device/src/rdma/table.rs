//! Objects by number: the lowest number that is free is given first, or the one that has been free for longest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A table of up to `max` objects whose numbers begin at `first`.
pub(crate) struct Table<T> {
    first: u32,
    max: u32,
    slots: Vec<Slot<T>>,
    /// Numbers that were used before, behind what orders them.
    free: BinaryHeap<Reverse<(u64, u32)>>,
    /// So many numbers are free before one is given again, unless there are no more. 0: the lowest is given at once.
    spare: usize,
    /// Objects that have been removed.
    removed: u64,
    len: u32,
}

struct Slot<T> {
    object: Option<T>,
    /// How often the number has been used before, modulo 2^8.
    generation: u8,
}

impl<T> Table<T> {
    /// An empty table.
    pub const fn new(first: u32, max: u32) -> Self {
        Self {
            first,
            max,
            slots: Vec::new(),
            free: BinaryHeap::new(),
            spare: 0,
            removed: 0,
            len: 0,
        }
    }

    /// An empty table that does not give a number again soon: with its generation a number can be that of an earlier object only after
    /// `spare` times 2^8 others.
    pub const fn rotating(first: u32, max: u32, spare: usize) -> Self {
        let mut table = Self::new(first, max);
        table.spare = spare;
        table
    }

    /// Whether there is no object.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there can be no more objects.
    pub const fn is_full(&self) -> bool {
        self.len == self.max
    }

    /// Puts in the object that `make` makes of its number and the number's generation. None if the table is full.
    pub fn insert(&mut self, make: impl FnOnce(u32, u8) -> T) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        let grows = self.free.len() < self.spare && self.end() - self.first < self.max;
        let used = if grows { None } else { self.free.pop() };
        let number = if let Some(Reverse((_, number))) = used {
            number
        } else {
            self.slots.push(Slot {
                object: None,
                generation: 0,
            });
            self.end() - 1
        };
        let slot = self.slot_mut(number)?;
        slot.object = Some(make(number, slot.generation));
        self.len += 1;
        Some(number)
    }

    /// Takes an object out for good: its number is free.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let slot = self.slot_mut(number)?;
        let object = slot.object.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.removed += 1;
        let turn = if self.spare == 0 { 0 } else { self.removed };
        self.free.push(Reverse((turn, number)));
        self.len -= 1;
        Some(object)
    }

    /// The object with that number.
    pub fn get(&self, number: u32) -> Option<&T> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get(at)?.object.as_ref()
    }

    /// The object with that number.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.slot_mut(number)?.object.as_mut()
    }

    /// All objects, with their numbers.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        (self.first..)
            .zip(&mut self.slots)
            .filter_map(|(number, slot)| Some((number, slot.object.as_mut()?)))
    }

    /// A number that is higher than all that are in use.
    pub fn end(&self) -> u32 {
        self.first + u32::try_from(self.slots.len()).unwrap_or(self.max)
    }

    fn slot_mut(&mut self, number: u32) -> Option<&mut Slot<T>> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Table;

    fn insert(table: &mut Table<(u32, u8)>) -> Option<u32> {
        table.insert(|number, generation| (number, generation))
    }

    #[test]
    fn the_lowest_free_number_is_given_with_a_new_generation() {
        let mut table = Table::new(2, 3);
        let numbers: Vec<_> = (0..3).map(|_| insert(&mut table)).collect();
        assert_eq!(numbers, [Some(2), Some(3), Some(4)]);
        assert!(table.is_full());
        assert_eq!(insert(&mut table), None);
        assert_eq!(table.remove(3), Some((3, 0)));
        assert_eq!(table.remove(3), None);
        assert_eq!(table.remove(2), Some((2, 0)));
        assert_eq!(insert(&mut table), Some(2));
        assert_eq!(table.get(2), Some(&(2, 1)));
        assert_eq!(table.iter_mut().count(), 2);
        assert_eq!((table.get(1), table.get(u32::MAX)), (None, None));
    }

    #[test]
    fn a_number_does_not_come_back_soon() {
        let mut table = Table::rotating(0, 1000, 4);
        let mut seen = HashSet::new();
        for _ in 0..4 << 8 {
            let number = insert(&mut table).unwrap();
            assert!(number <= 4);
            assert!(seen.insert(table.remove(number)), "number and generation are new");
        }
    }

    #[test]
    fn all_numbers_can_be_in_use_whatever_is_to_be_spare() {
        let mut table = Table::rotating(0, 2, 4);
        assert_eq!([0; 2].map(|_| insert(&mut table)), [Some(0), Some(1)]);
        assert_eq!(table.remove(0), Some((0, 0)));
        assert_eq!((insert(&mut table), insert(&mut table)), (Some(0), None));
    }
}
