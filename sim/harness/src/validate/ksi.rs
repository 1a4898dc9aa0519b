//! Keyless signatures: waits of the tree and the core, what an entry weighs, seconds without one.

use super::world::World;
use super::{Check, Family, Params};
use quorate_consensus::ksi::{Config, Drawn, Ksi, Offset};
use quorate_core::{Engine, Level, Span};
use quorate_kernel::{Report, Status};

/// Proofs that something existed at a time.
pub const FAMILY: Family = Family {
    name: "ksi",
    known: include_str!("known/ksi.csv"),
    checks: &[
        Check {
            name: "proof_ms",
            run: proof_ms,
        },
        Check {
            name: "proof_drawn_ms",
            run: proof_drawn_ms,
        },
        Check {
            name: "load_ratio",
            run: load_ratio,
        },
        Check {
            name: "entry_bytes",
            run: |params| {
                traffic(params, |report, kind| {
                    bytes_of(report, kind) / entries(report)
                })
            },
        },
        Check {
            name: "core_messages",
            run: |params| traffic(params, core_messages),
        },
        Check {
            name: "skipped",
            run: skipped,
        },
    ],
};

/// The parameters that all share.
struct Basis {
    n: u32,
    delay: Span,
    config: Config,
}

impl Basis {
    /// `n` gateways, `d_ms` between any two, and the engine's `core`, `levels`, `fan_out`, `round_ms`
    /// and `offset_ms` (none for instants that everybody draws).
    fn read(params: &Params, drawn: bool) -> Result<Self, String> {
        let ksi = Config::default();
        let config = Config {
            core: params.number_or("core", ksi.core)?,
            levels: params.number_or("levels", ksi.levels)?,
            fan_out: params.number_or("fan_out", ksi.fan_out)?,
            round_ms: params.number_or("round_ms", ksi.round_ms)?,
            offset_ms: if drawn {
                Offset::Drawn(Drawn::Random)
            } else {
                Offset::Each(params.number_or("offset_ms", 100)?)
            },
            ..ksi
        };
        let n = params.u32("n")?;
        if n == 0 {
            return Err("somebody must submit".to_owned());
        }
        Ksi::validate(&config, n).map_err(|e| format!("`{}`: {}", e.key, e.why))?;
        let delay = Span::from_ms_f64(params.number_or("d_ms", 10.0)?);
        Ok(Self { n, delay, config })
    }

    /// Everybody submits, `rate` altogether.
    fn world(&self, rate: f64, horizon: Span) -> World {
        World::new(self.n, self.delay, horizon).offered(rate, self.n)
    }

    fn run(&self, world: &World) -> Result<Report, String> {
        let report = world.run::<Ksi>(&self.config);
        match report.status {
            Status::Ok => Ok(report),
            status => Err(format!("{status:?}: {:?}", report.violation)),
        }
    }
}

/// Mean time until what is submitted is final at its gateway.
fn mean_ms(report: &Report) -> f64 {
    report.probe.classes[0].latency[Level::Final as usize].mean() / 1_000.0
}

/// Mean time from a submission until its gateway has the proof, when levels close in turn.
fn proof_ms(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params, false)?;
    let (rate, load_s) = (params.f64("rate")?, params.number("load_s")?);
    let report = basis.run(&basis.world(rate, Span::from_s(load_s)))?;
    Ok(mean_ms(&report))
}

/// The same over so many `runs`, in each of which everybody draws when its rounds end.
fn proof_drawn_ms(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params, true)?;
    let (rate, load_s) = (params.f64("rate")?, params.number("load_s")?);
    let runs: u64 = params.number("runs")?;
    let mut sum = 0.0;
    for run in 0..runs {
        let world = basis.world(rate, Span::from_s(load_s)).seed(run + 1);
        let report = basis.run(&world)?;
        sum += mean_ms(&report);
    }
    Ok(sum / runs as f64)
}

/// The mean at `rate` over that at `base`.
fn load_ratio(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params, false)?;
    let load_s = params.number("load_s")?;
    let mean = |rate| {
        let report = basis.run(&basis.world(rate, Span::from_s(load_s)))?;
        Ok::<f64, String>(mean_ms(&report))
    };
    Ok(mean(params.f64("rate")?)? / mean(params.f64("base")?)?)
}

fn messages_of(report: &Report, kind: &str) -> f64 {
    let found = report.traffic.iter().find(|(k, _)| *k == kind);
    found.map_or(0.0, |(_, t)| t.messages as f64)
}

fn bytes_of(report: &Report, kind: &str) -> f64 {
    let found = report.traffic.iter().find(|(k, _)| *k == kind);
    found.map_or(0.0, |(_, t)| t.bytes as f64)
}

fn entries(report: &Report) -> f64 {
    messages_of(report, "entry")
}

/// Messages of the core and its answers, by calendar entry.
fn core_messages(report: &Report, _: &str) -> f64 {
    let kinds = ["collect", "promise", "propose", "ack", "entry"];
    let sum: f64 = kinds.iter().map(|kind| messages_of(report, kind)).sum();
    sum / report.chain.built as f64
}

fn traffic(params: &Params, figure: fn(&Report, &str) -> f64) -> Result<f64, String> {
    let basis = Basis::read(params, false)?;
    let (rate, load_s): (f64, u64) = (params.f64("rate")?, params.number("load_s")?);
    // Half a second after the last entry.
    let world = basis.world(rate, Span::from_s(load_s) + Span::from_ms(500));
    Ok(figure(&basis.run(&world)?, "entry"))
}

/// Seconds without an entry while the core is cut in two for `cut_s`, from the middle of a second to
/// that of another. The leader of the first proposes before it knows, and what was acknowledged then is
/// committed after the cut.
fn skipped(params: &Params) -> Result<f64, String> {
    let basis = Basis::read(params, false)?;
    let cut_s: u64 = params.number("cut_s")?;
    let apart: Vec<u32> = (0..params.u32("apart")?).collect();
    let half = Span::from_ns(Span::from_ms(basis.config.round_ms).ns() / 2);
    let round = half * 2;
    let (from, until) = (round * 10 + half, round * (10 + cut_s) + half);
    let end = until + round * 20;
    let world = basis.world(params.f64("rate")?, end);
    let report = basis.run(&world.partition(&apart, from, until))?;
    // The run goes on until all is final: what is counted ends where it does.
    let whole = report.ended.ns() / round.ns();
    Ok(whole as f64 - report.chain.final_height as f64)
}
