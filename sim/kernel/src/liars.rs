//! Who lies, how, and who talks to which self of whom.
//!
//! A *machine* is what has links, cores and a disk: the nodes, and behind them the second selves of
//! those that run twice. Engines know nodes only: a machine speaks as the node that it is, and what it
//! says to a node goes to that self which the machine has a link to.

use quorate_core::{BlockId, Conduct, Corrupt, NodeId, Relay, Time};
use std::collections::BTreeMap;

/// The liars of a run.
pub(crate) struct Liars {
    /// Nodes, without second selves.
    nodes: u32,
    /// By machine behind the nodes: whose second self it is, and which nodes it talks to.
    seconds: Vec<(NodeId, Vec<u32>)>,
    /// By node: its second self.
    second_of: Vec<Option<NodeId>>,
    entries: Vec<Corrupt>,
    /// By node: its entries.
    of: Vec<Vec<u32>>,
    /// Blocks that only the nodes of an entry know, and how they were to be relayed.
    pub(crate) kept: BTreeMap<BlockId, Kept>,
    /// Blocks that do not execute, and whether an honest node has called them final.
    pub(crate) invalid: BTreeMap<BlockId, bool>,
    /// Blocks that take a site's transactions first.
    pub(crate) favours: BTreeMap<BlockId, u32>,
}

/// A block that is kept back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    /// The entry of those who know it.
    pub(crate) by: u32,
    /// How it was to be relayed; `None` where a message carries it.
    pub(crate) rule: Option<Relay>,
}

/// Which self of its node a machine is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Only,
    First(usize),
    Second(usize),
}

impl Liars {
    pub(crate) fn new(entries: Vec<Corrupt>, nodes: u32) -> Self {
        let mut seconds = Vec::new();
        let mut second_of = vec![None; nodes as usize];
        let mut of = vec![Vec::new(); nodes as usize];
        for (entry, place) in entries.iter().zip(0..) {
            for &node in &entry.nodes {
                of[node as usize].push(place);
                if let Conduct::Twin(side) = &entry.conduct
                    && second_of[node as usize].is_none()
                {
                    second_of[node as usize] = Some(NodeId::new(nodes + seconds.len() as u32));
                    seconds.push((NodeId::new(node), side.clone()));
                }
            }
        }
        Self {
            nodes,
            seconds,
            second_of,
            entries,
            of,
            kept: BTreeMap::new(),
            invalid: BTreeMap::new(),
            favours: BTreeMap::new(),
        }
    }

    /// Whether everybody is honest.
    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whose second selves the machines behind the nodes are.
    pub(crate) fn seconds(&self) -> Vec<NodeId> {
        self.seconds.iter().map(|(node, _)| *node).collect()
    }

    /// How many nodes lie.
    pub(crate) fn len(&self) -> u32 {
        self.of.iter().filter(|entries| !entries.is_empty()).count() as u32
    }

    pub(crate) fn entries(&self) -> &[Corrupt] {
        &self.entries
    }

    /// The node that a machine speaks as.
    #[inline]
    pub(crate) fn who(&self, machine: NodeId) -> NodeId {
        match machine.index().checked_sub(self.nodes as usize) {
            None => machine,
            Some(place) => self.seconds[place].0,
        }
    }

    /// The machine that `from` reaches as that node.
    #[inline]
    pub(crate) fn machine(&self, node: NodeId, from: NodeId) -> NodeId {
        if self.seconds.is_empty() {
            return node;
        }
        match self.second_of[node.index()] {
            Some(second) if self.linked(from, second) => second,
            _ => node,
        }
    }

    fn part(&self, machine: NodeId) -> Part {
        match machine.index().checked_sub(self.nodes as usize) {
            Some(place) => Part::Second(place),
            None => match self.second_of[machine.index()] {
                Some(second) => Part::First(second.index() - self.nodes as usize),
                None => Part::Only,
            },
        }
    }

    /// Whether two machines talk to each other.
    pub(crate) fn linked(&self, a: NodeId, b: NodeId) -> bool {
        if self.seconds.is_empty() || a == b {
            return true;
        }
        let sees = |only: NodeId, place: usize| self.seconds[place].1.contains(&only.get());
        match (self.part(a), self.part(b)) {
            (Part::Only, Part::Only) => true,
            (Part::Only, Part::First(p)) => !sees(a, p),
            (Part::First(p), Part::Only) => !sees(b, p),
            (Part::Only, Part::Second(p)) => sees(a, p),
            (Part::Second(p), Part::Only) => sees(b, p),
            (Part::First(_), Part::First(_)) => true,
            (Part::Second(_), Part::Second(_)) => true,
            (Part::First(_), Part::Second(_)) | (Part::Second(_), Part::First(_)) => false,
        }
    }

    /// Whether a machine ever lies.
    #[inline]
    pub(crate) fn lies(&self, machine: NodeId) -> bool {
        !self.is_empty() && !self.of[self.who(machine).index()].is_empty()
    }

    /// The entries of a machine that are in force.
    pub(crate) fn conducts(
        &self,
        machine: NodeId,
        now: Time,
    ) -> impl Iterator<Item = (u32, &Conduct)> {
        let of = if self.is_empty() {
            &[]
        } else {
            self.of[self.who(machine).index()].as_slice()
        };
        let entry = |&place: &u32| (place, &self.entries[place as usize]);
        let in_force = move |(_, entry): &(u32, &Corrupt)| entry.from <= now && now < entry.until;
        of.iter()
            .map(entry)
            .filter(in_force)
            .map(|(place, entry)| (place, &entry.conduct))
    }

    /// Whether a machine does so now.
    pub(crate) fn does(&self, machine: NodeId, now: Time, what: impl Fn(&Conduct) -> bool) -> bool {
        self.conducts(machine, now)
            .any(|(_, conduct)| what(conduct))
    }

    /// Whether a node is one of an entry.
    pub(crate) fn is_of(&self, machine: NodeId, entry: u32) -> bool {
        !self.is_empty() && self.of[self.who(machine).index()].contains(&entry)
    }

    /// Whether a block is kept from a machine.
    pub(crate) fn keeps_from(&self, block: BlockId, machine: NodeId) -> bool {
        let kept = self.kept.get(&block);
        kept.is_some_and(|kept| !self.is_of(machine, kept.by))
    }

    /// Forgets what was noted of blocks before `first`.
    pub(crate) fn retire(&mut self, first: BlockId) {
        self.kept = self.kept.split_off(&first);
        self.invalid = self.invalid.split_off(&first);
        self.favours = self.favours.split_off(&first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(i: u32) -> NodeId {
        NodeId::new(i)
    }

    /// Of five nodes 0 and 1 run twice; the second selves, 5 and 6, talk to 3 and 4.
    #[test]
    fn the_selves_of_liars_talk_to_their_own_sides_only() {
        let entry = Corrupt {
            nodes: vec![0, 1],
            from: Time::ZERO,
            until: Time::NEVER,
            conduct: Conduct::Twin(vec![3, 4]),
        };
        let liars = Liars::new(vec![entry], 5);
        let reached = |from| -> Vec<u32> {
            (0..5)
                .map(|node| liars.machine(id(node), id(from)).get())
                .collect()
        };
        assert_eq!(reached(2), [0, 1, 2, 3, 4]);
        assert_eq!(reached(3), [5, 6, 2, 3, 4]);
        let links = |a: u32| -> Vec<u32> {
            (0..7)
                .filter(|&b| b != a && liars.linked(id(a), id(b)))
                .collect()
        };
        assert_eq!(links(0), [1, 2]);
        assert_eq!(links(5), [3, 4, 6]);
        assert_eq!(links(2), [0, 1, 3, 4]);
        assert_eq!(links(4), [2, 3, 5, 6]);
        for (a, b) in (0..7).flat_map(|a| (0..7).map(move |b| (a, b))) {
            assert_eq!(liars.linked(id(a), id(b)), liars.linked(id(b), id(a)));
        }
        assert_eq!((liars.who(id(6)), liars.len()), (id(1), 2));
        assert!(liars.lies(id(5)) && !liars.lies(id(4)));
    }
}
