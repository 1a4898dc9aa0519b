//! Who votes at which height: the committees that a chain elects, each with its own tally.
//!
//! A ballot belongs to the era of its height. Engines say who is elected when they commit
//! ([`quorate_core::Effect::Elect`]): the first to do so makes the era, the others are held against
//! it. Most protocols have one era for the whole run.

use crate::network::{Audience, Network};
use crate::tally::Tally;
use quorate_core::{Ballot, Committee, NodeId, Weight};
use std::collections::BTreeMap;

/// Heights with one committee.
pub(crate) struct Era {
    /// The first of them.
    from: u32,
    pub(crate) tally: Tally,
    /// Whom votes go to.
    pub(crate) audience: Audience,
}

impl Era {
    fn new(from: u32, committee: &Committee, seconds: &[NodeId], net: &Network) -> Self {
        let shortest = net.shortest(committee.members());
        let tally = Tally::new(committee.clone(), (net.nodes(), seconds), shortest);
        Self {
            from,
            audience: net.audience(tally.members().iter().copied()),
            tally,
        }
    }

    pub(crate) const fn from(&self) -> u32 {
        self.from
    }

    pub(crate) fn committee(&self) -> &Committee {
        self.tally.committee()
    }
}

/// All eras that may still be asked for, by height; at least one.
pub(crate) struct Eras {
    /// The committee of the first height.
    first: Committee,
    /// Whose second selves the machines behind the nodes are.
    seconds: Vec<NodeId>,
    kept: Vec<Era>,
    /// What every node has to say: from which height on, who, which weight.
    elected: BTreeMap<(u32, NodeId), Weight>,
    /// Of eras that were forgotten: equivocations, and ballots by form.
    equivocations: u64,
    forms: [u64; 2],
}

impl Eras {
    pub(crate) fn new(committee: Committee, seconds: Vec<NodeId>, net: &Network) -> Self {
        Self {
            kept: vec![Era::new(0, &committee, &seconds, net)],
            first: committee,
            seconds,
            elected: BTreeMap::new(),
            equivocations: 0,
            forms: [0; 2],
        }
    }

    pub(crate) const fn first(&self) -> &Committee {
        &self.first
    }

    /// The place of a height's era; `None` if it is forgotten, long after the height is final.
    #[inline]
    pub(crate) fn place(&self, height: u32) -> Option<usize> {
        self.kept.iter().rposition(|era| era.from <= height)
    }

    #[inline]
    pub(crate) fn at(&self, place: usize) -> &Era {
        &self.kept[place]
    }

    /// The tally at that place.
    #[inline]
    pub(crate) fn tally(&mut self, place: usize) -> &mut Tally {
        &mut self.kept[place].tally
    }

    /// The tally of a ballot.
    #[inline]
    pub(crate) fn of(&mut self, ballot: Ballot) -> Option<&mut Tally> {
        let place = self.place(ballot.height)?;
        Some(&mut self.kept[place].tally)
    }

    pub(crate) fn reached(&self, node: NodeId, ballot: Ballot) -> bool {
        let place = self.place(ballot.height);
        place.is_some_and(|place| self.kept[place].tally.reached(node, ballot))
    }

    /// Who votes at a height, and the oldest who are known below that.
    pub(crate) fn committee(&self, height: u32) -> &Committee {
        self.kept[self.place(height).unwrap_or(0)].committee()
    }

    /// All tallies.
    pub(crate) fn tallies(&mut self) -> impl Iterator<Item = &mut Tally> {
        self.kept.iter_mut().map(|era| &mut era.tally)
    }

    /// From a height on, a node's weight is this one.
    ///
    /// # Errors
    /// What contradicts the chain: another weight than somebody else said, or too late.
    pub(crate) fn elect(
        &mut self,
        (height, member, weight): (u32, NodeId, Weight),
        net: &Network,
    ) -> Result<(), String> {
        let elected = format!("{member} with weight {weight} from height {height} on");
        match self.elected.get(&(height, member)) {
            Some(&known) if known == weight => return Ok(()),
            Some(known) => return Err(format!("elects {elected}, others with {known}")),
            None => {}
        }
        let voted = self.kept.iter().any(|era| era.tally.has_from(height));
        if voted || height <= self.kept[0].from {
            return Err(format!("elects {elected}, where others have voted before"));
        }
        self.elected.insert((height, member), weight);
        while self.kept.last().is_some_and(|era| era.from >= height) {
            self.forget(self.kept.len() - 1);
        }
        let mut heights: Vec<u32> = self
            .elected
            .range((height, NodeId::new(0))..)
            .map(|(&(height, _), _)| height)
            .collect();
        heights.dedup();
        for from in heights {
            let mut committee = self.kept.last().expect("the first").committee().clone();
            let here = (from, NodeId::new(0))..=(from, NodeId::new(u32::MAX));
            for (&(_, member), &weight) in self.elected.range(here) {
                committee = committee.elect(member, weight);
            }
            if committee.is_empty() {
                return Err(format!("elects {elected}, and nobody is left"));
            }
            self.kept
                .push(Era::new(from, &committee, &self.seconds, net));
        }
        Ok(())
    }

    /// Forgets ballots below a height, and who voted there.
    pub(crate) fn retire(&mut self, below: u32) {
        for tally in self.tallies() {
            tally.retire(below);
        }
        while self.kept.get(1).is_some_and(|next| next.from <= below) {
            self.forget(0);
        }
    }

    fn forget(&mut self, place: usize) {
        let tally = self.kept.remove(place).tally;
        self.equivocations += tally.equivocations;
        for (sum, forms) in self.forms.iter_mut().zip(tally.forms) {
            *sum += forms;
        }
    }

    /// Votes that contradict an earlier one, over all eras.
    pub(crate) fn equivocations(&self) -> u64 {
        let kept = self.kept.iter().map(|era| era.tally.equivocations);
        self.equivocations + kept.sum::<u64>()
    }

    /// Ballots by form, over all eras.
    pub(crate) fn forms(&self) -> [u64; 2] {
        core::array::from_fn(|i| {
            let kept = self.kept.iter().map(|era| era.tally.forms[i]);
            self.forms[i] + kept.sum::<u64>()
        })
    }
}
