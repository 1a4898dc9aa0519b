//! What a regulator asks of a ledger: obligations, the figures that bear on them, and what is not assessed;
//! where data about people lie, how many there are and what can be linked.

use crate::plan::Plan;
use crate::study::{Part, Study};
use crate::words::short;
use quorate_core::{Kind, Seed};

/// Sentences that stand above every such page.
pub(crate) const FIXED: [&str; 2] = [
    "A hash of personal data may still be personal data.",
    "This is not a compliance assessment.",
];

/// What a law asks for, and what the simulator can say about it.
pub(crate) struct Obligation {
    /// Law and section.
    pub(crate) law: &'static str,
    /// What it asks for.
    pub(crate) asks: &'static str,
    /// Figures that bear on it, see [`crate::question`]; those of the part's workload are shown.
    pub(crate) evidence: &'static [&'static str],
    /// What they say nothing about.
    pub(crate) left_out: &'static str,
}

/// In the order of the page; `docs/regulator.md` has the same rows.
pub(crate) const OBLIGATIONS: &[Obligation] = &[
    Obligation {
        law: "HIPAA audit controls, 45 CFR 164.312(b)",
        asks: "record and examine activity in systems that hold health information",
        evidence: &[
            "95 of 100 accesses are on record, and irrevocable, after {access.record:final:p(95)}",
        ],
        left_out: "whether systems report every access, and whether anybody examines the records",
    },
    Obligation {
        law: "HIPAA emergency access, 45 CFR 164.312(a)(2)(ii)",
        asks: "obtain the information that is needed in an emergency",
        evidence: &[
            "95 of 100 emergency accesses are on record after {access.breakglass:final:p(95)}",
        ],
        left_out: "that the access itself waits for no ledger, which is up to the system; its review",
    },
    Obligation {
        law: "GDPR withdrawal of consent, Article 7(3)",
        asks: "withdrawing is as easy as giving, and what follows stops",
        evidence: &[
            "95 of 100 revocations are in every site's view after {consent.revoke:exposure:p(95)}",
            "95 of 100 withdrawals are in every site's view after {trial.withdraw:exposure:p(95)}",
        ],
        left_out: "processing that asks no ledger; how easy it is for the person",
    },
    Obligation {
        law: "GDPR erasure, Article 17",
        asks: "erase personal data without undue delay where a ground applies",
        evidence: &[],
        left_out: "nothing is erased from an append-only ledger: see what lies on it below. Exceptions \
                   (Article 17(3)), and whether destroying keys or records off the ledger suffices",
    },
    Obligation {
        law: "GDPR minimisation, Article 5(1)(c)",
        asks: "no more personal data than the purpose needs",
        evidence: &[],
        left_out: "purposes. What a year puts on every node, as hash and in full, stands below",
    },
    Obligation {
        law: "GDPR transfers, Chapter V",
        asks: "personal data leave the Union only under the chapter's conditions",
        evidence: &[],
        left_out: "adequacy, clauses and contracts. Regions that hold a copy stand below",
    },
    Obligation {
        law: "21 CFR 11.10(e), audit trail",
        asks: "time-stamped records of who entered, changed or deleted what, and when",
        evidence: &[
            "data are irrevocable after {trial.capture:final:p(95)} in 95 of 100 cases",
            "{on_record_at_lock:share} of what came before a lock is on record before it",
            "{entered_after_lock:share} of the entries that a lock kept out had been taken by their site",
        ],
        left_out: "validation of systems (11.10(a)), signatures (11.50 to 11.300), retention, copies for inspection",
    },
    Obligation {
        law: "21 CFR 312.32(c), IND safety reports",
        asks: "fatal or life-threatening events within 7 calendar days, serious unexpected ones within 15",
        evidence: &[
            "the slowest serious event is irrevocable after {trial.sae:final:max}",
            "{late_safety_reports:share} missed their clock",
        ],
        left_out: "who recognises an event as such, and when; the report itself",
    },
    Obligation {
        law: "DSCSA verification and tracing, 21 U.S.C. 360eee-1",
        asks: "answer requests for verification within 24 hours, trace within a business day, verify returns before resale",
        evidence: &[
            "95 of 100 verifications are answered within {drug.verify:served:p(95)}",
            "a return may be sold again after {return_to_resale_ms:p(95)} in 95 of 100 cases",
        ],
        left_out: "authorised partners, licences, and goods whose scan never came",
    },
    Obligation {
        law: "FMD, Delegated Regulation (EU) 2016/161, Articles 25 and 35",
        asks: "verify and decommission when supplying; 95 % of answers within 300 ms; repositories lie in the Union",
        evidence: &[
            "95 of 100 verifications are answered within {drug.verify:served:p(95)}",
            "a dispensed pack is known everywhere after {drug.dispense:exposure:p(95)} in 95 of 100 cases",
            "{units_after_recall:share} of what was asked for after a recall was handed out",
        ],
        left_out: "the tamper-evident seal, the hubs between markets, and the paper of packs without a code",
    },
];

/// Whose data a class of transactions is about.
struct Whose {
    prefix: &'static str,
    /// A person, as far as the ledger knows.
    person: bool,
    subject: &'static str,
}

const fn person(prefix: &'static str, subject: &'static str) -> Whose {
    Whose {
        prefix,
        person: true,
        subject,
    }
}

const fn nobody(prefix: &'static str, subject: &'static str) -> Whose {
    Whose {
        prefix,
        person: false,
        subject,
    }
}

/// The first that fits a class counts.
// assumption: identifiers of people are pseudonyms that some organisation can resolve, so that all that
// is recorded under one is about a person (recital 26 of the GDPR).
const WHOSE: &[Whose] = &[
    nobody("anchor.", "many records at once, none by itself"),
    nobody(
        "drug.dispense",
        "a pack; whoever knows who was handed it, a patient",
    ),
    nobody("drug.", "a pack, case or lot"),
    nobody("trial.register", "a study"),
    nobody("trial.amend", "a study"),
    nobody("trial.lock", "a study; who signed"),
    nobody("trial.unlock", "a study; who signed"),
    person("trial.", "a subject"),
    person("claim.", "a patient and a payer"),
    person("access.", "a patient and who looked"),
    person("", "a patient"),
];

fn whose(class: &str) -> &'static Whose {
    let fits = |w: &&Whose| class.starts_with(w.prefix);
    WHOSE.iter().find(fits).expect("the last fits all")
}

/// What a class leaves on every node that keeps the ledger.
pub(crate) struct Held {
    /// The class.
    pub(crate) class: &'static str,
    /// Whose data it is about.
    pub(crate) whose: &'static str,
    /// Whether that is a person.
    pub(crate) person: bool,
    /// Records that were not there before, a year.
    pub(crate) new_per_year: f64,
    /// Writes a year at the plan's load.
    pub(crate) writes_per_year: f64,
    /// Bytes a year, as a hash and in full; one of them where the workload has no such choice.
    pub(crate) bytes_per_year: Vec<(&'static str, f64)>,
    /// The most writes that share one key among those looked at, and how many were looked at.
    pub(crate) linked: (u64, u64),
}

/// Most arrivals that are looked at.
// assumption: enough for rates, and a fraction of a second.
const LOOKED_AT: usize = 50_000;
// source: Julian year.
const YEAR_S: f64 = 365.25 * 86_400.0;

/// What each class of writes leaves on a replica a year, at the load that stands for the plan.
pub(crate) fn holdings(part: &Part) -> Vec<Held> {
    let forms = ["hash", "full"].map(|form| (form, part.workload.with_payload(form)));
    let mut held: Vec<Held> = Vec::new();
    for (form, workload) in &forms {
        let (form, workload) = match workload {
            Some(other) => (*form, other),
            None if held.is_empty() => ("as planned", &part.workload),
            None => continue,
        };
        let all = look(&part.plan, workload);
        if held.is_empty() {
            held = all;
        } else {
            // Sizes differ by form, numbers and times do not.
            for (to, from) in held.iter_mut().zip(all) {
                to.bytes_per_year.extend(from.bytes_per_year);
            }
        }
        for one in &mut held {
            if let Some(last) = one.bytes_per_year.last_mut() {
                last.0 = form;
            }
        }
    }
    held.retain(|h| h.linked.1 > 0);
    held
}

fn look(plan: &Plan, workload: &crate::workload::Workload) -> Vec<Held> {
    let built = workload.open(plan.judged_tps(), Seed::new(plan.seed, 0));
    let (mut load, old) = (built.load, built.ledger.preloaded());
    let classes = load.classes().to_vec();
    let mut keys: Vec<Vec<u32>> = vec![Vec::new(); classes.len()];
    let mut bytes = vec![0_u64; classes.len()];
    let mut until_s = 0.0;
    for _ in 0..LOOKED_AT {
        let Some(arrival) = load.next() else { break };
        // A generator without a rate follows the hours of the day: whole days are looked at, if so many
        // are planned.
        if plan.judged_tps().is_none() && arrival.at.as_s() > plan.load.duration_s {
            break;
        }
        until_s = arrival.at.as_s();
        let class = arrival.class.index();
        if classes[class].kind != Kind::Read {
            keys[class].push(arrival.key.get());
            bytes[class] += u64::from(arrival.bytes);
        }
    }
    let times = YEAR_S / f64::max(until_s, 1.0);
    let each = classes.iter().zip(keys).zip(bytes);
    each.map(|((class, mut keys), bytes)| {
        keys.sort_unstable();
        let runs = || keys.chunk_by(|a, b| a == b);
        let new = runs().filter(|run| run[0] >= old).count();
        let whose = whose(class.name);
        Held {
            class: class.name,
            whose: whose.subject,
            person: whose.person,
            writes_per_year: keys.len() as f64 * times,
            bytes_per_year: vec![("", bytes as f64 * times)],
            new_per_year: new as f64 * times,
            linked: (
                runs().map(<[u32]>::len).max().unwrap_or(0) as u64,
                keys.len() as u64,
            ),
        }
    })
    .collect()
}

/// A region with what law it lies under, as far as that is known, and how many nodes are there.
pub(crate) fn jurisdictions(plan: &Plan) -> Vec<(String, u32)> {
    let regions = &plan.network.regions;
    let mut nodes = vec![0_u32; regions.len()];
    for region in plan.network.region_of() {
        nodes[usize::from(region)] += 1;
    }
    let named = regions.iter().map(|region| match jurisdiction(region) {
        Some(law) => format!("{region} ({law})"),
        None => format!("{region} (its law is not known here)"),
    });
    named.zip(nodes).filter(|(_, n)| *n > 0).collect()
}

/// Where the regions of the cloud table lie.
// source: AWS documentation, "AWS Regions".
fn jurisdiction(region: &str) -> Option<&'static str> {
    Some(match region {
        "us-east-1" => "Virginia, United States",
        "us-west-1" => "California, United States",
        "us-west-2" => "Oregon, United States",
        "eu-west-1" => "Ireland, European Union",
        "eu-central-1" => "Germany, European Union",
        "ap-northeast-1" => "Japan",
        "ap-northeast-2" => "Korea",
        "ap-southeast-1" => "Singapore",
        "ap-southeast-2" => "Australia",
        "sa-east-1" => "Brazil",
        _ => return None,
    })
}

/// Bytes a year in a unit that reads well.
pub(crate) fn volume(bytes: f64) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut scaled = bytes;
    let mut unit = 0;
    while scaled >= 1e3 && unit + 1 < UNITS.len() {
        scaled /= 1e3;
        unit += 1;
    }
    format!("{} {}", short(scaled), UNITS[unit])
}

/// The workloads that put whole records on the ledger, a sentence each.
pub(crate) fn warnings(study: &Study) -> Vec<String> {
    let mut warned: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for part in study.parts.iter().filter(|p| p.workload.is_full()) {
        if !warned.contains(&part.label.as_str()) {
            warned.push(&part.label);
            lines.push(format!(
                "{}: payload = \"full\" puts whole records on {} nodes, for good; use \"hash\" unless that \
                 is what you ask about",
                part.label, part.plan.network.nodes
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Template;
    use quorate_workloads::{Rate, Setup, WorkloadKind};

    #[test]
    fn evidence_is_made_of_figures() {
        for obligation in OBLIGATIONS {
            for text in obligation.evidence {
                let template = Template::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
                assert_ne!(template.figures().count(), 0, "{text}");
            }
        }
    }

    /// The page in the documentation and the one in a report say the same.
    #[test]
    fn the_documentation_has_every_obligation() {
        let page = include_str!("../../../docs/regulator.md");
        for obligation in OBLIGATIONS {
            for text in [obligation.law, obligation.asks] {
                assert!(page.contains(text), "docs/regulator.md lacks: {text}");
            }
        }
        for sentence in FIXED {
            assert!(
                page.contains(sentence),
                "docs/regulator.md lacks: {sentence}"
            );
        }
    }

    /// No class of any generator is about a person by oversight alone: those that fall through are named.
    #[test]
    fn classes_are_about_somebody() {
        let mut about_patients = Vec::new();
        for kind in WorkloadKind::ALL {
            let Ok(spec) = kind.parse(toml::Table::new()) else {
                continue;
            };
            let mut open = |_: &str| Err(std::io::ErrorKind::NotFound.into());
            let built = spec.build(Setup {
                rate: Some(Rate::Flat { per_s: 10.0 }),
                seed: Seed::new(1, 0),
                open: &mut open,
            });
            let Ok(built) = built else { continue };
            let names = built.load.classes().iter().map(|c| c.name);
            about_patients.extend(names.filter(|n| whose(n).prefix.is_empty()));
        }
        about_patients.sort_unstable();
        let kinds: Vec<&str> = about_patients
            .iter()
            .map(|n| n.split('.').next().unwrap_or_default())
            .collect();
        for kind in kinds {
            let known = [
                "consent",
                "record",
                "exchange",
                "report",
                "erx",
                "identity",
                "visit",
                "order",
                "result",
                "dose",
                "procedure",
                "immunization",
                "charge",
                "note",
            ];
            assert!(known.contains(&kind), "whose data is {kind}.*?");
        }
        assert!(!whose("drug.ship").person && !whose("trial.lock").person);
        assert!(whose("trial.capture").person && whose("erx.issue").person);
    }

    #[test]
    fn volumes_read_well() {
        assert_eq!(volume(0.0), "0.000 B");
        assert_eq!(volume(2.05e12), "2.05 TB");
        assert_eq!(volume(999.0), "999 B");
    }
}
