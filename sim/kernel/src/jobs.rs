//! What queue entries stand for, in two sizes: the messages of a flood, most of all events, take 16
//! bytes, so that those in flight stay in the cache.

use crate::sim::Job;
use crate::slab::Slab;
use crate::wire::{Packet, Payload};
use quorate_core::{BlockId, Engine, Input, NodeId, Span};

/// A message of the relay, or the body that it brought, once checked.
#[derive(Clone, Copy)]
struct Brief {
    from: NodeId,
    block: BlockId,
    /// Of the message; the node's epoch for what was checked.
    bytes: u32,
    what: What,
}

const _: () = assert!(size_of::<Brief>() == 16);

#[derive(Clone, Copy)]
enum What {
    Inv { compact: bool },
    GetData { compact: bool },
    Body,
    Compact,
    Checked,
}

impl Brief {
    #[inline]
    fn of<E: Engine>(job: &Job<E>) -> Option<Self> {
        let (from, bytes, block, what) = match *job {
            Job::Packet(packet) if packet.check.is_zero() => {
                let (block, what) = match packet.payload {
                    Payload::Inv { block, compact } => (block, What::Inv { compact }),
                    Payload::GetData { block, compact } => (block, What::GetData { compact }),
                    Payload::Body(block) => (block, What::Body),
                    Payload::Compact(block) => (block, What::Compact),
                    _ => return None,
                };
                (packet.from, u32::try_from(packet.bytes).ok()?, block, what)
            }
            Job::Served {
                epoch,
                input: Input::Body { block, from },
            } => (from, epoch, block, What::Checked),
            _ => return None,
        };
        Some(Self {
            from,
            block,
            bytes,
            what,
        })
    }

    #[inline]
    fn job<E: Engine>(self) -> Job<E> {
        let Self {
            from, block, bytes, ..
        } = self;
        let payload = match self.what {
            What::Inv { compact } => Payload::Inv { block, compact },
            What::GetData { compact } => Payload::GetData { block, compact },
            What::Body => Payload::Body(block),
            What::Compact => Payload::Compact(block),
            What::Checked => {
                return Job::Served {
                    epoch: bytes,
                    input: Input::Body { block, from },
                };
            }
        };
        Job::Packet(Packet {
            from,
            payload,
            bytes: u64::from(bytes),
            check: Span::ZERO,
        })
    }
}

/// All that is queued, by slot.
pub(crate) struct Jobs<E: Engine> {
    brief: Slab<Brief>,
    other: Slab<Job<E>>,
}

/// Tells the slots of the brief apart.
const BRIEF: u32 = 1 << 31;

impl<E: Engine> Jobs<E> {
    pub(crate) const fn new() -> Self {
        Self {
            brief: Slab::new(),
            other: Slab::new(),
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, job: Job<E>) -> u32 {
        match Brief::of(&job) {
            Some(brief) => self.brief.insert(brief) | BRIEF,
            None => self.other.insert(job),
        }
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Job<E> {
        if slot & BRIEF > 0 {
            self.brief.get(slot & !BRIEF).job()
        } else {
            *self.other.get(slot)
        }
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: u32) -> Job<E> {
        if slot & BRIEF > 0 {
            self.brief.remove(slot & !BRIEF).job()
        } else {
            self.other.remove(slot)
        }
    }

    /// Places, whether taken or free.
    pub(crate) const fn len(&self) -> usize {
        self.brief.len() + self.other.len()
    }
}
