//! Who may vote, with which weight, and how many votes decide.

use crate::NodeId;

/// Voting weight: 1 each in appointed committees, stake elsewhere.
pub type Weight = u64;

/// An ordered set of voters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committee {
    members: Vec<(NodeId, Weight)>,
    total: Weight,
}

impl Committee {
    /// The nodes `0..n` with weight one each.
    pub fn equal(n: u32) -> Self {
        Self::weighted((0..n).map(|i| (NodeId::new(i), 1)).collect())
    }

    /// Members with their weights, in the protocol's order.
    pub fn weighted(members: Vec<(NodeId, Weight)>) -> Self {
        let total = members.iter().map(|m| m.1).sum();
        Self { members, total }
    }

    /// The same with another weight of one node; with none it leaves. Who is new stands before the
    /// first member with a higher number.
    #[must_use]
    pub fn elect(&self, node: NodeId, weight: Weight) -> Self {
        let mut members = self.members.clone();
        match (self.position(node), weight) {
            (Some(place), 0) => {
                members.remove(place as usize);
            }
            (Some(place), weight) => members[place as usize].1 = weight,
            (None, 0) => {}
            (None, weight) => {
                let after = members.iter().position(|m| m.0 > node);
                members.insert(after.unwrap_or(members.len()), (node, weight));
            }
        }
        Self::weighted(members)
    }

    /// How many members there are.
    pub fn len(&self) -> u32 {
        self.members.len() as u32
    }

    /// Whether nobody may vote.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member at `index`, modulo the size: round-robin order.
    pub fn at(&self, index: u64) -> NodeId {
        self.members[(index % self.members.len() as u64) as usize].0
    }

    /// The place of a node in the order, if it is a member.
    pub fn position(&self, node: NodeId) -> Option<u32> {
        // Committees are usually the first nodes in order: look there before searching.
        let at = node.index();
        if self.members.get(at).is_some_and(|m| m.0 == node) {
            return Some(at as u32);
        }
        self.members
            .iter()
            .position(|m| m.0 == node)
            .map(|p| p as u32)
    }

    /// The weight of a node; zero when it may not vote.
    pub fn weight(&self, node: NodeId) -> Weight {
        self.position(node)
            .map_or(0, |p| self.members[p as usize].1)
    }

    /// The sum of all weights.
    pub const fn total(&self) -> Weight {
        self.total
    }

    /// The members in order.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().map(|m| m.0)
    }
}

/// The most Byzantine members that `n` tolerate: `⌊(n−1)/3⌋`.
pub const fn byzantine_bound(n: u32) -> u32 {
    (n - 1) / 3
}

/// The quorum of IBFT 2.0 and QBFT: `⌈2n/3⌉`. Larger than `2f+1` unless `n = 3f+1`.
pub const fn two_thirds(n: u32) -> u32 {
    (2 * n).div_ceil(3)
}

/// The smallest majority: `⌊n/2⌋ + 1`.
pub const fn majority(n: u32) -> u32 {
    n / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_match_the_published_table() {
        let table = [
            (4, 1, 3),
            (7, 2, 5),
            (10, 3, 7),
            (13, 4, 9),
            (16, 5, 11),
            (21, 6, 14),
        ];
        for (n, f, q) in table
            .into_iter()
            .chain([(31, 10, 21), (50, 16, 34), (100, 33, 67)])
        {
            assert_eq!((byzantine_bound(n), two_thirds(n)), (f, q), "n = {n}");
        }
    }

    #[test]
    fn members_come_and_go_in_the_order_of_their_numbers() {
        let three = Committee::equal(3);
        let with = three.elect(NodeId::new(4), 5);
        assert_eq!(
            with.elect(NodeId::new(3), 2).position(NodeId::new(4)),
            Some(4)
        );
        assert_eq!((with.len(), with.total()), (4, 8));
        let without = with.elect(NodeId::new(1), 0);
        assert_eq!((without.len(), without.total()), (3, 7));
        assert_eq!(without.position(NodeId::new(2)), Some(1));
        assert_eq!(without.elect(NodeId::new(1), 1), with);
        assert_eq!(three.elect(NodeId::new(0), 1), three);
        assert_eq!(three.elect(NodeId::new(7), 0), three);
    }

    /// Any two quorums share an honest member, and a quorum exists when `f` are silent.
    #[test]
    fn quorums_intersect_and_exist_for_all_sizes() {
        for n in 1..=100 {
            let (f, q) = (byzantine_bound(n), two_thirds(n));
            assert!(
                2 * q - n > f,
                "two quorums of {n} may share only faulty members"
            );
            assert!(q <= n - f, "no quorum of {n} without the faulty members");
            assert!(2 * majority(n) > n);
        }
    }
}
