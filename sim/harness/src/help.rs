//! The help by what readers want, completions for shells, and manual pages.

use crate::error::{Error, exit};
use crate::explain::codes;
use crate::terminal;
use clap::{Command, builder::StyledStr};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Commands by what they are for. What stands nowhere is an extension.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "Decide",
        &[
            "compare",
            "run",
            "attack",
            "capacity",
            "sensitivity",
            "explain",
            "list",
            "init",
        ],
    ),
    (
        "Reproduce",
        &[
            "plan",
            "sweep",
            "status",
            "merge",
            "verify",
            "reproduce",
            "replay",
            "export",
            "validate",
            "fuzz",
        ],
    ),
    ("Gate", &["check", "diff"]),
    (EXTEND, &[]),
];
const EXTEND: &str = "Extend and look after";

/// The command line with its help in groups.
pub(crate) fn grouped(command: Command) -> Command {
    let mut text = StyledStr::new();
    let shown: Vec<&Command> = command
        .get_subcommands()
        .filter(|c| !c.is_hide_set())
        .collect();
    let width = shown.iter().map(|c| c.get_name().len()).max().unwrap_or(0);
    let styles = command.get_styles().clone();
    let (head, name_style) = (styles.get_header(), styles.get_literal());
    for (title, names) in GROUPS {
        let of: Vec<&&Command> = if title == EXTEND {
            let elsewhere = |c: &&&Command| !GROUPS.iter().any(|(_, n)| n.contains(&c.get_name()));
            shown.iter().filter(elsewhere).collect()
        } else {
            let find = |name: &&str| shown.iter().find(|c| c.get_name() == *name);
            names.iter().filter_map(find).collect()
        };
        if of.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{head}{title}:{head:#}");
        for command in of {
            let name = command.get_name();
            let about = command.get_about().map(ToString::to_string);
            let gap = " ".repeat(width - name.len());
            let about = about.unwrap_or_default();
            let _ = writeln!(text, "  {name_style}{name}{name_style:#}{gap}  {about}");
        }
        text.push_str("\n");
    }
    let groups = text.ansi().to_string();
    command
        .help_template(format!(
            "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
        ))
        .after_help(codes::line())
}

/// Which shell.
#[derive(clap::Args)]
pub(crate) struct Shell {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Writes the completions of a shell to stdout.
pub(crate) fn completions(wanted: &Shell, mut command: Command) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut command, "quorate", &mut script);
    terminal::put(&String::from_utf8_lossy(&script));
    exit::OK
}

/// Where the pages go.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Pages {
    /// A folder for a page of each command; without it, quorate(1) goes to stdout
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes the manual pages.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn man(wanted: &Pages, command: Command) -> Result<u8, Error> {
    let Some(folder) = &wanted.out else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(command).render(&mut page);
        rendered.map_err(|e| cannot_write(Path::new("stdout"), &e))?;
        terminal::put(&String::from_utf8_lossy(&page));
        return Ok(exit::OK);
    };
    std::fs::create_dir_all(folder).map_err(|e| cannot_write(folder, &e))?;
    clap_mangen::generate_to(command, folder).map_err(|e| cannot_write(folder, &e))?;
    let written = folder.display().to_string();
    let text = format!(
        "wrote quorate.1 and a page of each command into {written}; read one with: man -l {written}/quorate.1\n"
    );
    terminal::end(
        &text,
        || serde_json::json!({ "command": "man", "folder": written, "exit_code": 0 }),
        &written,
    );
    Ok(exit::OK)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Error {
    Error {
        message: format!("cannot write {}: {error}", path.display()),
        hint: "name a folder that can be written with --out".to_owned(),
        code: exit::IO,
    }
}
