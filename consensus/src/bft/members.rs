//! Who is a validator: votes in headers.
//!
//! source: hyperledger/besu `consensus/common/validator/blockbased` (`VoteProposer`, `VoteTally`,
//! `VoteTallyUpdater`).
//!
//! - Upon building a block: put into its header one of the own wishes that is neither fulfilled nor voted
//!   for already; several take turns.
//! - Upon committing a block with a vote: it replaces its builder's opposite vote about that candidate;
//!   more than half of the validators decide, from the next block on.
//! - Upon a decision: the votes about the candidate are forgotten, and if it left, its own votes too.
//! - Upon committing the last block of an epoch: all votes are forgotten, that block's own included.
//!
//! Deviations: the last validator cannot be voted out, and wishes take turns in the order of their
//! candidates (Besu's is that of a hash table).

use super::MemberVote;
use quorate_core::{Committee, Invalid, NodeId, Span, Time, majority};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// From when on some validators wish a node to be a validator or not: what an operator asks of them by
/// `qbft_proposeValidatorVote`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// From when on, s by the time of day of who wishes.
    pub from_s: f64,
    /// Whose wish it is. A later one of the same node about the same candidate replaces it.
    pub validators: Vec<u32>,
    /// Whom it is about.
    pub candidate: u32,
    /// Whether to join or to leave.
    pub add: bool,
}

impl Wish {
    pub(super) fn validate(&self, nodes: u32) -> Result<(), Invalid> {
        let refuse = |why, hint: &str| {
            Err(Invalid {
                key: "votes",
                why,
                hint: hint.to_owned(),
            })
        };
        let mut named = self.validators.iter().chain([&self.candidate]);
        if let Some(unknown) = named.find(|&&node| node >= nodes) {
            let why = format!("node {unknown} of {nodes} nodes, which count from 0");
            return refuse(why, "name nodes that there are");
        }
        if self.validators.is_empty() {
            let why = format!("nobody wishes anything about node {}", self.candidate);
            return refuse(why, "list the validators who vote");
        }
        if !self.from_s.is_finite() || self.from_s < 0.0 {
            let why = format!("they start at {} s", self.from_s);
            return refuse(why, "set `from_s` to 0 or more");
        }
        Ok(())
    }
}

/// The votes of the current epoch that have decided nothing yet, and the turn of the own wishes.
#[derive(Clone, Debug, Default)]
pub(super) struct Votes {
    /// By candidate and direction: who.
    cast: BTreeMap<(NodeId, bool), BTreeSet<NodeId>>,
    turn: usize,
}

impl Votes {
    /// The vote that `me` puts into the block that it builds now.
    pub(super) fn next(
        &mut self,
        me: NodeId,
        now: Time,
        wishes: &[Wish],
        members: &Committee,
    ) -> Option<MemberVote> {
        let mine = |w: &&Wish| {
            w.validators.contains(&me.get()) && Time::ZERO + Span::from_s_f64(w.from_s) <= now
        };
        let latest: BTreeMap<NodeId, bool> = wishes
            .iter()
            .filter(mine)
            .map(|w| (NodeId::new(w.candidate), w.add))
            .collect();
        let open = |&(&candidate, &add): &(&NodeId, &bool)| {
            let voted = |add| {
                let votes = self.cast.get(&(candidate, add));
                votes.is_some_and(|who| who.contains(&me))
            };
            let fulfilled = members.position(candidate).is_some() == add;
            voted(!add) || (!fulfilled && !voted(add))
        };
        let open: Vec<(&NodeId, &bool)> = latest.iter().filter(open).collect();
        if open.is_empty() {
            return None;
        }
        self.turn = (self.turn + 1) % open.len();
        let (&candidate, &add) = open[self.turn];
        Some(MemberVote { candidate, add })
    }

    /// Counts the vote of a committed block; whether it changes the validators.
    pub(super) fn count(&mut self, voter: NodeId, vote: MemberVote, members: &Committee) -> bool {
        let MemberVote { candidate, add } = vote;
        let who = self.cast.entry((candidate, add)).or_default();
        who.insert(voter);
        let decided = who.len() >= majority(members.len()) as usize;
        if let Some(opposite) = self.cast.get_mut(&(candidate, !add)) {
            opposite.remove(&voter);
        }
        let last = !add && members.len() == 1;
        if !decided || last {
            return false;
        }
        self.cast.retain(|&(about, _), _| about != candidate);
        if !add {
            for voters in self.cast.values_mut() {
                voters.remove(&candidate);
            }
        }
        members.position(candidate).is_some() != add
    }

    /// A new epoch begins.
    pub(super) fn forget(&mut self) {
        self.cast.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn node(i: u32) -> NodeId {
        NodeId::new(i)
    }

    const fn vote(candidate: u32, add: bool) -> MemberVote {
        MemberVote {
            candidate: node(candidate),
            add,
        }
    }

    /// Counts votes given as (voter, candidate, add); the validators after each.
    fn after(first: u32, votes: &[(u32, u32, bool)]) -> Vec<Vec<u32>> {
        let (mut members, mut tally) = (Committee::equal(first), Votes::default());
        let one = |&(voter, candidate, add): &(u32, u32, bool)| {
            if tally.count(node(voter), vote(candidate, add), &members) {
                members = members.elect(node(candidate), u64::from(add));
            }
            members.members().map(NodeId::get).collect()
        };
        votes.iter().map(one).collect()
    }

    /// source: hyperledger/besu `VoteTally`: more than half of the current validators.
    #[test]
    fn more_than_half_decide() {
        let add = |voter| (voter, 9, true);
        let last = |n, votes: &[_]| after(n, votes).pop().unwrap();
        assert_eq!(last(1, &[add(0)]), [0, 9]);
        assert_eq!(last(2, &[add(0)]), [0, 1]);
        assert_eq!(last(2, &[add(0), add(1)]), [0, 1, 9]);
        assert_eq!(last(4, &[add(0), add(1)]), [0, 1, 2, 3]);
        assert_eq!(last(4, &[add(0), add(1), add(1)]), [0, 1, 2, 3]);
        assert_eq!(last(4, &[add(0), add(1), add(3)]), [0, 1, 2, 3, 9]);
        assert_eq!(last(3, &[(0, 1, false), (1, 1, false)]), [0, 2]);
        assert_eq!(last(1, &[(0, 0, false)]), [0], "the last one stays");
    }

    #[test]
    fn a_vote_replaces_the_opposite_one_of_the_same_validator() {
        let votes = [(0, 9, true), (1, 9, true), (1, 9, false), (2, 9, true)];
        assert_eq!(after(4, &votes).pop().unwrap(), [0, 1, 2, 3]);
    }

    /// Without node 3 two of three are more than half; and its own vote to remove node 0 is gone.
    #[test]
    fn who_leaves_takes_its_votes_along() {
        let votes = [
            (3, 0, false),
            (0, 3, false),
            (1, 3, false),
            (2, 3, false),
            (1, 0, false),
            (2, 0, false),
        ];
        let sets = after(4, &votes);
        assert_eq!(sets[3..], [vec![0, 1, 2], vec![0, 1, 2], vec![1, 2]]);
    }

    #[test]
    fn votes_about_who_joined_start_anew() {
        let votes = [
            (0, 9, true),
            (1, 9, true),
            (2, 9, true),
            (0, 9, false),
            (1, 9, false),
            (2, 9, false),
        ];
        let sets = after(4, &votes);
        assert_eq!(sets[2], [0, 1, 2, 3, 9]);
        assert_eq!(sets[4], [0, 1, 2, 3, 9]);
        assert_eq!(sets[5], [0, 1, 2, 3]);
    }

    #[test]
    fn wishes_take_turns_until_they_are_cast() {
        let wish = |from_s, candidate, add| Wish {
            from_s,
            validators: vec![0, 1],
            candidate,
            add,
        };
        let wishes = [
            wish(0.0, 8, true),
            wish(0.0, 9, true),
            wish(0.0, 2, true),
            wish(5.0, 8, false),
        ];
        let (members, mut tally) = (Committee::equal(4), Votes::default());
        let next = |tally: &mut Votes, me, s| {
            let cast = tally.next(node(me), Time::ZERO + Span::from_s(s), &wishes, &members);
            if let Some(vote) = cast {
                tally.count(node(me), vote, &members);
            }
            cast
        };
        // Node 2 is a validator already; node 3 wishes nothing.
        assert_eq!(next(&mut tally, 0, 0), Some(vote(9, true)));
        assert_eq!(next(&mut tally, 0, 0), Some(vote(8, true)));
        assert_eq!(next(&mut tally, 0, 0), None);
        assert_eq!(next(&mut tally, 3, 0), None);
        // From 5 s on it takes its vote back, once.
        assert_eq!(next(&mut tally, 0, 5), Some(vote(8, false)));
        assert_eq!(next(&mut tally, 0, 5), None);
        tally.forget();
        assert_eq!(next(&mut tally, 0, 5), Some(vote(9, true)));
        assert_eq!(next(&mut tally, 0, 5), None);
    }
}
