//! What a workload's domain is shown of the final order, and when.
//!
//! Nothing of it acts on the run: a domain only looks.

use crate::book::Record;
use crate::classes::Classes;
use crate::probe::Probe;
use crate::sim::Simulation;
use quorate_core::{
    Arrival, BlockId, Class, ClassId, Domain, Engine, Level, NodeId, Ordered, Shown, Time, Verdict,
};
use std::collections::BTreeMap;

/// A domain, and what is kept until its transactions are ordered.
pub(crate) struct Showing<'a> {
    domain: Box<dyn Domain + 'a>,
    /// The classes whose submitters act at once.
    acted: Classes,
    /// What the rules said of these transactions on the view of their sites.
    views: BTreeMap<(u32, u32), Verdict>,
}

impl<'a> Showing<'a> {
    /// The same, and the classes that it wants to be shown.
    fn new(domain: Box<dyn Domain + 'a>, classes: &[Class]) -> (Self, Classes) {
        let of = |least: Shown| {
            let ids = (0..classes.len() as u8).map(ClassId);
            Classes::of(ids.filter(|&id| domain.shown(id) >= least))
        };
        let (ordered, acted) = (of(Shown::Ordered), of(Shown::Acted));
        let views = BTreeMap::new();
        let showing = Self {
            domain,
            acted,
            views,
        };
        (showing, ordered)
    }

    /// Whether submitters of a class act at once.
    #[inline]
    pub(crate) const fn acts(&self, class: ClassId) -> bool {
        self.acted.has(class)
    }

    /// The next transactions of the final order, from one block.
    fn show(&mut self, records: &[Record], block_at: Time, probe: &mut Probe) {
        for record in records {
            let next = Ordered {
                tx: &record.tx,
                view: self.views.remove(&record.place),
                verdict: record.verdict,
                block_at,
            };
            self.domain.ordered(&next, probe);
        }
    }
}

impl<'a, E: Engine> Simulation<'a, E> {
    /// Shows the final order to a domain. To be asked for before the run begins.
    pub fn show(&mut self, domain: Box<dyn Domain + 'a>) {
        self.probe.tells(domain.measures());
        let (showing, ordered) = Showing::new(domain, &self.classes);
        let apart = self.load.local().iter().copied();
        self.apart = Classes::of(apart.filter(|&id| !ordered.has(id)));
        self.book.shown = ordered;
        self.showing = Some(showing);
    }
}

impl<E: Engine> Simulation<'_, E> {
    /// The block up to which a node's readers see the chain.
    pub(crate) fn served_view(&self, node: NodeId) -> BlockId {
        let state = &self.nodes[node.index()];
        match self.setup.read_level {
            Level::Included => state.head,
            Level::Safe => state.safe,
            Level::Final => state.fin,
        }
    }

    /// Notes what the rules say of a transaction on the view of its site, if somebody acts on it.
    pub(crate) fn try_on_view(&mut self, tx: &Arrival, place: (u32, u32)) {
        let acts = |s: &Showing<'_>| s.acts(tx.class);
        let node = self.pool.serving(place.0);
        if self.nodes[node.index()].up && self.showing.as_ref().is_some_and(acts) {
            let view = self.served_view(node);
            let verdict = self.book.try_on(&self.blocks, view, tx);
            let showing = self.showing.as_mut().expect("somebody acts");
            showing.views.insert(place, verdict);
        }
    }

    /// Folds what is final everywhere below `floor` into the final state, and shows it.
    pub(crate) fn settle_book(&mut self, floor: BlockId) {
        let (showing, probe) = (&mut self.showing, &mut self.probe);
        self.book.settle(&self.blocks, floor, |records, at| {
            if let Some(showing) = showing {
                showing.show(records, at, probe);
            }
        });
    }

    /// An origin's transactions before `keep` are in no further block.
    pub(crate) fn forget_views(&mut self, site: u32, keep: u32) {
        let Some(showing) = &mut self.showing else {
            return;
        };
        while let Some((&place, _)) = showing.views.range((site, 0)..(site, keep)).next() {
            showing.views.remove(&place);
        }
    }

    /// How many verdicts of views are kept.
    pub(crate) fn views_kept(&self) -> usize {
        self.showing.as_ref().map_or(0, |s| s.views.len())
    }

    /// The run is over: shows what is final and was not shown yet.
    pub(crate) fn show_the_rest(&mut self) {
        let Some(mut showing) = self.showing.take() else {
            return;
        };
        let mut path = Vec::new();
        let mut at = self.last_final();
        while let Some(block) = at.filter(|&b| self.book.shown_of(b).is_some()) {
            path.push(block);
            at = self.blocks.find(block).and_then(|b| b.parent);
        }
        for &block in path.iter().rev() {
            let records = self.book.shown_of(block).unwrap_or(&[]);
            let at = self.blocks.get(block).timestamp;
            showing.show(records, at, &mut self.probe);
        }
        showing.domain.end(&mut self.probe);
    }

    /// The highest block that is final at an honest site's node that is up, if no other of them
    /// contradicts it; else what they agree on.
    fn last_final(&self) -> Option<BlockId> {
        let honest = |n: &&NodeId| self.nodes[n.index()].up && !self.liars.lies(**n);
        let nodes = self.serving.iter().filter(honest);
        let finals = nodes.map(|n| self.nodes[n.index()].fin);
        let height = |&fin: &BlockId| self.blocks.find(fin).map_or(0, |b| b.height);
        let top = finals.clone().max_by_key(height)?;
        if finals.clone().all(|fin| self.blocks.extends(top, fin)) {
            return Some(top);
        }
        finals
            .clone()
            .try_fold(top, |all, fin| self.blocks.fork_point(all, fin))
    }
}
