//! `glrl check`: are roles right? Offline, without a node.

use std::{collections::HashSet, path::PathBuf};

use super::{
    Context, Error, Exit, examples,
    roles::{Places, order},
};
use crate::{
    config::{self, Request, SampleFacts},
    report::{
        Verbosity, diagnostic, object,
        style::{CREATE, ERROR, paint},
        text::{count, line},
    },
    source::{Diagnostic, Diagnostics},
    system::texts,
};

/// Check roles, with no node at hand
///
/// All mistakes are reported at once, each with its place and what to do. Inputs that have no default get a placeholder of their
/// type, and facts are those of an example machine.
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl check", "all roles in ./roles"),
    ("glrl check mysql ./web.yml", "by name, by file"),
    ("glrl check --json", "for editors: a mistake a line"),
]))]
pub(super) struct Args {
    /// Roles by their name or their file; all in ./roles, or in --roles-dir, where none is named
    #[arg(value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    places: Places,
    /// Print each mistake as a line of JSON
    #[arg(long, help_heading = "Output")]
    json: bool,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let roles = if args.roles.is_empty() {
        all(&args.places.roles_dir)?
    } else {
        args.roles.clone()
    };
    let (mut mistakes, mut wrong) = (0, 0);
    let mut seen = HashSet::new();
    for role in &roles {
        match check(role, args) {
            Ok(resources) => {
                if !args.json && context.output.verbosity() > Verbosity::Quiet {
                    let resources = count(resources, "resource");
                    context
                        .terminal
                        .out(&format!("{} {}: {resources}\n", paint(CREATE, "ok"), line(role)));
                }
            }
            Err(Error::Role { sources, diagnostics }) => {
                wrong += 1;
                // What is wrong with a role that two others include is said once.
                let all_of_it = |mistake: &Diagnostic| diagnostic::object(mistake, &sources).to_string();
                let new = diagnostics
                    .0
                    .into_iter()
                    .filter(|diagnostic| seen.insert(all_of_it(diagnostic)));
                let new = Diagnostics(new.collect());
                mistakes += new.0.len();
                let width = context.terminal.width();
                for diagnostic in &new.0 {
                    if args.json {
                        context
                            .terminal
                            .out(&(object(diagnostic::object(diagnostic, &sources)) + "\n"));
                    } else {
                        context
                            .terminal
                            .err(&(diagnostic::one(diagnostic, &sources, width) + "\n"));
                    }
                }
            }
            Err(other) => return Err(other),
        }
    }
    if wrong == 0 {
        return Ok(Exit::Done);
    }
    if !args.json {
        let (mistakes, wrong) = (count(mistakes, "error"), count(wrong, "role"));
        context
            .terminal
            .err(&format!("{}\n", paint(ERROR, format_args!("{mistakes} in {wrong}"))));
    }
    Ok(Exit::Role)
}

/// Checks one role; says how many resources it has.
fn check(role: &str, args: &Args) -> Result<usize, Error> {
    let loaded = config::load(&Request {
        roles_directories: args.places.roles_dir.clone(),
        samples: true,
        ..Request::new([role], &SampleFacts)
    })?;
    Ok(order(loaded, vec![role.to_owned()])?.graph.len())
}

/// The roles in `--roles-dir`, or in `./roles`.
fn all(directories: &[PathBuf]) -> Result<Vec<String>, Error> {
    let usual = [PathBuf::from("roles")];
    let directories = if directories.is_empty() { &usual } else { directories };
    let mut roles = Vec::new();
    for directory in directories {
        let names = texts::list(directory)?;
        let stems = names.iter().filter_map(|name| name.strip_suffix(".yml"));
        roles.extend(stems.map(|stem| format!("{}/{stem}.yml", directory.display())));
    }
    if roles.is_empty() {
        let directories: Vec<_> = directories
            .iter()
            .map(|directory| directory.display().to_string())
            .collect();
        return Err(Error::Usage {
            message: format!("there are no roles in {}", directories.join(", ")),
            hint: Some("name a role or a file: glrl check web.yml".to_owned()),
        });
    }
    Ok(roles)
}
