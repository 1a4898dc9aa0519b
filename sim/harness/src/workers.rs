//! Threads that run units, longest first, within a budget of time and memory; and one that takes what
//! they finish, which is the caller's.

#![expect(
    clippy::disallowed_types,
    reason = "a budget of real time; results do not depend on it"
)]

use crate::error::Error;
use crate::predict;
use crate::record;
use crate::run::{self, STOP, Task};
use crate::study::Study;
use crate::unit::Done;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often the caller's thread looks up.
const TICK: Duration = Duration::from_millis(50);

/// How long running units may take to end once nothing new begins. Together with a tick and a sync it
/// stays below the two seconds in which a stopped run is to be saved.
const GRACE: Duration = Duration::from_millis(1_200);

/// What a run may take.
#[derive(Clone, Debug)]
pub struct Budget {
    /// When it began.
    pub began: Instant,
    /// Nothing is begun that is predicted to end later.
    pub time: Option<Duration>,
    /// Bytes that units may take together.
    pub memory: Option<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            time: None,
            memory: None,
        }
    }
}

/// A finished unit on its way: its place among the tasks, and its bytes where they are wanted.
type Finished = (usize, Result<(Done, Vec<u8>), Error>);

/// What takes finished units.
pub(crate) trait Sink {
    /// A unit is finished.
    fn add(&mut self, task: usize, done: Done, bytes: &[u8]) -> Result<(), Error>;
    /// Nothing has happened for a moment.
    fn tick(&mut self) -> Result<(), Error>;
    /// Running units are given up with this error: the process ends.
    fn abandon(&mut self, error: Error) -> !;
}

/// Runs tasks in their order; returns how many were not begun because of the budget.
///
/// # Errors
/// The first one: of a unit, of the sink, or that it was stopped.
pub(crate) fn run(
    study: &Study,
    tasks: &[Task],
    budget: &Budget,
    (command, encodes): (&str, bool),
    sink: &mut dyn Sink,
) -> Result<usize, Error> {
    let queue = Queue::new(study, tasks, budget);
    let threads = rayon::current_num_threads().min(tasks.len());
    thread::scope(|scope| {
        let (send, receive) = mpsc::channel::<Finished>();
        for _ in 0..threads {
            let (queue, send) = (&queue, send.clone());
            scope.spawn(move || {
                while let Some(task) = queue.next() {
                    let (p, _, key) = tasks[task];
                    let began = Instant::now();
                    let done = run::guarded(&study.parts[p], key, command);
                    queue.ended(task, began.elapsed());
                    let bytes = |d: &Done| {
                        if encodes {
                            record::encode(p, d)
                        } else {
                            Vec::new()
                        }
                    };
                    let done = done.map(|done| {
                        let bytes = bytes(&done);
                        (done, bytes)
                    });
                    if send.send((task, done)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        collect(&queue, &receive, sink)
    })?;
    Ok(queue.lock().left)
}

/// Takes what is finished until all workers are done, or nothing is waited for any more.
fn collect(
    queue: &Queue<'_>,
    receive: &mpsc::Receiver<Finished>,
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut wrong: Option<Error> = None;
    let mut stopped: Option<Instant> = None;
    loop {
        let step = match receive.recv_timeout(TICK) {
            Ok((task, Ok((done, bytes)))) => sink.add(task, done, &bytes),
            Ok((_, Err(error))) => Err(error),
            Err(RecvTimeoutError::Timeout) => sink.tick(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Err(error) = step {
            queue.closed.store(true, Ordering::Relaxed);
            wrong.get_or_insert(error);
        }
        if STOP.load(Ordering::Relaxed) {
            // A person waits; after any other error what runs may end.
            let error = wrong.get_or_insert_with(Error::interrupted);
            let since = *stopped.get_or_insert_with(Instant::now);
            if since.elapsed() > GRACE {
                sink.abandon(error.clone());
            }
        }
    }
    wrong.map_or(Ok(()), Err)
}

/// Tasks that wait.
struct Queue<'a> {
    study: &'a Study,
    tasks: &'a [Task],
    budget: &'a Budget,
    /// Nothing more begins.
    closed: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: usize,
    /// Not begun because of the budget.
    left: usize,
    running: usize,
    /// Bytes that running units are predicted to take.
    reserved: u64,
    /// Seconds that a unit of work has taken, at most, by engine.
    pace: BTreeMap<usize, f64>,
}

impl<'a> Queue<'a> {
    fn new(study: &'a Study, tasks: &'a [Task], budget: &'a Budget) -> Self {
        Self {
            study,
            tasks,
            budget,
            closed: AtomicBool::new(false),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next task that fits.
    fn next(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            let is_closed = self.closed.load(Ordering::Relaxed) || STOP.load(Ordering::Relaxed);
            let task = state.next;
            if is_closed || task >= self.tasks.len() {
                return None;
            }
            if !self.is_in_time(&state, task) {
                state.next += 1;
                state.left += 1;
                continue;
            }
            let bytes = self.bytes(task);
            let is_full = self
                .budget
                .memory
                .is_some_and(|m| state.reserved + bytes > m);
            if state.running > 0 && is_full {
                let waited = self.changed.wait_timeout(state, TICK);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.next += 1;
            state.running += 1;
            state.reserved += bytes;
            return Some(task);
        }
    }

    fn ended(&self, task: usize, took: Duration) {
        let (p, _, key) = self.tasks[task];
        let work = predict::work(&self.study.parts[p], key);
        let mut state = self.lock();
        state.running -= 1;
        state.reserved -= self.bytes(task);
        let pace = state.pace.entry(key.engine).or_default();
        *pace = pace.max(took.as_secs_f64() / work);
        self.changed.notify_all();
    }

    fn bytes(&self, task: usize) -> u64 {
        let (p, _, key) = self.tasks[task];
        predict::unit_bytes(&self.study.parts[p], key)
    }

    /// Whether a task is predicted to end in time: by the slowest of its engine so far, or of any.
    fn is_in_time(&self, state: &State, task: usize) -> bool {
        let Some(time) = self.budget.time else {
            return true;
        };
        let (p, _, key) = self.tasks[task];
        let of_any = || state.pace.values().copied().reduce(f64::max);
        let pace = state.pace.get(&key.engine).copied().or_else(of_any);
        let work = predict::work(&self.study.parts[p], key);
        let takes = pace.unwrap_or(1.0) * work;
        self.budget.began.elapsed().as_secs_f64() + takes <= time.as_secs_f64()
    }
}
