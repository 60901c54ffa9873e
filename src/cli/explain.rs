//! `glrl explain`: what a role takes, which values it gets, and where they come from.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Context, Error, Exit, examples, roles::Roles};
use crate::{
    config::{Explained, InputInfo, Layer, Loaded, Origin, RoleInfo},
    report::{
        style::{DIM, STRONG, WARNING, paint},
        text::line,
    },
    source::Sources,
};

/// Show what a role takes, and where its values come from
#[derive(Debug, clap::Args)]
#[command(after_help = examples(&[
    ("glrl explain --role mysql", "all inputs"),
    ("glrl explain --role mysql data_device", "one, and what its value overrode"),
]))]
pub(super) struct Args {
    /// An input; all of them where none is named
    name: Option<String>,
    #[command(flatten)]
    roles: Roles,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Result<Exit, Error> {
    let loaded = args.roles.load(true)?;
    let text = match &args.name {
        None => loaded
            .roles
            .iter()
            .map(|role| whole(role, &loaded))
            .collect::<Vec<_>>()
            .join("\n"),
        Some(name) => {
            let found: Vec<_> = loaded.values.iter().filter(|value| value.name == *name).collect();
            if found.is_empty() {
                let names: Vec<_> = loaded.values.iter().map(|value| value.name.as_str()).collect();
                return Err(Error::unknown("input", name, &names));
            }
            found
                .into_iter()
                .map(|value| one(value, &loaded))
                .collect::<Vec<_>>()
                .join("\n")
        }
    };
    context.terminal.out(&text);
    Ok(Exit::Done)
}

/// A role with all its inputs.
fn whole(role: &RoleInfo, loaded: &Loaded) -> String {
    let description = role
        .description
        .as_deref()
        .map(|text| format!(": {}", line(text.trim())))
        .unwrap_or_default();
    let mut text = format!("{}{description}\n", paint(STRONG, line(&role.name)));
    let _ = writeln!(text, "{}", paint(DIM, line(&role.path)));
    if role.inputs.is_empty() {
        text += "\n  it takes nothing\n";
    }
    for input in &role.inputs {
        let _ = writeln!(text, "\n  {}: {}", paint(STRONG, line(&input.name)), about(input));
        for value in loaded
            .values
            .iter()
            .filter(|value| value.role == role.name && value.name == input.name)
        {
            let _ = writeln!(text, "    = {}", current(value, &loaded.sources));
        }
    }
    text
}

/// An input, its value, and what that overrode.
fn one(value: &Explained, loaded: &Loaded) -> String {
    let mut text = format!("{} of role {}", paint(STRONG, line(&value.name)), line(&value.role));
    let roles = loaded.roles.iter().filter(|role| role.name == value.role);
    if let Some(input) = roles
        .flat_map(|role| &role.inputs)
        .find(|input| input.name == value.name)
    {
        let _ = write!(text, ": {}", about(input));
    }
    let _ = writeln!(text, "\n  = {}", current(value, &loaded.sources));
    for origin in value.overrode.iter().rev() {
        let place = from(origin, &loaded.sources);
        let _ = writeln!(
            text,
            "    {} {} {place}",
            paint(DIM, "instead of"),
            shown(&origin.value, value.secret)
        );
    }
    text
}

/// `device; the disk that becomes the data volume`.
fn about(input: &InputInfo) -> String {
    let mut about = line(&input.declared);
    if input.optional {
        about += ", optional";
    }
    if input.secret {
        about += ", secret";
    }
    if let Some(description) = &input.description {
        let _ = write!(about, "; {}", line(description.trim()));
    }
    about
}

/// `/dev/sdb (--set data_device)`.
fn current(value: &Explained, sources: &Sources) -> String {
    match &value.origin {
        None => paint(DIM, "not given"),
        Some(Origin {
            layer: Layer::Sample, ..
        }) => paint(WARNING, "not given, and required"),
        Some(origin) => format!("{} {}", shown(&value.value, value.secret), from(origin, sources)),
    }
}

fn from(origin: &Origin, sources: &Sources) -> String {
    let place = line(&sources.locate(origin.place));
    let place = match origin.layer {
        Layer::Default => format!("(default, {place})"),
        Layer::Include => format!("(from the role that includes it, {place})"),
        _ => format!("({place})"),
    };
    paint(DIM, place)
}

fn shown(value: &Value, secret: bool) -> String {
    match value {
        _ if secret => crate::value::secret::SHOWN.to_owned(),
        Value::String(text) if !text.is_empty() => line(text),
        value => line(&value.to_string()),
    }
}
