//! Objects by number: the lowest number that is free is given first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A table of up to `max` objects whose numbers begin at `first`.
pub(crate) struct Table<T> {
    first: u32,
    max: u32,
    slots: Vec<Slot<T>>,
    free: BinaryHeap<Reverse<u32>>,
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
            len: 0,
        }
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
        let number = if let Some(Reverse(number)) = self.free.pop() {
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
        self.free.push(Reverse(number));
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
    use super::Table;

    #[test]
    fn the_lowest_free_number_is_given_with_a_new_generation() {
        let mut table = Table::new(2, 3);
        let numbers: Vec<_> = (0..3)
            .map(|_| table.insert(|number, generation| (number, generation)))
            .collect();
        assert_eq!(numbers, [Some(2), Some(3), Some(4)]);
        assert!(table.is_full());
        assert_eq!(table.insert(|number, generation| (number, generation)), None);
        assert_eq!(table.remove(3), Some((3, 0)));
        assert_eq!(table.remove(3), None);
        assert_eq!(table.remove(2), Some((2, 0)));
        assert_eq!(table.insert(|number, generation| (number, generation)), Some(2));
        assert_eq!(table.get(2), Some(&(2, 1)));
        assert_eq!(table.iter_mut().count(), 2);
        assert_eq!((table.get(1), table.get(u32::MAX)), (None, None));
    }
}
