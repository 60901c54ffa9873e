//! Draws what is wrong with a role: the line, what is wrong in it, the other places that are part of it, what to do. The look is
//! rustc's.

use std::{collections::BTreeSet, fmt::Write as _, ops::Range};

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Snippet};
use serde_json::{Value, json};

use super::{
    redact,
    style::{DIM, ERROR, EXCERPTS, HELP, paint},
    text::{self, count},
};
use crate::source::{Diagnostic, Diagnostics, FileId, Hint, Place, Sources};

/// Draws them all, and says how many there are when it is more than one. `width`: columns there are for excerpts.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, width: usize) -> String {
    let mut drawn = String::new();
    for diagnostic in &diagnostics.0 {
        drawn += &one(diagnostic, sources, width);
        drawn.push('\n');
    }
    let number = diagnostics.0.len();
    if number > 1 {
        drawn += &paint(
            ERROR,
            format_args!("{}{}", count(number, "error"), place_of_all(diagnostics, sources)),
        );
        drawn.push('\n');
    } else {
        drawn.pop();
    }
    drawn
}

/// ` in roles/mysql.yml`, ` in 3 files`, or nothing, where not all of them are in files.
fn place_of_all(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let file = |diagnostic: &Diagnostic| {
        diagnostic
            .place
            .map(|place| place.file)
            .filter(|file| !sources.is_argument(*file))
    };
    let files: Option<BTreeSet<FileId>> = diagnostics.0.iter().map(file).collect();
    match files.as_ref().and_then(|files| Some((files.first()?, files.len()))) {
        None => String::new(),
        Some((only, 1)) => format!(" in {}", text::line(sources.name(*only))),
        Some((_, several)) => format!(" in {several} files"),
    }
}

/// An error that has no place in a role: what happened, why, what to do.
pub fn block<'a>(message: &str, causes: impl IntoIterator<Item = &'a str>, hint: Option<&str>) -> String {
    let mut drawn = format!("{} {}\n", paint(ERROR, "error:"), text::lines(message));
    for cause in causes {
        let cause = text::lines(cause).replace('\n', "\n    ");
        let _ = writeln!(drawn, "  {} {cause}", paint(DIM, "because:"));
    }
    if let Some(hint) = hint {
        let _ = writeln!(drawn, "  {} {}", paint(HELP, "help:"), text::line(hint));
    }
    drawn
}

/// Draws one.
pub fn one(diagnostic: &Diagnostic, sources: &Sources, width: usize) -> String {
    if diagnostic.place.is_none() && diagnostic.notes.is_empty() {
        return block(
            &diagnostic.message,
            [],
            diagnostic.hint.as_ref().map(Hint::to_string).as_deref(),
        );
    }
    let mut group = Group::with_title(Level::ERROR.primary_title(text::lines(&diagnostic.message)));
    let mut places: Vec<(Place, AnnotationKind, Option<&str>)> = Vec::new();
    if let Some(place) = diagnostic.place {
        places.push((place, AnnotationKind::Primary, diagnostic.label.as_deref()));
    }
    for (place, note) in &diagnostic.notes {
        places.push((*place, AnnotationKind::Context, Some(note)));
    }
    // One excerpt a file, in the order in which the files come up.
    while let Some((first, ..)) = places.first() {
        let file = first.file;
        let (here, elsewhere) = places.into_iter().partition(|(place, ..)| place.file == file);
        places = elsewhere;
        if sources.is_hidden(file) && !sources.is_argument(file) {
            let mut seen = BTreeSet::new();
            for (place, ..) in here {
                let (line, column) = sources.line_column(place);
                if seen.insert((line, column)) {
                    let origin = Origin::path(text::line(sources.name(file)));
                    group = group.element(origin.line(line).char_column(column));
                }
            }
        } else {
            group = group.element(excerpt(sources, file, here));
        }
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(text::lines(&hint.to_string())));
    }
    // What annotate-snippets shows as it is, and a terminal obeys all the same.
    let is_obeyed = |c: char| matches!(c, '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}');
    EXCERPTS
        .term_width(width)
        .render(&[group])
        .replace(is_obeyed, "\u{fffd}")
        + "\n"
}

/// One for programs: where, what, what to do.
pub fn object(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let place = |place: Place| {
        let (line, column) = sources.line_column(place);
        json!({ "file": sources.name(place.file), "line": line, "column": column })
    };
    let mut object = json!({ "message": diagnostic.message });
    if let Some(at) = diagnostic.place {
        object["place"] = place(at);
    }
    if let Some(label) = &diagnostic.label {
        object["label"] = json!(label);
    }
    if !diagnostic.notes.is_empty() {
        let note = |(at, text): &(Place, String)| json!({ "place": place(*at), "message": text });
        object["notes"] = diagnostic.notes.iter().map(note).collect();
    }
    if let Some(hint) = &diagnostic.hint {
        object["hint"] = json!(hint.to_string());
    }
    object
}

/// A file's text with what is said about places in it. Secrets are taken out of the text, so the places move. Of an argument the
/// excerpt is the argument, as it was typed: `--set size=10G`; where that may be a secret, without the value.
fn excerpt<'a>(
    sources: &'a Sources,
    file: FileId,
    places: Vec<(Place, AnnotationKind, Option<&str>)>,
) -> Snippet<'a, Annotation<'a>> {
    const HIDDEN: &str = "…";
    let is_hidden = sources.is_hidden(file);
    let source: &str = if is_hidden { HIDDEN } else { sources.text(file) };
    let name = text::line(sources.name(file));
    let (before, shown) = if sources.is_argument(file) {
        (name.len() + 1, format!("{name}={}", redact(source)))
    } else {
        (0, redact(source).into_owned())
    };
    let moved = |offset: usize| shown.floor_char_boundary(before + redact(&source[..offset]).len());
    let annotations: Vec<_> = places
        .into_iter()
        .map(|(place, kind, label)| {
            let range = if is_hidden { 0..source.len() } else { place.range() };
            let span = first_line(source, range);
            let start = moved(span.start);
            kind.span(start..moved(span.end).max(start))
                .label(label.map(text::lines))
        })
        .collect();
    let snippet = if before > 0 {
        Snippet::source(shown).line_numbering(false)
    } else {
        Snippet::source(shown).path(name)
    };
    snippet.annotations(annotations)
}

/// The part of a range that is on its first line: a resource of twenty lines is pointed at by where it begins.
fn first_line(text: &str, range: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(range.start.min(text.len()));
    let end = text.floor_char_boundary(range.end.clamp(start, text.len()));
    let line = text[start..end].lines().next().unwrap_or_default();
    start..start + line.trim_end().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "role: mysql\n\
                        resources:\n  \
                        - pakage: { name: lvm2 }\n  \
                        - file:\n      \
                        path: /etc/motd\n      \
                        mod: \"0644\"\n  \
                        - service: { name: mariadb }\n  \
                        - file:\n      \
                        path: /etc/motd\n";

    fn place(sources: &Sources, file: FileId, text: &str, nth: usize) -> Place {
        let (start, _) = sources.text(file).match_indices(text).nth(nth).unwrap();
        Place::new(file, start..start + text.len())
    }

    fn plain(diagnostics: Vec<Diagnostic>, sources: &Sources) -> String {
        let drawn = render(&Diagnostics(diagnostics), sources, 100);
        anstream::adapter::strip_str(&drawn).to_string()
    }

    #[test]
    fn what_a_terminal_obeys_is_not_drawn() {
        let mut sources = Sources::default();
        let text: String = (0x80..=0x9f)
            .filter_map(char::from_u32)
            .chain("\u{1b}\u{2028}\u{202e}é".chars())
            .collect();
        let file = sources.add("a.yml", text);
        let drawn = plain(vec![Diagnostic::at(Place::new(file, 0..0), "wrong")], &sources);
        assert!(
            !drawn.contains(|c: char| c.is_control() && c != '\n' || c == '\u{2028}' || c == '\u{202e}'),
            "{drawn:?}"
        );
        assert!(drawn.contains('é'), "{drawn:?}");
    }

    #[test]
    fn mistakes_are_drawn_where_they_are() {
        let mut sources = Sources::default();
        let role = sources.add("roles/mysql.yml", ROLE);
        let set = sources.add_argument("--set data_device", "sdb", false);
        let diagnostics = vec![
            Diagnostic::at(place(&sources, role, "pakage", 0), "there is no kind 'pakage'")
                .hint("did you mean 'package'?"),
            Diagnostic::at(place(&sources, role, "mod", 0), "'mod' is no property of file")
                .label("unknown property")
                .hint("did you mean 'mode'?"),
            Diagnostic::at(
                place(&sources, role, "file:\n      path: /etc/motd\n", 1),
                "file:/etc/motd is declared twice",
            )
            .note(place(&sources, role, "file", 0), "first declared here"),
            Diagnostic::at(
                place(&sources, set, "sdb", 0),
                "'sdb' is not a device: write a path below /dev",
            )
            .note(place(&sources, role, "mysql", 0), "the input is declared in this role"),
            Diagnostic::general("there is no role 'mysq'").hint("did you mean 'mysql'?"),
        ];
        insta::assert_snapshot!(plain(diagnostics, &sources));
    }

    #[test]
    fn one_mistake_is_not_counted() {
        let diagnostic = Diagnostic::general("there is no role 'banana'");
        insta::assert_snapshot!(plain(vec![diagnostic], &Sources::default()), @"error: there is no role 'banana'");
    }

    /// Places at the very end of a text, empty ones and ones beyond it come from parsers' errors; none may panic.
    #[test]
    fn any_place_can_be_drawn() {
        for text in ["", "a", "a\n", "ü\n\n", "a: ü\r\n"] {
            let mut sources = Sources::default();
            let file = sources.add("x.yml", text);
            for start in 0..text.len() + 2 {
                for end in start..text.len() + 3 {
                    let diagnostic = Diagnostic::at(Place::new(file, start..end), "wrong").label("here");
                    assert!(plain(vec![diagnostic], &sources).contains("x.yml"));
                }
            }
        }
    }
}
