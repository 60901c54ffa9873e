//! Where something stands.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

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
    /// Whether no part of it is ever shown: in a file of values, what is mistyped may be a secret that nobody knows to be one.
    is_hidden: bool,
    /// Where each line starts; made when a place is first looked up.
    lines: OnceLock<Vec<usize>>,
}

impl Sources {
    /// Keeps a text under the name that messages call it by.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        self.push(name.into(), text.into(), false, false)
    }

    /// Keeps a file of values, of which only places are shown.
    pub fn add_values(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        self.push(name.into(), text.into(), false, true)
    }

    /// Keeps the value of an argument under the name that messages call it by: `--set size`. `hidden`: the value is not shown.
    pub fn add_argument(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>, hidden: bool) -> FileId {
        self.push(name.into(), text.into(), true, hidden)
    }

    fn push(&mut self, name: String, text: Arc<str>, is_argument: bool, is_hidden: bool) -> FileId {
        self.files.push(Source {
            name,
            text,
            is_argument,
            is_hidden,
            lines: OnceLock::new(),
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

    /// Whether it is an argument or a variable, not a file.
    pub fn is_argument(&self, file: FileId) -> bool {
        self.files[file.0 as usize].is_argument
    }

    /// Whether only places in it may be shown.
    pub fn is_hidden(&self, file: FileId) -> bool {
        self.files[file.0 as usize].is_hidden
    }

    /// `file:line:column`, counted from 1, the column in characters; of an argument only its name.
    pub fn locate(&self, place: Place) -> String {
        if self.is_argument(place.file) {
            return self.name(place.file).to_owned();
        }
        let (line, column) = self.line_column(place);
        format!("{}:{line}:{column}", self.name(place.file))
    }

    /// Line and column of a place's start, counted from 1, the column in characters.
    pub fn line_column(&self, place: Place) -> (usize, usize) {
        let Source { text, lines, .. } = &self.files[place.file.0 as usize];
        let lines = lines.get_or_init(|| {
            let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
            std::iter::once(0).chain(ends.map(|(end, _)| end + 1)).collect()
        });
        let at = text.floor_char_boundary((place.start as usize).min(text.len()));
        let line = lines.partition_point(|start| *start <= at);
        (line, text[lines[line - 1]..at].chars().count() + 1)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let mut sources = Sources::default();
        let file = sources.add("role.yml", "role: x\nnäme: y\n");
        let locate = |start| sources.locate(Place::new(file, start..start));
        assert_eq!(locate(0), "role.yml:1:1");
        assert_eq!(locate(7), "role.yml:1:8");
        assert_eq!(locate(8), "role.yml:2:1");
        assert_eq!(locate(13), "role.yml:2:5", "ä is one column and two bytes");
        assert_eq!(locate(99), "role.yml:3:1");
    }
}
