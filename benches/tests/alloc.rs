//! Allocations once a simulation is under way: what a run allocates beyond one of a third its
//! length. No event allocates. What is left:
//!
//! - one row of watermarks for each block that is built, kept as long as the block is;
//! - pages of histograms at the first latency in their range, and collections that double when they
//!   are fuller than ever before. Both end; the table says how many are left in these lengths.

use allocation_counter::{AllocationInfo, measure};
use quorate_benches::{Outcome, end_to_end, engines, network};

struct Job {
    name: &'static str,
    run: fn(u64) -> Outcome,
    /// Blocks of the shorter run, or seconds, which have a block each.
    short: u64,
    /// Most pages and doublings.
    // assumption: half as many again as were counted in November 2026.
    pages: u64,
}

const JOBS: [Job; 8] = [
    Job {
        name: "flood, 1,000 nodes",
        run: |blocks| network::flood(1_000, blocks),
        short: 50,
        pages: 340,
    },
    Job {
        name: "flood as events, 300 nodes",
        run: |blocks| network::flood_events(300, blocks),
        short: 50,
        pages: 340,
    },
    Job {
        name: "qbft, n = 16",
        run: |blocks| engines::qbft(16, blocks),
        short: 500,
        pages: 30,
    },
    Job {
        name: "qbft, n = 64",
        run: |blocks| engines::qbft(64, blocks),
        short: 100,
        pages: 30,
    },
    Job {
        name: "qbft as events, n = 16",
        run: |blocks| engines::qbft_events(16, blocks),
        short: 100,
        pages: 30,
    },
    Job {
        name: "nakamoto in a mesh, n = 12",
        run: |blocks| engines::nakamoto_mesh(12, blocks),
        short: 500,
        pages: 230,
    },
    Job {
        name: "hospital, 33 writes/s",
        run: |seconds| end_to_end::qbft_hospital(33, seconds, 1),
        short: 300,
        pages: 810,
    },
    Job {
        name: "hospital, 1,000 writes/s",
        run: |seconds| end_to_end::qbft_hospital(1_000, seconds, 1),
        short: 30,
        pages: 610,
    },
];

fn counted(run: fn(u64) -> Outcome, size: u64) -> (Outcome, AllocationInfo) {
    let mut outcome = None;
    let info = measure(|| outcome = Some(run(size)));
    (outcome.expect("it ran"), info)
}

#[test]
fn no_event_allocates_once_a_run_is_under_way() {
    let mut over = Vec::new();
    for job in JOBS {
        let (short, before) = counted(job.run, job.short);
        let (long, after) = counted(job.run, 3 * job.short);
        let (events, work) = (long.events - short.events, long.work - short.work);
        let count = after.count_total.saturating_sub(before.count_total);
        let most = 2 * job.short + job.pages;
        let line = format!(
            "{}: {count} allocations in {events} events and {work} units of work, at most {most}",
            job.name
        );
        if count > most {
            over.push(line);
        }
    }
    assert!(over.is_empty(), "{}", over.join("\n"));
}
