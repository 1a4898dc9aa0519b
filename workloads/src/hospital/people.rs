//! Who is cared for, and where.

use super::Config;
use crate::rules::Layout;
use crate::skew::{Sites, Skew};
use quorate_core::{Draws, hash};

/// Patients and where they are cared for.
pub(super) struct People {
    skew: Skew,
    sites: Sites,
    home_share: f64,
}

impl People {
    pub(super) fn new(config: &Config, patients: u32) -> Self {
        Self {
            skew: Skew::log_normal(patients, config.patient_sigma),
            sites: Sites::log_normal(config.sites(), config.site_sigma),
            home_share: config.home_share,
        }
    }

    pub(super) fn sites(&self) -> u16 {
        self.sites.count()
    }

    /// A site by size, but not this one, if there is another.
    pub(super) fn other_site(&self, site: u16, bits: u64) -> u16 {
        self.sites.other(site, bits)
    }

    /// A patient's, prescription's or claim's own site.
    pub(super) fn home(&self, who: u32) -> u16 {
        self.sites.at(hash::fold_all(3, &[u64::from(who)]))
    }

    /// The organisation that a consent is for. The first of a patient's is the home site.
    pub(super) fn grantee(&self, consent: u32) -> u16 {
        let home = self.home(consent / Layout::GRANTEES);
        if consent.is_multiple_of(Layout::GRANTEES) {
            return home;
        }
        self.sites
            .other(home, hash::fold_all(4, &[u64::from(consent)]))
    }

    /// The home site, or any.
    pub(super) fn place(&self, who: u32, draws: &mut Draws) -> u16 {
        if draws.chance(self.home_share) {
            self.home(who)
        } else {
            self.sites.at(draws.bits())
        }
    }

    pub(super) fn patient(&self, draws: &mut Draws) -> u32 {
        self.skew.pick(draws.open01())
    }

    /// A patient's consent to the home site with the home share, else to one of the others.
    pub(super) fn consent(&self, draws: &mut Draws) -> u32 {
        let first = self.patient(draws) * Layout::GRANTEES;
        let lot = draws.open01();
        if lot < self.home_share {
            return first;
        }
        let others = f64::from(Layout::GRANTEES - 1);
        let other = (lot - self.home_share) / (1.0 - self.home_share) * others;
        first + 1 + (other as u32).min(Layout::GRANTEES - 2)
    }

    /// Any of a patient's consents from number `first` on.
    pub(super) fn consent_from(&self, first: u32, draws: &mut Draws) -> u32 {
        let patient = self.patient(draws);
        let which = draws.below(u64::from(Layout::GRANTEES - first)) as u32;
        patient * Layout::GRANTEES + first + which
    }
}
