//! Payloads of queued events, found by a dense slot that is recycled.

pub(crate) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T: Copy> Slab<T> {
    pub(crate) const fn new() -> Self {
        Self {
            items: Vec::new(),
            free: Vec::new(),
        }
    }

    pub(crate) fn insert(&mut self, item: T) -> u32 {
        if let Some(slot) = self.free.pop() {
            self.items[slot as usize] = item;
            return slot;
        }
        self.items.push(item);
        self.items.len() as u32 - 1
    }

    /// Places, whether taken or free.
    pub(crate) const fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn get(&self, slot: u32) -> &T {
        &self.items[slot as usize]
    }

    pub(crate) fn remove(&mut self, slot: u32) -> T {
        self.free.push(slot);
        self.items[slot as usize]
    }
}
