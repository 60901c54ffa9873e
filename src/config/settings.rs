//! Settings of the programs that are part of glrl: YAML like roles, with the same places in errors. What the command line says is put
//! into the same tree before it is read, so that every key there is can be given there, and is checked in the same way.

use std::{path::Path, sync::Arc};

use serde::de::DeserializeOwned;

use super::{
    Failure, de, library,
    node::{Data, Node, Pair, Text},
    yaml,
};
use crate::{
    source::{Diagnostic, Diagnostics, FileId, Hint, Place, Sources},
    system::{texts, trust},
};

/// A setting of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What messages call it: `--set lock.budget`, `--target`.
    pub called: String,
    /// The key, those above it before it: `lock.budget`.
    pub key: String,
    /// The value: a text, or YAML where it begins with a bracket.
    pub value: String,
}

/// Reads a file of settings, and what the command line sets, which wins; `None` where there is no such file and nothing is set. A file
/// that is empty says nothing, and the usual settings hold.
pub fn settings<T: DeserializeOwned + Default>(path: &Path, set: &[Setting]) -> Result<Option<T>, Failure> {
    let mut sources = Sources::default();
    match read(path, set, &mut sources) {
        Ok(settings) => Ok(settings),
        Err(diagnostics) => Err(Failure { sources, diagnostics }),
    }
}

fn read<T: DeserializeOwned + Default>(
    path: &Path,
    set: &[Setting],
    sources: &mut Sources,
) -> Result<Option<T>, Diagnostics> {
    let text = trust::check(path)
        .and_then(|()| texts::read(path))
        .map_err(|error| library::diagnostic(&error))?;
    if text.is_none() && set.is_empty() {
        return Ok(None);
    }
    let text = text.unwrap_or_default();
    let file = sources.add(path.display().to_string(), text.clone());
    let file = yaml::parse(file, &text.into())?;
    let set: Vec<_> = set
        .iter()
        .map(|setting| {
            let text: Arc<str> = setting.value.as_str().into();
            let file = sources.add_argument(&setting.called, Arc::clone(&text), false);
            (setting, text, file)
        })
        .collect();
    let with = |texts: &[FileId]| -> Result<T, Diagnostics> {
        let (mut root, mut mistakes) = (file.clone(), Diagnostics::default());
        for (setting, text, file) in &set {
            match value(text, *file, texts.contains(file)) {
                Ok(value) => put(&mut root, &setting.key, value),
                Err(wrong) => mistakes.extend(wrong),
            }
        }
        mistakes.or(())?;
        match root.data {
            Data::Null => Ok(T::default()),
            _ => de::read(&root, root.place),
        }
    };
    // A shell has no quotes that tell the text 7 from the number: where text is wanted, it is text.
    with(&[])
        .or_else(|mistakes| {
            let unquoted = |mistake: &&Diagnostic| matches!(mistake.hint, Some(Hint::Quote(_)));
            let files = mistakes
                .0
                .iter()
                .filter(unquoted)
                .filter_map(|mistake| Some(mistake.place?.file));
            let texts: Vec<_> = files
                .filter(|file| set.iter().any(|(.., other)| other == file))
                .collect();
            if texts.is_empty() { Err(mistakes) } else { with(&texts) }
        })
        .map(Some)
}

/// The value of an argument. Where that is asked for, text whatever it looks like.
fn value(text: &Arc<str>, file: FileId, is_text: bool) -> Result<Node, Diagnostics> {
    if !is_text && text.starts_with(['[', '{']) {
        return yaml::parse(file, text);
    }
    let whole = Text::slice(text, 0..text.len());
    let data = if is_text { Data::Text(whole) } else { Data::Plain(whole) };
    Ok(Node::new(Place::new(file, 0..text.len()), data))
}

/// Puts a value into the tree of the file, in the place of what stands there.
fn put(root: &mut Node, key: &str, value: Node) {
    let (place, mut node) = (value.place, root);
    for key in key.split('.') {
        if !matches!(node.data, Data::Mapping(_)) {
            *node = Node::new(place, Data::Mapping(Vec::new()));
        }
        let Data::Mapping(pairs) = &mut node.data else {
            return;
        };
        let there = pairs.iter().position(|pair| &*pair.key == key);
        let index = there.unwrap_or_else(|| {
            pairs.push(Pair {
                key: key.into(),
                key_place: place,
                value: Node::new(place, Data::Null),
            });
            pairs.len() - 1
        });
        node = &mut pairs[index].value;
    }
    *node = value;
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        name: String,
        inner: Inner,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        count: u8,
        names: Vec<String>,
    }

    fn read(text: &str, set: &[(&str, &str)]) -> Result<Option<Outer>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        #[expect(clippy::disallowed_methods, reason = "it makes what is read")]
        std::fs::write(file.path(), text).unwrap();
        let set: Vec<_> = set
            .iter()
            .map(|(key, value)| Setting {
                called: format!("--set {key}"),
                key: (*key).to_owned(),
                value: (*value).to_owned(),
            })
            .collect();
        settings(file.path(), &set).map_err(|failure| {
            let texts = failure.diagnostics.0.iter().map(|diagnostic| {
                let place = diagnostic.place.map(|place| failure.sources.locate(place));
                let hint = diagnostic.hint.as_ref().map(Hint::to_string).unwrap_or_default();
                format!("{}: {} {hint}", place.unwrap_or_default(), diagnostic.message)
            });
            texts.collect::<Vec<_>>().join("\n")
        })
    }

    #[test]
    fn the_command_line_wins() {
        let expected = Outer {
            name: "file".to_owned(),
            inner: Inner {
                count: 2,
                names: vec!["a: b".to_owned(), "c".to_owned()],
            },
        };
        let set = [("inner.count", "2"), ("inner.names", "['a: b', c]")];
        assert_eq!(read("name: file\ninner: { count: 1 }", &set), Ok(Some(expected)));
        // Nothing but text, whatever is in it; and an empty file is one to put things into.
        assert_eq!(read("", &[("name", "x: y # z")]).unwrap().unwrap().name, "x: y # z");
        // A number where text is wanted needs no quotes within the shell's.
        assert_eq!(read("", &[("name", "7")]).unwrap().unwrap().name, "7");
        let set = [("inner.count", "1"), ("inner.count", "3")];
        assert_eq!(read("inner:", &set).unwrap().unwrap().inner.count, 3);
    }

    #[test]
    fn what_is_wrong_is_said_as_in_a_file() {
        let wrong = |key, value| read("", &[(key, value)]).unwrap_err();
        assert_eq!(
            wrong("inner.cuont", "2"),
            "--set inner.cuont: there is no property 'cuont' did you mean 'count'?"
        );
        assert!(wrong("inner.count", "300").starts_with("--set inner.count: 300 is out of range"));
        assert!(wrong("inner.names", "[a").starts_with("--set inner.names: "));
        assert!(wrong("inner", "2").starts_with("--set inner: "));
        assert!(wrong("name.x", "2").starts_with("--set name.x: "));
    }
}
