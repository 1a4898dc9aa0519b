//! What is measured. Each bench target runs the [`Case`]s of one module at [`Scale::Real`]; the
//! tests run the same cases at [`Scale::Smoke`], so that no bench can rot.
//!
//! Goals and figures stand at the top of each module. The figures are ranges of Criterion's medians
//! over five runs on one core of a 2-core cloud machine (Xeon, 2.6 GHz) at a load of 2 to 4 from
//! other jobs, which alone moves them by up to half: compare what stands side by side in one run.
//! The kernel changed between the runs. Goals are those of a machine at rest; a missed one is
//! marked so.
//!
//! Non-goals: memory, efficiency on several cores, other simulators, and the time to read plans and
//! to write results.

pub mod budget;
pub mod end_to_end;
pub mod engines;
pub mod network;
pub mod pipeline;
pub mod queue;
pub mod workload;

mod world;

/// How much a case does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// As little as reaches every line: tests.
    Smoke,
    /// What the figures are quoted for.
    Real,
}

impl Scale {
    /// The value of a parameter at this scale.
    pub const fn of(self, smoke: u64, real: u64) -> u64 {
        match self {
            Self::Smoke => smoke,
            Self::Real => real,
        }
    }
}

/// What one run did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Units of work (holds, node-blocks, messages, arrivals), as the operation's doc says.
    pub work: u64,
    /// Hash of the result. It depends on nothing but the parameters.
    pub hash: u64,
    /// Events that the kernel executed for it; 0 where there is no kernel.
    pub events: u64,
}

/// One thing to measure.
pub struct Case {
    /// Such as `queue::hold`.
    pub operation: &'static str,
    /// Such as `law=mixed pending=10000`.
    pub parameters: String,
    run: Box<dyn FnMut() -> Outcome>,
}

impl Case {
    /// A case; `run` is called again and again, always for the same amount of work.
    pub fn new(
        operation: &'static str,
        parameters: String,
        run: impl FnMut() -> Outcome + 'static,
    ) -> Self {
        Self {
            operation,
            parameters,
            run: Box::new(run),
        }
    }

    /// `module::operation/key=value key=value`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.operation, self.parameters)
    }

    /// Runs it once. Cases with a state that lasts, such as a filled queue, go on from where they
    /// were; what their first run costs besides is preparation.
    pub fn run(&mut self) -> Outcome {
        (self.run)()
    }
}

/// The cases of all bench targets.
pub fn all(scale: Scale) -> Vec<Case> {
    let modules = [
        queue::cases(scale),
        network::cases(scale),
        engines::cases(scale),
        workload::cases(scale),
        pipeline::cases(scale),
        end_to_end::cases(scale),
    ];
    modules.into_iter().flatten().collect()
}

/// Folds a word into a hash for a nanosecond: weaker than [`quorate_core::hash::fold`], but order
/// still matters, and a changed word changes the result.
const fn stir(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
