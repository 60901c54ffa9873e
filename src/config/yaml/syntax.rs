//! Syntax errors, in words for people who do not know YAML's grammar.

use granit_parser::{ErrorKind as Kind, ScanError};

use super::DEPTH;
use crate::source::{Diagnostic, FileId, Hint, Place};

/// What the parser stopped at.
pub(super) fn explain(file: FileId, text: &str, error: &ScanError) -> Diagnostic {
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0).min(text.len()));
    let end = text[at..].chars().next().map_or(at, |c| at + c.len_utf8());
    let line = &text[text[..at].rfind('\n').map_or(0, |n| n + 1)..];
    let line = line.lines().next().unwrap_or_default();
    let (message, hint) = words(error);
    let hint = if is_about_blanks(error.kind()) {
        hint
    } else if has_bare_expression(line) {
        Some("an expression that holds ': ' or ' #', or stands inside { } or [ ], has to be quoted: '${…}'")
    } else if line.contains("one of [") {
        Some("write the choices as a list: { type: [a, b] }")
    } else {
        hint
    };
    Diagnostic {
        hint: hint.map(Hint::from),
        ..Diagnostic::at(Place::new(file, at..end), message)
    }
}

fn words(error: &ScanError) -> (String, Option<&'static str>) {
    let indentation = Some("compare the indentation of this line with that of the ones above");
    match error.kind() {
        Kind::TabNotAllowed | Kind::TabInBlockIndentation | Kind::TabInIndentation => (
            "a tab stands in the indentation".to_owned(),
            Some("YAML is indented with spaces only"),
        ),
        Kind::TabInPlainScalar | Kind::TabAtBlockScalarStart => (
            "a tab stands where YAML wants spaces".to_owned(),
            Some("replace it by spaces, or quote the value"),
        ),
        Kind::UnclosedQuotedScalar => ("a quote is opened and never closed".to_owned(), None),
        Kind::UnclosedFlowCollection { open } => (format!("'{open}' is opened and never closed"), None),
        Kind::MismatchedFlowCollectionEnd { open, close } => (format!("'{open}' is closed by '{close}'"), None),
        Kind::MisplacedFlowCollectionEnd => ("this closes what was never opened".to_owned(), None),
        Kind::ExpectedFlowMappingSeparator | Kind::UnexpectedEofFlowMapping => (
            "',' or '}' is missing before this".to_owned(),
            Some("inside { }, quote texts that hold any of { } [ ] ,"),
        ),
        Kind::ExpectedFlowSequenceSeparator | Kind::UnexpectedEofFlowSequence => (
            "',' or ']' is missing before this".to_owned(),
            Some("inside [ ], quote texts that hold any of { } [ ] ,"),
        ),
        Kind::UnknownAnchor => (
            "this alias refers to no anchor before it".to_owned(),
            Some("quote a text that begins with '*'"),
        ),
        Kind::RecursionLimitExceeded => (format!("lists and maps lie more than {DEPTH} deep here"), None),
        Kind::UnknownQuotedScalarEscape => (
            "this is no escape of YAML".to_owned(),
            Some("in single quotes a backslash is only a backslash"),
        ),
        Kind::UnexpectedCharacter { character } => (
            format!("a value cannot start with '{character}'"),
            Some("quote the value"),
        ),
        Kind::MappingValueNotAllowed | Kind::InvalidColonPlacement => (
            "': ' cannot stand here".to_owned(),
            Some("quote a text that holds ': ', and compare the indentation with the lines above"),
        ),
        Kind::ExpectedBlockMappingKey => ("a key is expected here".to_owned(), indentation),
        Kind::ExpectedBlockSequenceEntry => ("an element of a list, '- …', is expected here".to_owned(), indentation),
        Kind::BlockSequenceEntryNotAllowed => ("a list cannot begin here".to_owned(), indentation),
        Kind::InvalidIndentation => ("this is not where a line can begin".to_owned(), indentation),
        Kind::SimpleKeyExpected => (
            "this line is neither KEY: VALUE nor an element of a list".to_owned(),
            Some("write ':' and a blank after a key; indent the further lines of a text"),
        ),
        _ => (error.info(), None),
    }
}

fn is_about_blanks(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::TabNotAllowed | Kind::TabInBlockIndentation | Kind::TabInIndentation
    )
}

/// Whether an expression stands in a line without quotes around it.
fn has_bare_expression(line: &str) -> bool {
    line.match_indices("${").any(|(at, _)| {
        let before = &line[..at];
        before.matches('"').count().is_multiple_of(2) && before.matches('\'').count().is_multiple_of(2)
    })
}
