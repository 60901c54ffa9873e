//! What lies beside a role, for resources: files, trees of files, rendered templates.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::{
    library::Whose,
    role::RoleFile,
    scope::Scope,
    templates::{self, TemplateError, Templates},
};
use crate::{
    resource::Role,
    source::{Diagnostic, Hint, Place, Sources, suggest},
    system::{Bytes, facts, texts},
};

/// The view that a resource has of its role.
pub(super) struct RoleContext<'c> {
    file: &'c RoleFile,
    scope: Scope<'c>,
    templates: &'c Templates,
    /// Whether values are placeholders, so that a file they name need not be there.
    samples: bool,
}

/// A mistake in what lies beside a role, or in naming it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error("{message}")]
    Source { message: String, hint: Option<String> },
    #[error("{}", .0.message)]
    Template(Box<TemplateError>),
}

impl Wrong {
    /// The mistake at its place: in the template, or at the property that names the file.
    pub(super) fn diagnostic(&self, property: Place, sources: &mut Sources) -> Diagnostic {
        match self {
            Self::Source { message, hint } => Diagnostic {
                hint: hint.clone().map(Hint::Text),
                ..Diagnostic::at(property, message.clone())
            },
            Self::Template(error) => {
                let file = sources.add(error.name.clone(), Arc::clone(&error.text));
                let place = place_in(file, &error.text, error.at);
                let diagnostic =
                    Diagnostic::at(place, error.message.clone()).note(property, "rendered for this resource");
                Diagnostic {
                    hint: error.hint.clone().map(Hint::Text),
                    ..diagnostic
                }
            }
        }
    }
}

/// The tag, or the name in one, at a line and column counted from 1.
pub(super) fn place_in(file: crate::source::FileId, text: &str, at: Option<(usize, usize)>) -> Place {
    let Some((line, column)) = at else {
        return Place::new(file, 0..0);
    };
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let content = text[start..].lines().next().unwrap_or_default();
    let offset = content
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(content.len(), |(offset, _)| offset);
    let rest = &content[offset..];
    let length = match rest.find("}}") {
        Some(end) if rest.starts_with("{{") => end + 2,
        Some(_) => rest.find(|c: char| c.is_whitespace() || "})".contains(c)).unwrap_or(0),
        None => 0,
    };
    Place::new(file, start + offset..start + offset + length)
}

impl<'c> RoleContext<'c> {
    pub(super) fn new(file: &'c RoleFile, scope: Scope<'c>, templates: &'c Templates, samples: bool) -> Self {
        Self {
            file,
            scope,
            templates,
            samples,
        }
    }

    fn whose(&self) -> Whose {
        if self.samples { Whose::Anybody } else { Whose::Trusted }
    }

    fn beside(&self, directory: &str, source: &str) -> Result<(String, Bytes)> {
        if let Some(found) = self.file.home.read(directory, source)? {
            return Ok(found);
        }
        Err(self.not_there(directory, source))
    }

    fn not_there(&self, directory: &str, source: &str) -> anyhow::Error {
        let home = self.file.home.show(directory);
        let names = self.file.home.tree(directory, "").ok().flatten().unwrap_or_default();
        let near = suggest(source, names.iter().map(String::as_str));
        let message = format!("there is no '{source}' in {home}");
        let hint = near.map(|name| format!("did you mean '{name}'?"));
        Wrong::Source { message, hint }.into()
    }

    /// What a template sees. Of the facts only those that it names, since each has to be read.
    fn values(&self, text: &str, vars: &Map<String, Value>) -> Result<Value> {
        let mut values = Map::new();
        for root in ["inputs", "vars", "role", "each"] {
            if root != "each" || self.scope.each.is_some() {
                values.insert(
                    root.to_owned(),
                    self.scope
                        .whole(root)
                        .map_err(|problem| anyhow::anyhow!(problem.message))?,
                );
            }
        }
        let named = templates::facts_named(text);
        let mut found = Map::new();
        for name in named.as_deref().unwrap_or(&facts::NAMES) {
            match self.scope.member("facts", name) {
                Ok(value) => drop(found.insert((*name).to_owned(), value.clone())),
                Err(problem) if named.is_some() => anyhow::bail!(problem.message),
                // Of all of them, one that cannot be read may not be meant.
                Err(_) => {}
            }
        }
        values.insert("facts".to_owned(), Value::Object(found));
        values.extend(vars.clone());
        Ok(Value::Object(values))
    }
}

impl Role for RoleContext<'_> {
    fn file(&self, source: &str) -> Result<Bytes> {
        if !source.starts_with('/') {
            return self.beside("files", source).map(|(_, bytes)| bytes);
        }
        self.whose().check(Path::new(source))?;
        match texts::read_bytes(Path::new(source))? {
            Some(bytes) => Ok(bytes.into()),
            None if self.samples => Ok(Bytes::from([])),
            None => Err(Wrong::Source {
                message: format!("there is no file {source} on this machine"),
                hint: Some("a path without a slash in front is looked for in the role's files/".to_owned()),
            }
            .into()),
        }
    }

    fn tree(&self, source: &str) -> Result<Vec<String>> {
        match self.file.home.tree("files", source)? {
            Some(names) => Ok(names),
            None => Err(self.not_there("files", source)),
        }
    }

    fn render(&self, source: &str, vars: &Map<String, Value>) -> Result<String> {
        let (name, bytes) = self.beside("templates", source)?;
        let text = std::str::from_utf8(&bytes).with_context(|| format!("{name} is not UTF-8"))?;
        let values = self.values(text, vars)?;
        self.templates
            .render(&name, text, &values)
            .map_err(|error| Wrong::Template(Box::new(error)).into())
    }
}
