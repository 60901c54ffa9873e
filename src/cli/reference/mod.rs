//! `glrl reference`: the pages of `docs/reference`, made from what the program itself goes by. A test holds the pages to it.

use std::fmt::Write as _;

mod kind;
mod types;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{Context, Error, Exit, command};
use crate::resource::KINDS;

/// Write the reference pages
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct Args {
    /// Where to
    #[arg(default_value = "docs/reference")]
    directory: PathBuf,
}

pub(super) fn run(args: &Args, _context: &mut Context) -> Result<Exit, Error> {
    write(&args.directory)?;
    Ok(Exit::Done)
}

/// Replaces all pages in the directory.
#[expect(
    clippy::disallowed_methods,
    reason = "it writes into a checkout of glrl, not to a node"
)]
fn write(directory: &Path) -> anyhow::Result<()> {
    let kinds = directory.join("kinds");
    if kinds.exists() {
        std::fs::remove_dir_all(&kinds).with_context(|| format!("removing {}", kinds.display()))?;
    }
    std::fs::create_dir_all(&kinds).with_context(|| format!("making {}", kinds.display()))?;
    for (name, page) in pages() {
        let path = directory.join(name);
        std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

/// All pages, by their path below `docs/reference`.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::from([
        ("README.md".to_owned(), index()),
        ("backup-settings.md".to_owned(), kind::settings()),
        ("cli.md".to_owned(), command_line()),
        ("exit-codes.md".to_owned(), exit_codes()),
        ("kinds/README.md".to_owned(), kind::index()),
    ]);
    for kind in KINDS {
        pages.insert(format!("kinds/{}.md", kind.name), kind::page(kind));
    }
    pages
}

/// First line of every page.
const MADE: &str = "<!-- Made by `glrl reference` from the program itself; edit the source, then run it again. -->\n\n";

fn index() -> String {
    format!(
        "{MADE}# Reference\n\n\
         - [Kinds](kinds/README.md): what a role can declare, and with which properties\n\
         - [Command line](cli.md)\n\
         - [Settings of the backup programs](backup-settings.md)\n\
         - [Exit codes](exit-codes.md)\n\n\
         For editors: `glrl schema > glrl.schema.json` writes JSON Schema of role files.\n"
    )
}

fn exit_codes() -> String {
    let mut text = format!("{MADE}# Exit codes\n\n| code | meaning |\n|---:|---|\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "| {} | {} |", exit.code(), exit.meaning());
    }
    text
}

/// The help of each command, as it prints it.
fn command_line() -> String {
    let mut text = format!("{MADE}# Command line\n");
    let mut all = command().term_width(96);
    all.build();
    describe(&mut text, &mut all);
    text
}

fn describe(text: &mut String, command: &mut clap::Command) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    let _ = writeln!(text, "\n## {name}\n\n```text\n{}\n```", lines.join("\n"));
    for sub in command.get_subcommands_mut().filter(|sub| !sub.is_hide_set()) {
        describe(text, sub);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{self, Request, SampleFacts};

    /// What the pages show is a role that loads.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "it makes a role to be read")]
    fn examples_load() {
        for kind in KINDS {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("example.yml");
            // What an example takes from beside its role is there, and empty.
            for source in kind.example.lines().filter_map(|line| line.strip_prefix("source: ")) {
                for beside in ["files", "templates"] {
                    let path = directory.path().join(beside).join(source);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, "").unwrap();
                }
            }
            fs::write(&path, format!("role: example\n{}", kind::example(kind))).unwrap();
            let loaded = config::load(&Request {
                samples: true,
                ..Request::new([path.display().to_string()], &SampleFacts)
            });
            match loaded {
                Ok(loaded) => assert_eq!(loaded.declarations[0].id.kind(), kind.name),
                Err(failure) => panic!("{}: {:?}", kind.name, failure.diagnostics),
            }
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it reads a checkout of glrl, not a node")]
    fn pages_are_current() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
        let pages = pages();
        for (name, page) in &pages {
            let there = fs::read_to_string(directory.join(name)).unwrap_or_default();
            assert!(
                there == *page,
                "docs/reference/{name} is not current: renew it with `cargo run -- reference`"
            );
        }
        for entry in fs::read_dir(directory.join("kinds")).unwrap() {
            let name = format!("kinds/{}", entry.unwrap().file_name().display());
            assert!(
                pages.contains_key(&name),
                "docs/reference/{name} is about no kind: renew with `cargo run -- reference`"
            );
        }
    }
}
