//! What is wrong with a role, as data; `report::diagnostic` draws it.

use std::fmt;

use super::Place;
use crate::value::secret::redact_pieces;

/// One mistake: what, where, what else is part of it, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// Where.
    pub place: Option<Place>,
    /// A few words at the place itself, where they help.
    pub label: Option<String>,
    /// Other places that are part of it: the first of two duplicates, the edges of a cycle.
    pub notes: Vec<(Place, String)>,
    /// What to do.
    pub hint: Option<Hint>,
}

/// What to do about a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// This name is near to what was written.
    DidYouMean(String),
    /// One of these can be written.
    OneOf(Vec<String>),
    /// Text is wanted: this, quoted.
    Quote(String),
    /// Anything else.
    Text(String),
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DidYouMean(name) => write!(f, "did you mean '{name}'?"),
            Self::OneOf(names) => write!(f, "write one of: {}", names.join(", ")),
            Self::Quote(text) => write!(f, "quote it: \"{text}\""),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: Some(place),
            label: None,
            notes: Vec::new(),
            hint: None,
        }
    }

    /// A mistake of no place: a file that is not there.
    pub fn general(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
            label: None,
            notes: Vec::new(),
            hint: None,
        }
    }

    /// With a few words at the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// With another place that is part of it.
    #[must_use]
    pub fn note(mut self, place: Place, text: impl Into<String>) -> Self {
        self.notes.push((place, text.into()));
        self
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Hint>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Hides what of its words is a piece of a secret.
    pub fn hide_pieces(&mut self) {
        let notes = self.notes.iter_mut().map(|(_, text)| text);
        let texts = notes.chain(&mut self.label).chain([&mut self.message]);
        for text in texts {
            *text = redact_pieces(text.as_bytes());
        }
        if let Some(hint) = &mut self.hint {
            *hint = Hint::Text(redact_pieces(hint.to_string().as_bytes()));
        }
    }

    /// With "did you mean", if one of the names is near to what was written.
    #[must_use]
    pub fn did_you_mean<'a>(self, written: &str, names: impl IntoIterator<Item = &'a str>) -> Self {
        match suggest(written, names) {
            Some(name) => self.hint(Hint::DidYouMean(name.to_owned())),
            None => self,
        }
    }
}

/// Of more mistakes the first are shown: whoever mends them sees the others then.
const SHOWN: usize = 200;

/// All mistakes that were found, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds those of another stage.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// File by file, from top to bottom; each mistake once, however many ways lead to it.
    #[must_use]
    pub fn in_order(self) -> Self {
        let mut all = self.0;
        all.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        all.dedup();
        if all.len() > SHOWN {
            let more = all.len() - SHOWN;
            all.truncate(SHOWN);
            all.push(Diagnostic::general(format!("there are {more} more: these come first")));
        }
        Self(all)
    }

    /// `value` if there was no mistake.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

/// The name nearest to what was written, if it is near enough to be a slip.
pub fn suggest<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(written, name), name))
        .filter(|(similarity, _)| *similarity > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_slips_only() {
        let kinds = ["package", "service", "volume_group"];
        assert_eq!(suggest("packge", kinds), Some("package"));
        assert_eq!(suggest("volumegroup", kinds), Some("volume_group"));
        assert_eq!(suggest("banana", kinds), None);
    }
}
