//! Who holds what before the first block, and which pack lies in which case on which pallet.

use crate::skew::Sites;
use core::ops::Range;
use quorate_core::math::pow;
use quorate_core::{hash, open01_at};

/// Products by popularity: Zipf, as a function of a uniform number, so that a hash can choose.
#[derive(Clone, Debug)]
struct Products {
    /// Share of all packs up to and including each product.
    below: Vec<f64>,
    /// The first product that reaches each of equal slices of probability.
    guide: Vec<u32>,
}

impl Products {
    fn zipf(n: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut below: Vec<f64> = (1..=n)
            .map(|k| {
                sum += pow(f64::from(k), -exponent);
                sum
            })
            .collect();
        for share in &mut below {
            *share /= sum;
        }
        let slices = n.next_power_of_two();
        let mut product = 0;
        let guide = (0..slices)
            .map(|slice| {
                while below[product as usize] <= f64::from(slice) / f64::from(slices) {
                    product += 1;
                }
                product
            })
            .collect();
        Self { below, guide }
    }

    fn pick(&self, uniform: f64) -> u32 {
        let slice = uniform * self.guide.len() as f64;
        let last = self.below.len() as u32 - 1;
        let mut product = self.guide[slice as usize];
        while product < last && self.below[product as usize] <= uniform {
            product += 1;
        }
        product
    }
}

/// How packs are packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packing {
    /// Packs in a case; 0: packs travel one by one, without case and pallet.
    pub case: u32,
    /// Cases on a pallet.
    pub pallet: u32,
}

impl Packing {
    /// Identifiers that a pallet takes: its own, then each case followed by its packs.
    pub const fn ids(self) -> u32 {
        if self.case == 0 {
            1
        } else {
            1 + self.pallet * (1 + self.case)
        }
    }
}

/// How much exists before the first block; identifiers follow one another in the order of the
/// fields. The last four are pallets, or packs that travel one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Products, each with [`Layout::lots`] lots.
    pub products: u32,
    /// Lots of a product.
    pub lots: u32,
    /// Single packs in stock where they are dispensed.
    pub stock: u32,
    /// Single packs already dispensed.
    pub dispensed: u32,
    /// Single packs in quarantine.
    pub quarantined: u32,
    /// Pallets to be shipped whole.
    pub to_ship: u32,
    /// Pallets on their way.
    pub shipped: u32,
    /// Pallets whose cases are to be shipped.
    pub to_distribute: u32,
    /// Pallets whose cases are on their way.
    pub distributed: u32,
}

/// Where a pallet is before the first block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    ToShip,
    Shipped,
    ToDistribute,
    Distributed,
}

/// The supply chain: what generator and ledger both know without a message.
#[derive(Clone, Debug)]
pub struct Chain {
    layout: Layout,
    packing: Packing,
    /// Holders of a pack from manufacturer to dispenser.
    hops: u32,
    products: Products,
    sites: Sites,
    wholesalers: Sites,
}

impl Chain {
    pub(crate) fn new(
        layout: Layout,
        packing: Packing,
        hops: u32,
        exponent: f64,
        sites: Sites,
        wholesalers: Sites,
    ) -> Self {
        Self {
            products: Products::zipf(layout.products, exponent),
            layout,
            packing,
            hops,
            sites,
            wholesalers,
        }
    }

    /// How packs are packed.
    pub const fn packing(&self) -> Packing {
        self.packing
    }

    /// The lots.
    pub const fn lots(&self) -> Range<u32> {
        0..self.layout.products * self.layout.lots
    }

    /// Single packs in stock.
    pub const fn stock(&self) -> Range<u32> {
        after(self.lots(), self.layout.stock)
    }

    /// Single packs already dispensed.
    pub const fn dispensed(&self) -> Range<u32> {
        after(self.stock(), self.layout.dispensed)
    }

    /// Single packs in quarantine.
    pub const fn quarantined(&self) -> Range<u32> {
        after(self.dispensed(), self.layout.quarantined)
    }

    /// The first identifier of the pallets, which make up the rest.
    pub const fn base(&self) -> u32 {
        self.quarantined().end
    }

    /// The first identifier of a new pallet.
    pub const fn end(&self) -> u32 {
        let l = &self.layout;
        let pallets = l.to_ship + l.shipped + l.to_distribute + l.distributed;
        self.base() + pallets * self.packing.ids()
    }

    /// The pallet of a case or pack; itself for a pack that travels by itself.
    pub const fn pallet(&self, id: u32) -> u32 {
        let base = self.base();
        base + (id - base) / self.packing.ids() * self.packing.ids()
    }

    /// The case of a pack, and of a case itself; the pallet for a pallet.
    pub const fn case(&self, id: u32) -> u32 {
        let pallet = self.pallet(id);
        if id == pallet {
            return pallet;
        }
        let each = self.packing.case + 1;
        pallet + 1 + (id - pallet - 1) / each * each
    }

    /// Whether this may be commissioned: a case, or a pack that travels by itself.
    pub const fn is_commissioned_whole(&self, id: u32) -> bool {
        id >= self.base()
            && self.case(id) == id
            && (self.packing.case == 0 || self.pallet(id) != id)
    }

    /// The packs of a case; of a pack that travels by itself, that pack.
    pub const fn packs(&self, case: u32) -> Range<u32> {
        if self.packing.case == 0 {
            case..case + 1
        } else {
            case + 1..case + 1 + self.packing.case
        }
    }

    /// The case with this number on a pallet; the pack itself if it travels by itself.
    pub(crate) const fn case_of(&self, pallet: u32, number: u32) -> u32 {
        if self.packing.case == 0 {
            pallet
        } else {
            pallet + 1 + number * (self.packing.case + 1)
        }
    }

    /// The product of a lot.
    pub const fn product(&self, lot: u32) -> u32 {
        lot / self.layout.lots
    }

    /// The manufacturer's site, which holds the marketing authorisation of the lot.
    pub fn maker(&self, lot: u32) -> u16 {
        self.sites
            .at(hash::fold_all(11, &[u64::from(self.product(lot))]))
    }

    /// The regulator's site.
    // assumption: the last and smallest.
    pub const fn regulator(&self) -> u16 {
        self.sites.count() - 1
    }

    /// A lot as popular as its product, from a uniform number and 64 bits.
    pub(crate) fn popular_lot(&self, uniform: f64, bits: u64) -> u32 {
        self.products.pick(uniform) * self.layout.lots + (bits % u64::from(self.layout.lots)) as u32
    }

    /// The lot of what exists before the first block: of a single pack, or a pallet.
    pub(crate) fn lot(&self, id: u32) -> u32 {
        let id = u64::from(id);
        self.popular_lot(open01_at(12, &[id]), hash::fold_all(13, &[id]))
    }

    /// Where a single pack, or a case on its way to its dispenser, belongs.
    pub(crate) fn dispenser(&self, id: u32) -> u16 {
        self.sites.at(hash::fold_all(14, &[u64::from(id)]))
    }

    /// The wholesaler that a pallet comes to.
    pub(crate) fn wholesaler(&self, pallet: u32) -> u16 {
        self.wholesalers
            .at(hash::fold_all(15, &[u64::from(pallet)]))
    }

    /// Journeys between holders.
    pub(crate) const fn legs(&self) -> u32 {
        self.hops - 1
    }

    /// How many journeys a pallet before the first block has behind it.
    pub(crate) const fn leg(&self, pallet: u32) -> u32 {
        let pallets = self.legs() - 1;
        if pallets == 0 {
            return 0;
        }
        (pallet - self.base()) / self.packing.ids() % pallets
    }

    /// Who sends a pallet before the first block.
    pub(crate) fn sender(&self, pallet: u32) -> u16 {
        if self.leg(pallet) == 0 {
            return self.maker(self.lot(pallet));
        }
        self.wholesalers
            .at(hash::fold_all(16, &[u64::from(pallet)]))
    }

    /// Who sends the cases of a pallet before the first block.
    pub(crate) fn distributor(&self, pallet: u32) -> u16 {
        if self.legs() == 1 {
            self.maker(self.lot(pallet))
        } else {
            self.wholesaler(pallet)
        }
    }

    /// The pallets that stand at a stage before the first block.
    pub(crate) fn pallets(&self, stage: Stage) -> impl Iterator<Item = u32> + use<> {
        let l = &self.layout;
        let counts = [l.to_ship, l.shipped, l.to_distribute, l.distributed];
        let from: u32 = counts[..stage as usize].iter().sum();
        let (base, ids) = (self.base(), self.packing.ids());
        (from..from + counts[stage as usize]).map(move |pallet| base + pallet * ids)
    }

    /// The stage of a pallet before the first block.
    pub(crate) const fn stage(&self, pallet: u32) -> Stage {
        let l = &self.layout;
        let number = (pallet - self.base()) / self.packing.ids();
        if number < l.to_ship {
            Stage::ToShip
        } else if number < l.to_ship + l.shipped {
            Stage::Shipped
        } else if number < l.to_ship + l.shipped + l.to_distribute {
            Stage::ToDistribute
        } else {
            Stage::Distributed
        }
    }

    /// A site by size.
    pub(crate) fn site(&self, bits: u64) -> u16 {
        self.sites.at(bits)
    }

    /// A site by size, but not this one, if there is another.
    pub(crate) fn other_site(&self, site: u16, bits: u64) -> u16 {
        self.sites.other(site, bits)
    }

    /// A wholesaler by size.
    pub(crate) fn any_wholesaler(&self, bits: u64) -> u16 {
        self.wholesalers.at(bits)
    }

    pub(crate) const fn sites(&self) -> u16 {
        self.sites.count()
    }
}

const fn after(range: Range<u32>, len: u32) -> Range<u32> {
    range.end..range.end + len
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn chain(case: u32) -> Chain {
        let layout = Layout {
            products: 40,
            lots: 3,
            stock: 50,
            dispensed: 7,
            quarantined: 5,
            to_ship: 2,
            shipped: 3,
            to_distribute: 4,
            distributed: 5,
        };
        let packing = Packing { case, pallet: 3 };
        let sites = Sites::log_normal(12, 0.68);
        Chain::new(layout, packing, 3, 1.0, sites, Sites::log_normal(3, 0.68))
    }

    /// The guide table is only a short cut: the choice is that of a search.
    #[test]
    fn products_invert_their_distribution() {
        for (n, exponent) in [(1, 1.0), (3, 0.0), (1_000, 1.0), (5_000, 1.7)] {
            let products = Products::zipf(n, exponent);
            for i in 0..10_000_u64 {
                let uniform = open01_at(1, &[i]);
                let want = products.below.partition_point(|&b| b <= uniform) as u32;
                assert_eq!(products.pick(uniform), want.min(n - 1));
            }
            assert_eq!(products.pick(1.0 - 1e-16), n - 1);
            assert_eq!(products.pick(1e-16), 0);
        }
    }

    #[test]
    fn packs_lie_in_cases_on_pallets() {
        let chain = chain(4);
        assert_eq!((chain.lots().end, chain.base()), (120, 182));
        assert_eq!((chain.packing().ids(), chain.end()), (16, 182 + 14 * 16));
        let pallet = chain.base() + 32;
        assert_eq!((chain.pallet(pallet), chain.case(pallet)), (pallet, pallet));
        assert!(!chain.is_commissioned_whole(pallet));
        let mut ids = vec![pallet];
        for number in 0..3 {
            let case = chain.case_of(pallet, number);
            assert!(chain.is_commissioned_whole(case));
            ids.push(case);
            for pack in chain.packs(case) {
                assert_eq!((chain.case(pack), chain.pallet(pack)), (case, pallet));
                assert!(!chain.is_commissioned_whole(pack));
                ids.push(pack);
            }
        }
        assert!(ids.into_iter().eq(pallet..pallet + 16));
    }

    #[test]
    fn a_pack_may_travel_by_itself() {
        let chain = chain(0);
        let pack = chain.base() + 3;
        assert_eq!((chain.pallet(pack), chain.case(pack)), (pack, pack));
        assert!(chain.is_commissioned_whole(pack) && !chain.is_commissioned_whole(3));
        assert!(chain.packs(pack).eq(pack..=pack));
    }

    #[test]
    fn pallets_stand_at_their_stage() {
        let chain = chain(4);
        let stages = [
            Stage::ToShip,
            Stage::Shipped,
            Stage::ToDistribute,
            Stage::Distributed,
        ];
        let mut next = chain.base();
        for (stage, n) in stages.into_iter().zip([2, 3, 4, 5]) {
            let pallets: Vec<u32> = chain.pallets(stage).collect();
            assert_eq!((pallets.len(), pallets[0]), (n, next));
            assert!(pallets.iter().all(|&p| chain.stage(p) == stage));
            next += n as u32 * 16;
        }
        assert_eq!(next, chain.end());
    }
}
