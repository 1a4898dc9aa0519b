//! The event queue: a lazy radix queue with pooled chunks.
//!
//! Pending entries lie in three places.
//!
//! - The **wheel**: one slot per (level, digit), eight levels of 256 slots. An entry goes to the
//!   level of the highest byte in which its time differs from the reference time `cur`, and to
//!   the slot of that byte. A slot is an unsorted list of chunks, so that a push is one write.
//! - The **bottom**: a small array in descending order that owns every time up to `bottom_last`.
//!   A pop takes its last element. When it is empty, the first slot of the wheel either fits
//!   into it or is spread over the levels below.
//! - The **side heap**: empty in ordinary runs. It bounds the cost of what the bottom can
//!   neither hold nor give back (see `push_near`).
//!
//! An entry moves at most once per byte of its distance, whatever the law of the increments:
//! there is no bucket width to choose or to adapt. A crowded bottom adds a constant number of
//! moves per push, because at least `CHUNK` pushes pass before one is given back. The order of pops depends on the entries
//! alone, so that replacing the queue by a sorted list changes no result.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// One entry: 16 bytes, `Copy`. Ordered by `(time_ns, key)`; both by value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Entry {
    /// Simulated time of the event.
    pub time_ns: u64,
    /// What happens, encoded such that its order breaks ties in time.
    pub key: u64,
}

const _: () = assert!(size_of::<Entry>() == 16);

impl Entry {
    const ZERO: Self = Self { time_ns: 0, key: 0 };

    /// The order as one integer: two machine instructions to compare, and no branch.
    const fn rank(self) -> u128 {
        (self.time_ns as u128) << 64 | self.key as u128
    }
}

/// Entries per chunk; also the largest slot that is sorted rather than spread. Measured: 32
/// keeps both the slack of half-filled chunks and the number of refills low.
const CHUNK: usize = 32;
/// Above this length the bottom is given back to the wheel. Without a bound, the insertions of
/// a block flood cost microseconds each. Twice `CHUNK`, so that a refill is not undone at once.
const BOTTOM_MAX: usize = 2 * CHUNK;
/// Bits per digit, and slots per level.
const DIGIT_BITS: u32 = 8;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Slots of all levels in one row: `level * DIGITS + digit`.
const SLOTS: usize = DIGITS * (u64::BITS / DIGIT_BITS) as usize;
/// Words of the occupancy map; one bit each in its `u32` summary.
const WORDS: usize = SLOTS / u64::BITS as usize;
const _: () = assert!(WORDS == u32::BITS as usize);
/// No chunk.
const NIL: u32 = u32::MAX;

type Chunk = [Entry; CHUNK];

/// All chunks of all slots, linked by index; free ones are linked too and reused first.
struct Pool {
    chunks: Vec<Chunk>,
    /// The chunk after this one, in its slot or in the free list.
    next: Vec<u32>,
    free: u32,
}

impl Pool {
    const fn new() -> Self {
        Self {
            chunks: Vec::new(),
            next: Vec::new(),
            free: NIL,
        }
    }

    /// A chunk whose successor is `next`.
    fn take(&mut self, next: u32) -> u32 {
        if self.free == NIL {
            self.grow();
        }
        let id = self.free;
        self.free = std::mem::replace(&mut self.next[id as usize], next);
        id
    }

    /// Takes the first chunk off a slot; also says how many entries it has. It must be freed.
    fn pop_chunk(&self, slot: &mut Slot) -> Option<(u32, usize)> {
        let len = (slot.len.checked_sub(1)? as usize) % CHUNK + 1;
        slot.len -= len as u32;
        let id = slot.head;
        slot.head = self.next[id as usize];
        Some((id, len))
    }

    /// Lets a chunk be used again, next of all: it is still in cache.
    fn free(&mut self, id: u32) {
        self.next[id as usize] = std::mem::replace(&mut self.free, id);
    }

    /// Adds one chunk to the free list. Capacity grows by an eighth instead of doubling: at a
    /// million pending entries the pool is nearly all of the queue's memory.
    #[cold]
    fn grow(&mut self) {
        let len = self.chunks.len();
        if len == self.chunks.capacity() {
            self.chunks.reserve_exact(len / 8 + 16);
            self.next.reserve_exact(len / 8 + 16);
        }
        self.chunks.push([Entry::ZERO; CHUNK]);
        self.next.push(self.free);
        self.free = u32::try_from(len).expect("fewer than 2^32 chunks");
    }
}

/// A list of chunks, all full but the first.
#[derive(Clone, Copy)]
struct Slot {
    head: u32,
    len: u32,
}

impl Slot {
    const EMPTY: Self = Self { head: NIL, len: 0 };
}

struct Wheel {
    /// The reference time; no entry of the wheel is earlier. It only grows, and only to a time
    /// that leaves every entry in the slot where it is.
    cur: u64,
    slots: Box<[Slot; SLOTS]>,
    /// Bit `s % 64` of word `s / 64`: slot `s` is not empty.
    occupied: [u64; WORDS],
    /// Bit `w`: word `w` of `occupied` is not zero.
    summary: u32,
    pool: Pool,
}

impl Wheel {
    fn new() -> Self {
        let slots = vec![Slot::EMPTY; SLOTS].try_into();
        Self {
            cur: 0,
            slots: slots.unwrap_or_else(|_| unreachable!("the length is SLOTS")),
            occupied: [0; WORDS],
            summary: 0,
            pool: Pool::new(),
        }
    }

    /// Puts an entry, not earlier than `cur`, into its slot.
    #[inline]
    fn place(&mut self, entry: Entry) {
        // Equal times count as different in the lowest byte.
        let level = (entry.time_ns ^ self.cur | 1).ilog2() / DIGIT_BITS;
        let digit = (entry.time_ns >> (level * DIGIT_BITS)) as usize % DIGITS;
        let index = level as usize * DIGITS + digit;
        let slot = &mut self.slots[index];
        let at = slot.len as usize % CHUNK;
        if at == 0 {
            slot.head = self.pool.take(slot.head);
            self.occupied[index / 64] |= 1 << (index % 64);
            self.summary |= 1 << (index / 64);
        }
        slot.len += 1;
        self.pool.chunks[slot.head as usize][at] = entry;
    }

    /// Takes the first slot out of the wheel, if it begins no later than at `last`, and moves `cur`
    /// to its start. Returns the slot and its level.
    fn take_first(&mut self, last: u64) -> Option<(Slot, u32)> {
        if self.summary == 0 {
            return None;
        }
        let word = self.summary.trailing_zeros() as usize;
        let index = word * 64 + self.occupied[word].trailing_zeros() as usize;
        let level = (index / DIGITS) as u32;
        let shift = level * DIGIT_BITS;
        let above = (self.cur >> shift) & !(DIGITS as u64 - 1);
        let start = (above | (index % DIGITS) as u64) << shift;
        if start > last {
            return None;
        }
        self.cur = start;
        self.occupied[word] &= self.occupied[word] - 1;
        if self.occupied[word] == 0 {
            self.summary &= self.summary - 1;
        }
        let slot = std::mem::replace(&mut self.slots[index], Slot::EMPTY);
        Some((slot, level))
    }

    /// Places the entries of a slot again, one or more levels below.
    fn spread(&mut self, mut slot: Slot) {
        while let Some((chunk, len)) = self.pool.pop_chunk(&mut slot) {
            for i in 0..len {
                self.place(self.pool.chunks[chunk as usize][i]);
            }
            self.pool.free(chunk);
        }
    }
}

/// A priority queue of entries, for time that does not run backwards.
pub struct Queue {
    /// Time of the last popped entry.
    now: u64,
    len: usize,
    /// Descending; together with `side` every pending entry up to `bottom_last`.
    bottom: Vec<Entry>,
    bottom_last: u64,
    side: BinaryHeap<Reverse<Entry>>,
    /// Every pending entry after `bottom_last`, which is never before `wheel.cur`.
    wheel: Wheel,
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl Queue {
    /// An empty queue at time zero.
    pub fn new() -> Self {
        Self {
            now: 0,
            len: 0,
            bottom: Vec::with_capacity(BOTTOM_MAX + 1),
            bottom_last: 0,
            side: BinaryHeap::new(),
            wheel: Wheel::new(),
        }
    }

    /// The number of pending entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is pending.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an entry; equal entries are kept apart.
    ///
    /// # Panics
    ///
    /// If the entry is earlier than the last popped one. At the same time, any key is legal.
    #[inline]
    pub fn push(&mut self, entry: Entry) {
        assert!(
            entry.time_ns >= self.now,
            "event at {} ns pushed when the time is {} ns",
            entry.time_ns,
            self.now
        );
        self.len += 1;
        if entry.time_ns > self.bottom_last {
            self.wheel.place(entry);
        } else {
            self.push_near(entry);
        }
    }

    /// Removes the least entry by `(time_ns, key)`.
    #[inline]
    pub fn pop(&mut self) -> Option<Entry> {
        self.pop_until(u64::MAX)
    }

    /// Removes the least entry, if its time is no later than `last`. Who asks so has something else to
    /// do next: where a `peek` looks as far ahead as the next entry, this looks no further than that.
    #[inline]
    pub fn pop_until(&mut self, last: u64) -> Option<Entry> {
        if self.bottom.is_empty() || !self.side.is_empty() {
            self.prepare(last);
        }
        let entry = self.bottom.pop_if(|entry| entry.time_ns <= last)?;
        self.len -= 1;
        self.now = entry.time_ns;
        Some(entry)
    }

    /// The next entry, if it is of the time of the last popped one.
    #[inline]
    pub fn peek_now(&mut self) -> Option<Entry> {
        // The bottom owns all entries of a time or none, and it owned the popped one.
        if !self.side.is_empty() {
            self.prepare(self.now);
        }
        let next = self.bottom.last().copied();
        next.filter(|entry| entry.time_ns == self.now)
    }

    /// Says that it is `now`, as if an entry of that time had been popped. None may be earlier.
    pub fn advance_to(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// The entry that the next `pop` returns unless a lesser one is pushed before.
    #[inline]
    pub fn peek(&mut self) -> Option<Entry> {
        if self.bottom.is_empty() || !self.side.is_empty() {
            self.prepare(u64::MAX);
        }
        self.bottom.last().copied()
    }

    /// Inserts an entry that the bottom owns.
    ///
    /// A full bottom first gives all later than `now` back to the wheel. Two cases forbid that
    /// and go to the side heap: the bottom is one single time, which no slot can divide; or a
    /// `peek` has moved `cur` past `now`, so that the wheel has no slots for the times between.
    #[inline(never)]
    fn push_near(&mut self, entry: Entry) {
        if self.bottom.len() >= BOTTOM_MAX {
            if self.wheel.cur > self.now || self.bottom_last == self.now {
                self.side.push(Reverse(entry));
                return;
            }
            self.give_back();
            if entry.time_ns > self.bottom_last {
                self.wheel.place(entry);
                return;
            }
        }
        let rank = entry.rank();
        let at = self.bottom.partition_point(|pending| pending.rank() > rank);
        self.bottom.insert(at, entry);
    }

    /// Returns all entries later than `now` to the wheel, relative to `now`.
    ///
    /// From `cur` to `bottom_last` is one slot, and `now` lies in it. Every entry of the wheel
    /// differs from all times of that slot in the same highest byte, and stays in its place.
    /// The side heap is searched too, or it would hold entries that the bottom no longer owns.
    fn give_back(&mut self) {
        let (now, wheel) = (self.now, &mut self.wheel);
        wheel.cur = now;
        self.bottom_last = now;
        let mut is_kept = |entry: Entry| {
            if entry.time_ns > now {
                wheel.place(entry);
            }
            entry.time_ns == now
        };
        self.bottom.retain(|&entry| is_kept(entry));
        self.side.retain(|&Reverse(entry)| is_kept(entry));
    }

    /// Makes the last element of the bottom the least pending entry, if there is one no later than
    /// `last`.
    #[inline(never)]
    fn prepare(&mut self, last: u64) {
        let Some(&Reverse(least)) = self.side.peek() else {
            return self.refill(last);
        };
        if self.bottom.last().is_none_or(|&last| least < last) {
            self.side.pop();
            self.bottom.push(least);
        }
    }

    /// Fills the empty bottom from the first slots of the wheel.
    fn refill(&mut self, last: u64) {
        while let Some((mut slot, level)) = self.wheel.take_first(last) {
            if level == 0 || slot.len as usize <= CHUNK {
                self.bottom_last = self.wheel.cur | ((1 << (level * DIGIT_BITS)) - 1);
                while let Some((chunk, len)) = self.wheel.pool.pop_chunk(&mut slot) {
                    let entries = &self.wheel.pool.chunks[chunk as usize][..len];
                    self.bottom.extend_from_slice(entries);
                    self.wheel.pool.free(chunk);
                }
                return self
                    .bottom
                    .sort_unstable_by_key(|entry| Reverse(entry.rank()));
            }
            self.wheel.spread(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    const fn entry(time_ns: u64, key: u64) -> Entry {
        Entry { time_ns, key }
    }

    /// `SplitMix64`: the draws of the long runs.
    struct Draws(u64);

    impl Draws {
        const fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    /// The laws of the distance between a push and the time of the last pop.
    #[derive(Clone, Copy, Debug)]
    enum Law {
        Exponential,
        Constant,
        Mixed,
        Ties,
        Bursts,
        AllEqual,
        LogUniform,
        PowersOfTwo,
        Flood,
        /// Between the last pop and the next one, which a `peek` has already prepared.
        Early,
    }

    const LAWS: [Law; 10] = [
        Law::Exponential,
        Law::Constant,
        Law::Mixed,
        Law::Ties,
        Law::Bursts,
        Law::AllEqual,
        Law::LogUniform,
        Law::PowersOfTwo,
        Law::Flood,
        Law::Early,
    ];

    /// Exponential with straight lines between the powers of two of its survival function.
    const fn exponential(mean: u64, raw: u64) -> u64 {
        let halvings = raw.trailing_zeros() as u64;
        (halvings * 1024 + (raw >> 54)) * (mean / 1478)
    }

    /// The queue and its oracle, a standard heap, driven side by side.
    struct Pair {
        queue: Queue,
        model: BinaryHeap<Reverse<Entry>>,
        now: u64,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                queue: Queue::new(),
                model: BinaryHeap::new(),
                now: 0,
            }
        }

        fn push(&mut self, entry: Entry) {
            self.queue.push(entry);
            self.model.push(Reverse(entry));
        }

        fn pop(&mut self) -> Option<Entry> {
            let expected = self.model.pop().map(|Reverse(entry)| entry);
            assert_eq!(self.queue.pop(), expected);
            assert_eq!(self.queue.len(), self.model.len());
            assert_eq!(self.queue.is_empty(), self.model.is_empty());
            self.now = expected.map_or(self.now, |entry| entry.time_ns);
            expected
        }

        fn peek(&mut self) -> Option<Entry> {
            let expected = self.model.peek().map(|&Reverse(entry)| entry);
            assert_eq!(self.queue.peek(), expected);
            expected
        }

        /// Something else is due at `last + 1`, or an entry before.
        fn pop_until(&mut self, last: u64) {
            let next = self.model.peek().map(|e| e.0);
            if next.is_some_and(|e| e.time_ns <= last) {
                let expected = self.model.pop().map(|e| e.0);
                assert_eq!(self.queue.pop_until(last), expected);
                self.now = self.queue.now;
                let tied = self.model.peek().filter(|e| e.0.time_ns == self.now);
                assert_eq!(self.queue.peek_now(), tied.map(|e| e.0));
            } else {
                assert_eq!(self.queue.pop_until(last), None);
                self.now = last.saturating_add(1);
                self.queue.advance_to(self.now);
            }
        }

        fn drain(&mut self) {
            while self.pop().is_some() {}
            assert_eq!(self.peek(), None);
        }

        fn distance(&mut self, law: Law, raw: u64) -> u64 {
            match law {
                Law::Exponential => exponential(50 * MS, raw),
                Law::Constant => 50 * MS + raw % MS,
                Law::Mixed => match raw >> 32 & 63 {
                    0 => exponential(600_000 * MS, raw),
                    1..=5 => 1_000 * MS + raw % (9_000 * MS),
                    _ => 5 * MS + raw % (295 * MS),
                },
                Law::Ties => raw % 4 * MS,
                Law::Bursts => 100 * MS - self.now % (100 * MS) + raw % 3,
                Law::AllEqual => 0,
                Law::LogUniform => (raw | 1 << 63) >> (raw & 63),
                Law::PowersOfTwo => 1 << (raw % 64),
                Law::Flood => 10 * MS + raw % (190 * MS),
                Law::Early => match self.peek() {
                    Some(next) if raw & 7 != 0 => raw % (next.time_ns - self.now + 1),
                    _ => exponential(50 * MS, raw >> 3),
                },
            }
        }

        fn push_by(&mut self, law: Law, raw: u64) {
            let time_ns = self.now.saturating_add(self.distance(law, raw));
            // Few keys, so that equal entries occur.
            self.push(entry(time_ns, raw % 16));
        }

        /// One operation, chosen by `kind`.
        fn step(&mut self, law: Law, kind: u8, raw: u64) {
            let mut draws = Draws(raw);
            match kind {
                0..=99 => self.push_by(law, raw),
                100..=209 => {
                    let popped = self.pop().is_some();
                    if popped && matches!(law, Law::Flood) && self.model.len() < 500 {
                        (0..15).for_each(|_| self.push_by(law, draws.next()));
                    }
                }
                210..=219 => {
                    self.peek();
                }
                220..=229 => {
                    let last = self.now.saturating_add(self.distance(law, raw) / 2);
                    self.pop_until(last);
                }
                230..=239 => self.push(entry(self.now, raw % 16)),
                240..=249 => (0..raw % 200).for_each(|_| self.push_by(law, draws.next())),
                250..=254 => {
                    (0..raw % 200).for_each(|_| {
                        self.pop();
                    });
                }
                255 => self.drain(),
            }
        }
    }

    proptest! {
        #[test]
        fn pops_what_a_heap_pops(
            law in prop::sample::select(&LAWS[..]),
            steps in prop::collection::vec((any::<u8>(), any::<u64>()), 0..1_000),
        ) {
            let mut pair = Pair::new();
            for (kind, raw) in steps {
                pair.step(law, kind, raw);
            }
            pair.drain();
        }

        #[test]
        fn laws_may_change_at_each_step(
            steps in prop::collection::vec(
                (prop::sample::select(&LAWS[..]), any::<u8>(), any::<u64>()),
                0..1_000,
            ),
        ) {
            let mut pair = Pair::new();
            for (law, kind, raw) in steps {
                pair.step(law, kind, raw);
            }
            pair.drain();
        }
    }

    #[test]
    fn holds_pop_what_a_heap_pops() {
        for law in LAWS {
            for pending in [1, 33, 2_000] {
                let (mut pair, mut draws) = (Pair::new(), Draws(pending));
                (0..pending).for_each(|_| pair.push_by(law, draws.next()));
                for _ in 0..20_000 {
                    pair.pop();
                    pair.push_by(law, draws.next());
                }
                pair.drain();
            }
        }
    }

    #[test]
    fn empty_queue_has_nothing() {
        let mut queue = Queue::default();
        assert!(queue.is_empty());
        assert_eq!((queue.len(), queue.peek(), queue.pop()), (0, None, None));
    }

    #[test]
    fn key_breaks_ties_in_time() {
        let mut queue = Queue::new();
        for (time_ns, key) in [(7, 2), (5, u64::MAX), (7, 1), (5, 0)] {
            queue.push(entry(time_ns, key));
        }
        let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(
            popped,
            [entry(5, 0), entry(5, u64::MAX), entry(7, 1), entry(7, 2)]
        );
    }

    #[test]
    fn lesser_key_at_the_time_of_the_last_pop_is_next() {
        let mut queue = Queue::new();
        queue.push(entry(100, 5));
        queue.push(entry(100, 9));
        assert_eq!(queue.pop(), Some(entry(100, 5)));
        queue.push(entry(100, 1));
        assert_eq!(queue.pop(), Some(entry(100, 1)));
        assert_eq!(queue.pop(), Some(entry(100, 9)));
    }

    #[test]
    #[should_panic(expected = "event at 99 ns pushed when the time is 100 ns")]
    fn push_into_the_past_panics() {
        let mut queue = Queue::new();
        queue.push(entry(100, 0));
        queue.pop();
        queue.push(entry(99, 0));
    }

    #[test]
    fn push_before_a_peeked_entry_is_next() {
        let mut pair = Pair::new();
        (0..100).for_each(|key| pair.push(entry(1 << 40 | key << 8, key)));
        // The peek spreads slots; each later push lies before all of them.
        for time_ns in (1..500).rev() {
            assert!(pair.peek().is_some_and(|next| next.time_ns > time_ns));
            pair.push(entry(time_ns, 0));
        }
        assert!(!pair.queue.side.is_empty());
        pair.drain();
    }

    #[test]
    fn side_heap_goes_back_with_a_crowded_bottom() {
        let (mut pair, start) = (Pair::new(), 1 << 16);
        pair.push(entry(start, 0));
        pair.peek();
        (1..BOTTOM_MAX as u64).for_each(|i| pair.push(entry(start + 100 + i, 0)));
        pair.push(entry(start + 50, 0));
        assert_eq!(
            pair.queue.side.len(),
            1,
            "the bottom is full and its slot not yet reached"
        );
        pair.pop();
        pair.push(entry(start + 2_000, 0));
        pair.push(entry(start + 10, 0));
        assert!(pair.queue.side.is_empty() && pair.queue.bottom.is_empty());
        pair.drain();
    }

    #[test]
    fn crowded_bottom_is_given_back() {
        let mut pair = Pair::new();
        pair.push(entry(1 << 24, 0));
        pair.push(entry((1 << 24) + (1 << 23), 0));
        pair.pop();
        let mut draws = Draws(1);
        for _ in 0..10_000 {
            pair.push(entry(pair.now + draws.next() % (1 << 22), 0));
            assert!(pair.queue.bottom.len() <= BOTTOM_MAX);
        }
        assert!(pair.queue.side.is_empty());
        pair.drain();
    }

    #[test]
    fn one_time_for_all() {
        let (mut pair, mut draws) = (Pair::new(), Draws(2));
        (0..5_000).for_each(|_| pair.push(entry(1 << 33, draws.next())));
        for _ in 0..2_000 {
            pair.pop();
            pair.push(entry(pair.now, draws.next()));
        }
        assert!(pair.queue.side.len() > 1_000);
        pair.drain();
        pair.push(entry(pair.now, 3));
        pair.push(entry(pair.now + 1, 2));
        pair.drain();
    }

    #[test]
    fn ends_of_time_and_gaps() {
        let mut pair = Pair::new();
        for shift in 0..64 {
            pair.push(entry(1 << shift, shift));
            pair.push(entry(u64::MAX >> shift, shift));
        }
        for key in 0..200 {
            pair.push(entry(u64::MAX, key));
            pair.push(entry(u64::MAX - 1, key));
        }
        for _ in 0..64 {
            pair.pop();
            pair.push(entry(u64::MAX, 7));
        }
        pair.drain();
        assert_eq!(pair.now, u64::MAX);
        (0..200).for_each(|key| pair.push(entry(u64::MAX, key)));
        pair.drain();
    }

    #[test]
    fn bursts_leave_an_empty_queue_that_works_again() {
        let (mut pair, mut draws) = (Pair::new(), Draws(3));
        for round in 0..20 {
            for _ in 0..1_000 {
                pair.push(entry(
                    pair.now + (draws.next() >> (12 + round)),
                    draws.next(),
                ));
            }
            pair.drain();
        }
        let pool = &pair.queue.wheel.pool;
        let free =
            std::iter::successors(Some(pool.free), |&id| pool.next.get(id as usize).copied())
                .take_while(|&id| id != NIL);
        assert_eq!(free.count(), pool.chunks.len(), "every chunk is free again");
    }

    /// Chunks, and the capacities of everything that can grow.
    fn footprint(queue: &Queue) -> [usize; 5] {
        let pool = &queue.wheel.pool;
        [
            pool.chunks.len(),
            pool.chunks.capacity(),
            pool.next.capacity(),
            queue.bottom.capacity(),
            queue.side.capacity(),
        ]
    }

    #[test]
    fn steady_state_does_not_allocate() {
        for law in [
            Law::Exponential,
            Law::Constant,
            Law::Mixed,
            Law::Ties,
            Law::Bursts,
        ] {
            let (mut queue, mut pair, mut draws) = (Queue::new(), Pair::new(), Draws(4));
            let mut hold = |holds: usize| {
                for _ in 0..holds {
                    if queue.len() == 3_000 {
                        pair.now = queue.pop().map_or(0, |entry| entry.time_ns);
                    }
                    let raw = draws.next();
                    queue.push(entry(pair.now + pair.distance(law, raw), raw));
                }
                footprint(&queue)
            };
            let [warm, later] = [hold(2_000_000), hold(2_000_000)];
            assert_eq!(warm[1..], later[1..], "{law:?}");
            assert!(
                warm[0] < 3_000 / CHUNK + 2 * DIGITS,
                "{law:?}: {} chunks",
                warm[0]
            );
        }
    }
}
