//! What the generator takes for true about goods: what is in stock, and what waits for its next
//! step. Everything counts when it has settled.

use crate::custody::{Chain, Stage};
use core::ops::Range;
use quorate_core::{Draws, Time};
use std::collections::VecDeque;

/// Something that a later transaction will refer to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Goods {
    /// When it has settled.
    pub(super) ready: Time,
    pub(super) id: u32,
    pub(super) lot: u32,
    /// Who acts next.
    pub(super) site: u16,
    /// Journeys it has behind it.
    pub(super) leg: u16,
    /// Cases on it, if it is a pallet.
    pub(super) cases: u16,
}

/// Goods that wait, the first to settle first.
#[derive(Default)]
pub(super) struct Queue(VecDeque<Goods>);

impl Queue {
    pub(super) fn add(&mut self, goods: Goods) {
        let place = self.0.partition_point(|other| other.ready <= goods.ready);
        self.0.insert(place, goods);
    }

    /// The first, if it has settled.
    pub(super) fn take(&mut self, now: Time) -> Option<Goods> {
        if self.0.front()?.ready > now {
            return None;
        }
        self.0.pop_front()
    }
}

/// Pallets and cases between manufacturer and dispenser; the first of each pair travels as a
/// pallet, the second as a case.
pub(super) struct Transit {
    pub(super) to_ship: [Queue; 2],
    pub(super) to_receive: [Queue; 2],
}

impl Transit {
    pub(super) fn preloaded(chain: &Chain) -> Self {
        let mut transit = Self {
            to_ship: Default::default(),
            to_receive: Default::default(),
        };
        let cases = chain.packing().pallet;
        let goods = |id, pallet, site| Goods {
            ready: Time::ZERO,
            id,
            lot: chain.lot(pallet),
            site,
            leg: chain.leg(pallet) as u16,
            cases: cases as u16,
        };
        for pallet in chain.pallets(Stage::ToShip) {
            transit.to_ship[0].add(goods(pallet, pallet, chain.sender(pallet)));
        }
        for pallet in chain.pallets(Stage::Shipped) {
            transit.to_receive[0].add(goods(pallet, pallet, chain.wholesaler(pallet)));
        }
        for number in 0..cases {
            for pallet in chain.pallets(Stage::ToDistribute) {
                let case = chain.case_of(pallet, number);
                transit.to_ship[1].add(goods(case, pallet, chain.distributor(pallet)));
            }
            for pallet in chain.pallets(Stage::Distributed) {
                let case = chain.case_of(pallet, number);
                transit.to_receive[1].add(goods(case, pallet, chain.dispenser(case)));
            }
        }
        transit
    }
}

/// A pack in stock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pack {
    pub(super) id: u32,
    pub(super) site: u16,
    pub(super) lot: u32,
}

/// Packs of one case that are left, or a single pack.
#[derive(Clone, Copy)]
struct Open {
    next: u32,
    left: u32,
    lot: u32,
    site: u16,
}

/// Packs that can be dispensed.
pub(super) struct Stock {
    /// The single packs that exist before the first block, each with lot and site of its own.
    single: Range<u32>,
    open: Vec<Open>,
    /// Packs in `open`.
    packs: u64,
    coming: VecDeque<(Time, Open)>,
}

impl Stock {
    pub(super) fn preloaded(chain: &Chain) -> Self {
        Self {
            single: chain.stock(),
            open: Vec::new(),
            packs: 0,
            coming: VecDeque::new(),
        }
    }

    /// Packs that are in stock from an instant on.
    pub(super) fn add(&mut self, packs: Range<u32>, goods: Goods) {
        let open = Open {
            next: packs.start,
            left: packs.end - packs.start,
            lot: goods.lot,
            site: goods.site,
        };
        let place = self.coming.partition_point(|&(at, _)| at <= goods.ready);
        self.coming.insert(place, (goods.ready, open));
    }

    fn settle(&mut self, now: Time) {
        while let Some(&(ready, open)) = self.coming.front()
            && ready <= now
        {
            self.packs += u64::from(open.left);
            self.open.push(open);
            self.coming.pop_front();
        }
    }

    /// Any pack, each as likely as any other, up to the difference between cases.
    fn find(&mut self, now: Time, draws: &mut Draws) -> Option<Find> {
        self.settle(now);
        let single = u64::from(self.single.end - self.single.start);
        let total = single + self.packs;
        if total == 0 {
            return None;
        }
        let n = draws.below(total);
        if n < single {
            return Some(Find::Single(n as u32));
        }
        let place = u128::from(n - single) * self.open.len() as u128 / u128::from(self.packs);
        Some(Find::Open(place as usize))
    }

    /// Looks at a pack.
    pub(super) fn look(&mut self, chain: &Chain, now: Time, draws: &mut Draws) -> Option<Pack> {
        Some(match self.find(now, draws)? {
            Find::Single(n) => single(chain, self.single.start + n),
            Find::Open(place) => pack(&self.open[place]),
        })
    }

    /// Takes a pack out. Single packs go in order of their identifiers: lots and sites are drawn by
    /// identifier, so that the next is as good as any.
    pub(super) fn take(&mut self, chain: &Chain, now: Time, draws: &mut Draws) -> Option<Pack> {
        Some(match self.find(now, draws)? {
            Find::Single(_) => {
                self.single.start += 1;
                single(chain, self.single.start - 1)
            }
            Find::Open(place) => {
                let open = &mut self.open[place];
                let taken = pack(open);
                open.next += 1;
                open.left -= 1;
                self.packs -= 1;
                if open.left == 0 {
                    self.open.swap_remove(place);
                }
                taken
            }
        })
    }
}

enum Find {
    Single(u32),
    Open(usize),
}

fn single(chain: &Chain, id: u32) -> Pack {
    Pack {
        id,
        site: chain.dispenser(id),
        lot: chain.lot(id),
    }
}

const fn pack(open: &Open) -> Pack {
    Pack {
        id: open.next,
        site: open.site,
        lot: open.lot,
    }
}

/// Recalls as the trade learns of them.
pub(super) struct Recalls {
    recalled: Vec<u64>,
    withdrawn: Vec<u64>,
    recent: VecDeque<(Time, u32)>,
}

impl Recalls {
    pub(super) fn new(lots: u32) -> Self {
        let words = lots.div_ceil(64) as usize;
        Self {
            recalled: vec![0; words],
            withdrawn: vec![0; words],
            recent: VecDeque::new(),
        }
    }

    pub(super) fn add(&mut self, lot: u32, settled: Time) {
        self.recalled[lot as usize / 64] |= 1 << (lot % 64);
        let place = self.recent.partition_point(|&(at, _)| at <= settled);
        self.recent.insert(place, (settled, lot));
    }

    pub(super) fn settle(&mut self, now: Time) {
        while let Some(&(settled, lot)) = self.recent.front()
            && settled <= now
        {
            self.withdrawn[lot as usize / 64] |= 1 << (lot % 64);
            self.recent.pop_front();
        }
    }

    pub(super) fn is_recalled(&self, lot: u32) -> bool {
        self.recalled[lot as usize / 64] >> (lot % 64) & 1 == 1
    }

    /// Whether everybody knows, so that no pack of the lot is in stock.
    pub(super) fn is_withdrawn(&self, lot: u32) -> bool {
        self.withdrawn[lot as usize / 64] >> (lot % 64) & 1 == 1
    }
}

/// Packaging lines at manufacturers, each with a pallet of one lot.
pub(super) struct Line {
    pub(super) lot: u32,
    /// Cases still to be made of the lot.
    pub(super) left: u32,
    pub(super) pallet: u32,
    /// Cases on the pallet.
    pub(super) filled: u32,
}
