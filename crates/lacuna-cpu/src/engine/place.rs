//! Placement of buffers in the arena: two whose lifetimes do not overlap may use the same memory.

use std::ops::Range;

/// Buffers start at multiples of this many values: a page, so that they have no cache line in common.
const ALIGNMENT: usize = 1024;

/// Handle of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buffer(usize);

#[derive(Clone, Debug)]
struct Request {
    numbers: usize,
    first: usize,
    last: usize,
}

/// Collects requested buffers with their lifetimes.
#[derive(Debug, Default)]
pub(crate) struct Requests(Vec<Request>);

/// The positions of all buffers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    ranges: Vec<Range<usize>>,
    /// Values in the whole arena.
    pub numbers: usize,
}

impl Requests {
    /// Requests a buffer that is first written at moment `first`.
    pub fn buffer(&mut self, numbers: usize, first: usize) -> Buffer {
        self.0.push(Request { numbers, first, last: first });
        Buffer(self.0.len() - 1)
    }

    /// Extends a buffer's lifetime to `moment`.
    pub fn keep(&mut self, buffer: Buffer, moment: usize) {
        let last = &mut self.0[buffer.0].last;
        *last = (*last).max(moment);
    }

    /// Places all buffers: the largest first, each at the lowest position where it overlaps none with an overlapping
    /// lifetime.
    pub fn place(self) -> Places {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|&index| (std::cmp::Reverse(self.0[index].numbers), index));
        let mut ranges: Vec<Option<Range<usize>>> = vec![None; self.0.len()];
        for &index in &order {
            let request = &self.0[index];
            let lives_with = |other: &Request| request.first <= other.last && other.first <= request.last;
            let mut taken: Vec<Range<usize>> = ranges
                .iter()
                .zip(&self.0)
                .filter(|(_, other)| lives_with(other))
                .filter_map(|(range, _)| range.clone())
                .collect();
            taken.sort_by_key(|range| range.start);
            let mut start = 0;
            for range in taken {
                if start + request.numbers <= range.start {
                    break;
                }
                start = start.max(range.end.next_multiple_of(ALIGNMENT));
            }
            ranges[index] = Some(start..start + request.numbers);
        }
        let ranges: Vec<Range<usize>> = ranges.into_iter().flatten().collect();
        let numbers = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        Places { ranges, numbers }
    }
}

impl Places {
    /// The position of a buffer.
    pub fn range(&self, buffer: Buffer) -> Range<usize> {
        self.ranges[buffer.0].clone()
    }

    /// As [`Places::pick`], for buffers of which some may be absent.
    ///
    /// # Panics
    /// As [`Places::pick`].
    pub fn pick_some<'a, const N: usize>(
        &self,
        arena: &'a mut [f32],
        buffers: [Option<Buffer>; N],
    ) -> [Option<&'a mut [f32]>; N] {
        let ranges = buffers.map(|buffer| buffer.map_or(0..0, |buffer| self.range(buffer)));
        let picked = arena.get_disjoint_mut(ranges).expect("buffers that live together lie apart");
        let mut buffers = buffers.iter();
        picked.map(|memory| buffers.next().is_some_and(Option::is_some).then_some(memory))
    }

    /// Borrows several buffers of the arena at once.
    ///
    /// # Panics
    /// If their lifetimes do not overlap.
    pub fn pick<'a, const N: usize>(&self, arena: &'a mut [f32], buffers: [Buffer; N]) -> [&'a mut [f32]; N] {
        arena
            .get_disjoint_mut(buffers.map(|buffer| self.range(buffer)))
            .expect("buffers that live together lie apart")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lives_apart_shares_a_place() {
        let mut requests = Requests::default();
        let a = requests.buffer(3000, 0);
        let b = requests.buffer(2000, 1);
        let c = requests.buffer(2500, 2);
        requests.keep(a, 1);
        requests.keep(b, 2);
        let places = requests.place();
        assert_eq!(places.range(a), 0..3000);
        assert_eq!(places.range(c), 0..2500);
        assert_eq!(places.range(b), 3072..5072);
        assert_eq!(places.numbers, 5072);
        let mut arena = vec![0.0; places.numbers];
        let buffers_b = b;
        let [b, c] = places.pick(&mut arena, [b, c]);
        assert_eq!((b.len(), c.len()), (2000, 2500));
        let [absent, b] = places.pick_some(&mut arena, [None, Some(buffers_b)]);
        assert_eq!((absent.is_none(), b.map(|b| b.len())), (true, Some(2000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_lives_together_lies_apart(lives in prop::collection::vec((1usize..5000, 0usize..20, 0usize..10), 1..40)) {
            let mut requests = Requests::default();
            let buffers: Vec<Buffer> = lives.iter().map(|&(numbers, first, length)| {
                let buffer = requests.buffer(numbers, first);
                requests.keep(buffer, first + length);
                buffer
            }).collect();
            let places = requests.place();
            for (i, &(_, first, length)) in lives.iter().enumerate() {
                for (j, &(_, other_first, other_length)) in lives.iter().enumerate().skip(i + 1) {
                    if first <= other_first + other_length && other_first <= first + length {
                        let (a, b) = (places.range(buffers[i]), places.range(buffers[j]));
                        prop_assert!(a.end <= b.start || b.end <= a.start, "{:?} and {:?}", a, b);
                    }
                }
            }
        }
    }
}
