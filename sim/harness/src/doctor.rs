//! `quorate doctor`: whether this machine can run the program, and what to do where it cannot well.

use crate::error::{Error, exit};
use crate::output::{self, MODEL_VERSION};
use crate::screen;
use crate::terminal::{self, variable};
use serde_json::{Value, json};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Where results would go.
#[derive(clap::Args)]
pub(crate) struct Wanted {
    /// The folder that results would be put into
    #[arg(long, default_value = "results")]
    out: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Ok,
    Warn,
    /// Nothing can be run like this.
    Stop,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Stop => "STOP",
        }
    }
}

/// One thing that was looked at.
struct Check {
    what: &'static str,
    state: State,
    found: String,
    /// What to do; empty where all is well.
    remedy: &'static str,
}

impl Check {
    fn of(
        what: &'static str,
        state: State,
        found: impl Into<String>,
        remedy: &'static str,
    ) -> Self {
        let remedy = if state == State::Ok { "" } else { remedy };
        let found = found.into();
        Self {
            what,
            state,
            found,
            remedy,
        }
    }
}

/// Looks at everything; the code is 74 where results could not be written.
///
/// # Errors
/// None today: what is wrong is what is printed.
#[expect(clippy::unnecessary_wraps, reason = "the form of every command")]
pub(crate) fn run(wanted: &Wanted) -> Result<u8, Error> {
    let checks = [
        version(),
        folder(&wanted.out),
        disk(&wanted.out),
        cores(),
        memory(),
        screen_of_user(),
        locale(),
        Check::of(
            "fonts",
            State::Ok,
            "none needed: figures are SVG and name common families",
            "",
        ),
        tool(
            "valgrind",
            "only for `scripts/perf.sh`, which counts instructions; your package manager has it",
        ),
        browser(),
    ];
    let blocked = checks.iter().any(|c| c.state == State::Stop);
    let code = if blocked { exit::IO } else { exit::OK };
    let mut rows = vec![
        ["state", "what", "found", "remedy"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for check in &checks {
        let found = check.found.clone();
        rows.push(vec![
            check.state.name().to_owned(),
            check.what.to_owned(),
            found,
            check.remedy.to_owned(),
        ]);
    }
    let mut text = String::new();
    screen::table(&mut text, &rows);
    let document = || {
        let one = |c: &Check| json!({ "what": c.what, "state": c.state.name(), "found": c.found, "remedy": c.remedy });
        let checks: Vec<Value> = checks.iter().map(one).collect();
        json!({ "command": "doctor", "exit_code": code, "checks": checks })
    };
    let wrong = checks.iter().filter(|c| c.state != State::Ok);
    let silent: Vec<String> = wrong
        .map(|c| format!("{} {}: {}", c.state.name(), c.what, c.found))
        .collect();
    terminal::end(&text, document, &silent.join("\n"));
    Ok(code)
}

fn version() -> Check {
    let profile = if cfg!(debug_assertions) {
        "a debug build"
    } else {
        "a release build"
    };
    let found = format!(
        "quorate {}, model_version {MODEL_VERSION}, {profile} for {} {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let slow = cfg!(debug_assertions);
    let state = if slow { State::Warn } else { State::Ok };
    Check::of(
        "version",
        state,
        found,
        "build with --release: ten times as fast, same results",
    )
}

fn folder(out: &Path) -> Check {
    match output::probe(out) {
        Ok(()) => Check::of(
            "results folder",
            State::Ok,
            format!("{} can be written", out.display()),
            "",
        ),
        Err(error) => Check::of(
            "results folder",
            State::Stop,
            error.message,
            "name a folder that can be written with --out",
        ),
    }
}

/// The nearest folder above that is there.
fn existing(out: &Path) -> PathBuf {
    let here = PathBuf::from(".");
    let there = out.ancestors().find(|p| p.is_dir()).map(Path::to_owned);
    there.filter(|p| !p.as_os_str().is_empty()).unwrap_or(here)
}

fn disk(out: &Path) -> Check {
    const REMEDY: &str = "a comparison takes some 30 MB, latency histograms of long sweeps more: make room, or use --out";
    let place = existing(out);
    match fs4::available_space(&place) {
        // assumption: room for ten comparisons.
        Ok(free) if free >= 300 << 20 => {
            Check::of("disk", State::Ok, format!("{} free", size(free)), REMEDY)
        }
        Ok(free) => Check::of("disk", State::Warn, format!("{} free", size(free)), REMEDY),
        Err(e) => Check::of("disk", State::Warn, format!("cannot be asked: {e}"), REMEDY),
    }
}

fn size(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib >= 1.0 {
        format!("{gib:.1} GiB")
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

/// Threads that may run at once; cgroups and affinity are heeded.
fn cores() -> Check {
    const REMEDY: &str = "runs take longer; the results are the same on any number";
    match std::thread::available_parallelism() {
        Ok(cores) => {
            let state = if cores.get() > 1 {
                State::Ok
            } else {
                State::Warn
            };
            Check::of("cores", state, cores.to_string(), REMEDY)
        }
        Err(e) => Check::of(
            "cores",
            State::Warn,
            format!("cannot be asked: {e}"),
            REMEDY,
        ),
    }
}

/// Memory that may be used: what the machine has free, or what the control group allows, whichever is less.
fn memory() -> Check {
    const REMEDY: &str =
        "a comparison takes some 200 MB a core, scenarios up to 1 GB: use fewer --threads";
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let free = available(&read("/proc/meminfo"));
    let limit = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .into_iter()
    .find_map(|path| read(path).trim().parse::<u64>().ok());
    let Some(free) = free else {
        return Check::of("memory", State::Warn, "this system does not say", REMEDY);
    };
    let (most, who) = match limit {
        Some(limit) if limit < free => (limit, "allowed by the control group"),
        _ => (free, "available"),
    };
    // assumption: two cores of a comparison, and as much again for the rest of the machine.
    let state = if most >= 1 << 30 {
        State::Ok
    } else {
        State::Warn
    };
    Check::of("memory", state, format!("{} {who}", size(most)), REMEDY)
}

/// Bytes that the kernel can give.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find(|l| l.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

fn screen_of_user() -> Check {
    const REMEDY: &str = "tables are up to 160 columns wide: widen the window, or read report.html";
    let colour = if terminal::is_coloured(terminal::manner().color, std::io::stdout().is_terminal())
    {
        "colour"
    } else {
        "no colour"
    };
    match terminal::width() {
        None => Check::of(
            "terminal",
            State::Ok,
            format!("none: plain text, {colour}"),
            REMEDY,
        ),
        Some(width) => {
            // assumption: where tables still have room for their last column.
            let state = if width >= 100 { State::Ok } else { State::Warn };
            Check::of(
                "terminal",
                state,
                format!("{width} columns, {colour}"),
                REMEDY,
            )
        }
    }
}

fn locale() -> Check {
    let set = |name: &&str| variable(name).is_some_and(|v| !v.is_empty());
    // The first of them decides, as in POSIX.
    let name = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find(set);
    let value = name.and_then(variable).unwrap_or_default();
    let upper = value.to_ascii_uppercase();
    let fits = upper.contains("UTF-8") || upper.contains("UTF8");
    let state = if fits { State::Ok } else { State::Warn };
    let found = match name {
        Some(name) => format!("{name}={value}"),
        None => "none is set".to_owned(),
    };
    Check::of(
        "locale",
        state,
        found,
        "tables have signs such as × and …: export LANG=C.UTF-8; files are UTF-8 in any case",
    )
}

/// Where a program lies on the search path.
fn which(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    let mut files = std::env::split_paths(&path).map(|folder| folder.join(name));
    files.find(|file| file.is_file())
}

/// Nothing that users need: its absence is no warning.
fn tool(name: &'static str, what_for: &'static str) -> Check {
    match which(name) {
        Some(path) => Check::of(name, State::Ok, path.display().to_string(), ""),
        None => Check::of(
            name,
            State::Ok,
            format!("not there, and not needed ({what_for})"),
            "",
        ),
    }
}

fn browser() -> Check {
    const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
    match NAMES.into_iter().find_map(which) {
        Some(path) => Check::of("chromium", State::Ok, path.display().to_string(), ""),
        None => tool(
            "chromium",
            "only for the tests of the page; any browser opens report.html",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_the_kernel_can_give() {
        let text = "MemTotal:  16 kB\nMemFree:  1 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available(text), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB"), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_stops_everything() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let file = place.path().join("taken");
        std::fs::write(&file, "").expect("written");
        assert!(folder(&file).state == State::Stop);
        assert!(folder(&place.path().join("new")).state == State::Ok);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(3 << 30), "3.0 GiB");
        assert_eq!(size(300 << 20), "300 MiB");
    }
}
