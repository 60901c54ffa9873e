//! Where something stands.

use std::{ops::Range, sync::Arc};

/// A file among `Sources`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u32);

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

/// The texts that places point into: role files, variable files, `--set` arguments.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    name: String,
    text: Arc<str>,
    /// An argument or a variable of the environment: short, and without lines that anyone counts.
    is_argument: bool,
}

impl Sources {
    /// Keeps a text under the name that messages call it by.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        self.push(name.into(), text.into(), false)
    }

    /// Keeps the value of an argument under the name that messages call it by: `--set size`.
    pub fn add_argument(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        self.push(name.into(), text.into(), true)
    }

    fn push(&mut self, name: String, text: Arc<str>, is_argument: bool) -> FileId {
        self.files.push(Source {
            name,
            text,
            is_argument,
        });
        FileId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// A file's name.
    pub fn name(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].name
    }

    /// A file's text.
    pub fn text(&self, file: FileId) -> &Arc<str> {
        &self.files[file.0 as usize].text
    }

    /// `file:line:column`, counted from 1, the column in characters; of an argument only its name.
    pub fn locate(&self, place: Place) -> String {
        if self.files[place.file.0 as usize].is_argument {
            return self.name(place.file).to_owned();
        }
        let (line, column) = self.line_column(place);
        format!("{}:{line}:{column}", self.name(place.file))
    }

    /// Line and column of a place's start, counted from 1, the column in characters.
    pub fn line_column(&self, place: Place) -> (usize, usize) {
        let text = self.text(place.file);
        let before = &text[..text.floor_char_boundary((place.start as usize).min(text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

impl Place {
    /// A range of a file.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let narrow = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            file,
            start: narrow(range.start),
            end: narrow(range.end),
        }
    }

    /// The range, for slicing the text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}
