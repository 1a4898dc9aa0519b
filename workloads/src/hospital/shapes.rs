//! What is not an ordinary week: a storm of revocations, sites that were offline and replay, users who
//! wait for the ledger.

use crate::Error;
use crate::rules::{Action, Layout};
use quorate_core::dist::exponential;
use quorate_core::math::ln;
use quorate_core::{Arrival, Draws, Outcome, Seed, Span, Time, open01_at};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// Many revoke at once, on top of all else.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// When it begins, s.
    pub from_s: f64,
    /// When it ends, s.
    pub until_s: f64,
    /// Revocations of each of the workload's people, in the mean.
    #[serde(default = "revocations_per_person")]
    pub revocations_per_person: f64,
    /// The rate in the last thirtieth of it, the last day of a month, times that before.
    #[serde(default = "last_day_factor")]
    pub last_day_factor: f64,
}

/// source: 1,339,862 opt-outs in England from 31 May to 30 June 2021 (BJGP Open, BJGPO.2024.0020);
/// assumption: of 56 million people.
const fn revocations_per_person() -> f64 {
    0.023_926
}

/// source: a spike at the end of the month; assumption: tenfold.
const fn last_day_factor() -> f64 {
    10.0
}

impl Storm {
    pub(super) fn check(&self) -> Result<(), Error> {
        let fits = self.from_s >= 0.0 && self.until_s > self.from_s && self.until_s <= 1e9;
        let hint = "after `from_s`, which is at least 0";
        Error::unless(fits, "storm.until_s", &self.until_s, hint)?;
        for (key, value, most) in [
            (
                "storm.revocations_per_person",
                self.revocations_per_person,
                4.0,
            ),
            ("storm.last_day_factor", self.last_day_factor, 1e3),
        ] {
            let fits = value > 0.0 && value <= most;
            Error::unless(fits, key, &value, "above 0, and at most 4 or 1,000")?;
        }
        Ok(())
    }
}

/// The storm's own clock and draws.
pub(super) struct Surge {
    storm: Storm,
    times: Draws,
    /// What each revocation draws.
    pub(super) draws: Draws,
    /// Revocations in the mean until now, and in all.
    spent: f64,
    all: f64,
    pub(super) at: Time,
}

impl Surge {
    pub(super) fn new(storm: Storm, people: u64, seed: Seed) -> Self {
        let mut surge = Self {
            storm,
            times: seed.stream("consent storm", 0),
            draws: seed.stream("consent storm", 1),
            spent: 0.0,
            all: storm.revocations_per_person * people as f64,
            at: Time::ZERO,
        };
        surge.advance();
        surge
    }

    /// Moves on to the next revocation, by the inverse of the mean number until then.
    pub(super) fn advance(&mut self) {
        self.spent -= ln(self.times.open01());
        let Storm {
            from_s,
            until_s,
            last_day_factor,
            ..
        } = self.storm;
        let day_s = (until_s - from_s) / 30.0;
        let per_s = self.all / (day_s * (29.0 + last_day_factor));
        let last = 29.0 * day_s * per_s;
        self.at = if self.spent >= self.all {
            Time::NEVER
        } else if self.spent < last {
            Time::ZERO + Span::from_s_f64(from_s + self.spent / per_s)
        } else {
            let rest_s = (self.spent - last) / (per_s * last_day_factor);
            Time::ZERO + Span::from_s_f64(from_s + 29.0 * day_s + rest_s)
        };
    }
}

/// Sites whose systems are offline, note what happens, and replay it in order.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backlog {
    /// How many, the largest first.
    pub sites: u16,
    /// When they go offline, s.
    pub from_s: f64,
    /// The shortest time that one of them is offline, s.
    #[serde(default = "least_s")]
    pub least_s: f64,
    /// The longest, s.
    #[serde(default = "most_s")]
    pub most_s: f64,
    /// Writes a second that each replays.
    pub per_s: f64,
}

/// source: the outage of Change Healthcare in 2024 took weeks; assumption: 1 to 14 days.
const fn least_s() -> f64 {
    86_400.0
}

const fn most_s() -> f64 {
    1_209_600.0
}

impl Backlog {
    pub(super) fn check(&self, sites: u16) -> Result<(), Error> {
        let fits = (1..=sites).contains(&self.sites);
        Error::unless(
            fits,
            "backlog.sites",
            &self.sites,
            "between 1 and all sites",
        )?;
        let fits = (0.0..=1e9).contains(&self.from_s);
        Error::unless(fits, "backlog.from_s", &self.from_s, "a time of at least 0")?;
        let fits = self.least_s > 0.0 && self.least_s <= self.most_s && self.most_s <= 1e8;
        let hint = "above 0, and no more than `most_s`";
        Error::unless(fits, "backlog.least_s", &self.least_s, hint)?;
        let fits = self.per_s > 0.0 && self.per_s <= 1e6;
        let hint = "a rate above 0 and at most a million";
        Error::unless(fits, "backlog.per_s", &self.per_s, hint)
    }
}

/// What one site has noted.
struct Noted {
    until: Time,
    /// When it may send the next.
    next: Time,
    writes: VecDeque<Arrival>,
}

/// Holds back what offline sites write, and what refers to it.
pub(super) struct Replay {
    from: Time,
    gap: Span,
    sites: Vec<Noted>,
    /// Which site holds writes of a record, and how many.
    held: BTreeMap<u32, (usize, u32)>,
    /// Generated and not yet sent.
    ahead: Option<Arrival>,
    /// Records of people, which others may go on to use.
    shared: u32,
}

impl Replay {
    pub(super) fn new(backlog: Backlog, layout: &Layout, seed: Seed) -> Self {
        let from = Time::ZERO + Span::from_s_f64(backlog.from_s);
        let key = seed.key("backlog");
        let site = |site: u16| {
            let part = open01_at(key, &[site.into()]);
            let offline_s = backlog.least_s + part * (backlog.most_s - backlog.least_s);
            let until = from + Span::from_s_f64(offline_s);
            Noted {
                until,
                next: until,
                writes: VecDeque::new(),
            }
        };
        Self {
            from,
            gap: Span::from_s_f64(1.0 / backlog.per_s),
            sites: (0..backlog.sites).map(site).collect(),
            held: BTreeMap::new(),
            ahead: None,
            shared: layout.consents().end,
        }
    }

    /// The next arrival of a load of which some is held back.
    pub(super) fn next(&mut self, mut draw: impl FnMut() -> Option<Arrival>) -> Option<Arrival> {
        loop {
            let ahead = self.ahead.take().or_else(&mut draw);
            let due = self.due();
            let at = ahead.map_or(Time::NEVER, |tx| tx.at);
            if let Some(site) = due.filter(|&site| self.sites[site].next <= at) {
                self.ahead = ahead;
                return self.replay(site);
            }
            let tx = ahead?;
            match self.holder(&tx) {
                None => return Some(tx),
                // Whoever is offline looks at nothing.
                Some(_) if tx.action == Action::AccessCheck as u8 => {}
                Some(site) => self.hold(site, tx),
            }
        }
    }

    /// The site that replays next.
    fn due(&self) -> Option<usize> {
        let waiting = (0..self.sites.len()).filter(|&site| !self.sites[site].writes.is_empty());
        waiting.min_by_key(|&site| (self.sites[site].next, site))
    }

    fn replay(&mut self, site: usize) -> Option<Arrival> {
        let noted = &mut self.sites[site];
        let mut tx = noted.writes.pop_front()?;
        tx.at = noted.next;
        noted.next += self.gap;
        for record in records(&tx) {
            if let Some((_, n)) = self.held.get_mut(&record) {
                *n -= 1;
                if *n == 0 {
                    self.held.remove(&record);
                }
            }
        }
        Some(tx)
    }

    /// Who holds a write back: its own site, while that is offline or replays, or the one that holds
    /// what it refers to.
    fn holder(&self, tx: &Arrival) -> Option<usize> {
        let site = usize::from(tx.site);
        let own = self.sites.get(site).is_some_and(|noted| {
            let offline = self.from <= tx.at && tx.at < noted.until;
            let replays = !noted.writes.is_empty() && tx.action != Action::AccessCheck as u8;
            offline || replays
        });
        if own {
            return Some(site);
        }
        let held = |record: u32| (record >= self.shared).then(|| self.held.get(&record))?;
        records(tx)
            .into_iter()
            .find_map(held)
            .map(|(site, _)| *site)
    }

    fn hold(&mut self, site: usize, tx: Arrival) {
        for record in records(&tx) {
            if record >= self.shared {
                self.held.entry(record).or_insert((site, 0)).1 += 1;
            }
        }
        let noted = &mut self.sites[site];
        // A backlog that was sent long ago does not hurry the next write.
        noted.next = noted.next.max(noted.until).max(tx.at);
        noted.writes.push_back(tx);
    }
}

/// The records that a write refers to: its key, and in contracts the operand.
fn records(tx: &Arrival) -> [u32; 2] {
    let other = match Action::ALL[usize::from(tx.action)] {
        Action::ClaimPay | Action::ClaimSubmit | Action::IdentityLink => tx.operand,
        _ => 0,
    };
    [tx.key.get(), other]
}

/// Users who each record an access, wait until it is final, think, and record the next.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClosedLoop {
    /// How many, on top of the open load.
    pub users: u32,
    /// Mean time to think, exponential, s.
    pub think_s: f64,
}

impl ClosedLoop {
    /// What every reader of its figures must know.
    pub(crate) const WARNING: &'static str = "`closed_loop`: users who wait submit less when the ledger \
        is slow, so that its latencies look better than they are (coordinated omission); only the open \
        load compares engines";

    pub(super) fn check(&self) -> Result<(), Error> {
        let fits = (1..=1_000_000).contains(&self.users);
        Error::unless(
            fits,
            "closed_loop.users",
            &self.users,
            "between 1 and a million",
        )?;
        let fits = self.think_s > 0.0 && self.think_s <= 86_400.0;
        Error::unless(
            fits,
            "closed_loop.think_s",
            &self.think_s,
            "above 0 and at most a day",
        )
    }
}

/// The users of a closed loop.
pub(super) struct Users {
    settings: ClosedLoop,
    seed: Seed,
    /// The first access of each, latest first: when, and of whom.
    first: Vec<(Time, u32)>,
}

/// What a user does next.
pub(super) struct Look {
    pub(super) at: Time,
    pub(super) user: u32,
    /// Draws whose records they see.
    pub(super) draws: Draws,
}

impl Users {
    pub(super) fn new(settings: ClosedLoop, seed: Seed) -> Self {
        let first = |user: u32| {
            let mut draws = seed.stream("closed loop", user.into());
            let wait_s = exponential(settings.think_s, &mut draws);
            (Time::ZERO + Span::from_s_f64(wait_s), user)
        };
        let mut first: Vec<_> = (0..settings.users).map(first).collect();
        first.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            settings,
            seed,
            first,
        }
    }

    /// When the next user begins.
    pub(super) fn at(&self) -> Time {
        self.first.last().map_or(Time::NEVER, |first| first.0)
    }

    pub(super) fn begin(&mut self) -> Option<Look> {
        let (at, user) = self.first.pop()?;
        let draws = self.seed.stream("closed loop look", user.into());
        Some(Look { at, user, draws })
    }

    /// The user of an access, if it is one of theirs, looks again. Keyed by the access.
    pub(super) fn again(&self, outcome: &Outcome) -> Option<Look> {
        let tx = &outcome.arrival;
        let theirs = tx.action == Action::AccessRecord as u8;
        let user = tx.operand.checked_sub(1).filter(|_| theirs)?;
        let key = u64::from(user) << 40 ^ tx.at.ns();
        let mut draws = self.seed.stream("closed loop think", key);
        let wait_s = exponential(self.settings.think_s, &mut draws);
        let at = outcome.final_at + Span::from_s_f64(wait_s);
        Some(Look { at, user, draws })
    }
}
