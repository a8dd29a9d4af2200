//! A fair queue: one line per owner, served in turns, so that nobody waits behind all items of another owner.

use std::collections::VecDeque;

/// Items waiting in their owners' lines.
pub struct Turns<O, T> {
    /// The next turn is the first line's; no line is empty.
    lines: VecDeque<(O, VecDeque<T>)>,
}

impl<O, T> Default for Turns<O, T> {
    fn default() -> Self {
        Self { lines: VecDeque::new() }
    }
}

impl<O: Copy + PartialEq, T> Turns<O, T> {
    /// Appends an item to its owner's line.
    pub fn push(&mut self, owner: O, item: T) {
        match self.lines.iter_mut().find(|(other, _)| *other == owner) {
            Some((_, line)) => line.push_back(item),
            None => self.lines.push_back((owner, VecDeque::from([item]))),
        }
    }

    /// Takes the next item.
    pub fn pop(&mut self) -> Option<T> {
        let (owner, mut line) = self.lines.pop_front()?;
        let item = line.pop_front();
        if !line.is_empty() {
            self.lines.push_back((owner, line));
        }
        item
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.lines.iter().map(|(_, line)| line.len()).sum()
    }

    /// Number of items before the one for which `is` is true.
    pub fn position(&self, is: impl Fn(&T) -> bool) -> Option<usize> {
        let longest = self.lines.iter().map(|(_, line)| line.len()).max()?;
        let in_order =
            (0..longest).flat_map(|turn| self.lines.iter().filter_map(move |(_, line)| line.get(turn)));
        in_order.into_iter().position(is)
    }

    /// Keeps only the items for which `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        for (_, line) in &mut self.lines {
            line.retain(&keep);
        }
        self.lines.retain(|(_, line)| !line.is_empty());
    }

    /// Takes all items.
    pub fn drain(&mut self) -> Vec<T> {
        self.lines.drain(..).flat_map(|(_, line)| line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_take_turns() {
        let mut turns = Turns::default();
        for (owner, item) in [('a', 1), ('a', 2), ('a', 3), ('b', 4), ('c', 5), ('b', 6)] {
            turns.push(owner, item);
        }
        let order = [1, 4, 5, 2, 6, 3];
        for (expected, item) in order.iter().enumerate() {
            assert_eq!(turns.position(|other| other == item), Some(expected));
        }
        assert_eq!((turns.position(|&item| item == 9), turns.len()), (None, 6));
        for item in order {
            assert_eq!(turns.pop(), Some(item));
        }
        assert_eq!((turns.pop(), turns.len()), (None, 0));
    }

    #[test]
    fn items_leave() {
        let mut turns = Turns::default();
        for (owner, item) in [('a', 1), ('b', 2), ('a', 3)] {
            turns.push(owner, item);
        }
        turns.retain(|&item| item != 2);
        assert_eq!(turns.position(|&item| item == 3), Some(1));
        assert_eq!((turns.drain(), turns.len()), (vec![1, 3], 0));
    }
}
