//! `${…}` in the scalars of a role.
//!
//! A scalar that is one whole expression keeps the type of its value; inside text the value is rendered; `$${` stands for
//! `${`. A plain path (`${inputs.size}`) is looked up, all else is CEL; each distinct text is compiled once.

use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::HashMap,
    ops::Range,
    rc::Rc,
};

use serde_json::Value;

use super::{
    budget,
    node::{Data, Node, Pair, Text},
    program::Program,
    scope::{Problem, ROOTS, Scope, member_of},
};
use crate::{
    source::{Diagnostic, Diagnostics, Place, Sources},
    value::Size,
};

/// Evaluates expressions, and keeps what it has compiled.
#[derive(Debug, Default)]
pub(super) struct Expressions {
    /// Bytes that all of them have given.
    given: Cell<usize>,
    compiled: RefCell<HashMap<Box<str>, Rc<Attempt>>>,
}

type Attempt = Result<Compiled, Problem>;

#[derive(Debug)]
enum Compiled {
    /// A root, a member of it, and members of that.
    Path(Vec<String>),
    Program(Program),
}

/// A part of a scalar.
#[derive(Debug, PartialEq)]
enum Part {
    /// Text as it is.
    Literal(Range<usize>),
    /// What stands between `${` and `}`.
    Expression(Range<usize>),
}

impl Expressions {
    /// The tree with its expressions evaluated. What fails is `Failed`, with a diagnostic, unless it failed only because a
    /// value is a placeholder.
    pub(super) fn evaluate<'n>(
        &self,
        node: &'n Node,
        scope: &Scope<'_>,
        sources: &Sources,
        mistakes: &mut Diagnostics,
    ) -> Cow<'n, Node> {
        match &node.data {
            Data::Plain(text) | Data::Text(text) if text.contains("${") => {
                let evaluated = self.scalar(text, node.place, scope, sources, mistakes);
                Cow::Owned(evaluated.unwrap_or(Node::new(node.place, Data::Failed)))
            }
            Data::Sequence(items) if items.iter().any(has_expression) => {
                let items = items
                    .iter()
                    .map(|item| self.evaluate(item, scope, sources, mistakes).into_owned());
                Cow::Owned(Node::new(node.place, Data::Sequence(items.collect())))
            }
            Data::Mapping(pairs) if pairs.iter().any(pair_has_expression) => {
                let mut evaluated: Vec<Pair> = Vec::with_capacity(pairs.len());
                for pair in pairs {
                    let value = self.evaluate(&pair.value, scope, sources, mistakes).into_owned();
                    let Some(key) = self.key(pair, scope, sources, mistakes) else {
                        continue;
                    };
                    if let Some(first) = evaluated.iter().find(|other| other.key == key) {
                        let message = format!("this gives '{}', which is there already", &*key);
                        mistakes.push(Diagnostic::at(pair.key_place, message).note(first.key_place, "first here"));
                    } else {
                        evaluated.push(Pair { key, value, ..*pair });
                    }
                }
                Cow::Owned(Node::new(node.place, Data::Mapping(evaluated)))
            }
            _ => Cow::Borrowed(node),
        }
    }

    /// A key, which may be text with expressions.
    fn key(&self, pair: &Pair, scope: &Scope<'_>, sources: &Sources, mistakes: &mut Diagnostics) -> Option<Text> {
        if !pair.key.contains("${") {
            return Some(pair.key.clone());
        }
        let node = self.scalar(&pair.key, pair.key_place, scope, sources, mistakes)?;
        match node.to_text() {
            Ok(text) => Some((*text).into()),
            Err(mistake) => {
                mistakes.push(mistake);
                None
            }
        }
    }

    fn scalar(
        &self,
        text: &Text,
        place: Place,
        scope: &Scope<'_>,
        sources: &Sources,
        mistakes: &mut Diagnostics,
    ) -> Option<Node> {
        let given = self.given.get();
        if given > budget::LARGEST_IN_ALL || budget::is_spent() {
            // Said once.
            return None;
        }
        match self.render(text, place, scope) {
            Ok((node, size)) => {
                self.given.set(given.saturating_add(size));
                if self.given.get() <= budget::LARGEST_IN_ALL {
                    return Some(node);
                }
                let limit = Size::bytes(budget::LARGEST_IN_ALL as u64);
                mistakes.push(
                    Diagnostic::at(
                        place,
                        format!("the expressions up to here give more than {limit} of values"),
                    )
                    .hint("put what is large into files beside the role"),
                );
                None
            }
            Err((range, problem)) => {
                if !(problem.of_values && scope.is_placeholder(text)) {
                    mistakes.push(Spot { text, place, sources }.diagnostic(range, &problem));
                }
                None
            }
        }
    }

    /// The scalar's value and its bytes, or what is wrong in which part of it.
    fn render(&self, text: &str, place: Place, scope: &Scope<'_>) -> Result<(Node, usize), (Range<usize>, Problem)> {
        let parts = split(text).map_err(|(range, message)| (range, Problem::new(message)))?;
        if let [Part::Expression(range)] = parts.as_slice() {
            let value = self.value(&text[range.clone()], scope);
            let value = value.map_err(|problem| (range.clone(), problem))?;
            let size = budget::size(&value);
            if size > budget::LARGEST {
                return Err((range.clone(), too_large(&text[range.clone()])));
            }
            return Ok((Node::of_value(place, &value), size));
        }
        let mut rendered = String::with_capacity(text.len());
        for part in parts {
            match part {
                Part::Literal(range) => rendered.push_str(&text[range]),
                Part::Expression(range) => {
                    let expression = &text[range.clone()];
                    self.value(expression, scope)
                        .and_then(|value| render(&value, expression, &mut rendered))
                        .map_err(|problem| (range.clone(), problem))?;
                    if rendered.len() > budget::LARGEST {
                        return Err((range, too_large("the text up to here")));
                    }
                }
            }
        }
        let size = rendered.len();
        Ok((Node::new(place, Data::Text(rendered.as_str().into())), size))
    }

    fn value(&self, expression: &str, scope: &Scope<'_>) -> Result<Value, Problem> {
        match &*self.compile(expression) {
            Ok(Compiled::Path(path)) => follow(path, scope),
            Ok(Compiled::Program(program)) => program.execute(scope),
            Err(problem) => Err(problem.clone()),
        }
    }

    /// Whether anything in a tree reads what is secret.
    pub(super) fn reads_secret(&self, node: &Node, scope: &Scope<'_>) -> bool {
        match &node.data {
            Data::Plain(text) | Data::Text(text) => self.text_reads_secret(text, scope),
            Data::Sequence(items) => items.iter().any(|item| self.reads_secret(item, scope)),
            Data::Mapping(pairs) => pairs
                .iter()
                .any(|pair| self.text_reads_secret(&pair.key, scope) || self.reads_secret(&pair.value, scope)),
            _ => false,
        }
    }

    fn text_reads_secret(&self, text: &str, scope: &Scope<'_>) -> bool {
        text.contains("${")
            && split(text).is_ok_and(|parts| {
                parts.into_iter().any(|part| match part {
                    Part::Literal(_) => false,
                    Part::Expression(range) => match &*self.compile(&text[range]) {
                        Ok(Compiled::Path(path)) => scope.is_secret(&path[0], path.get(1).map(String::as_str)),
                        Ok(Compiled::Program(program)) => program.reads_secret(scope),
                        Err(_) => false,
                    },
                })
            })
    }

    fn compile(&self, text: &str) -> Rc<Attempt> {
        if let Some(compiled) = self.compiled.borrow().get(text) {
            return Rc::clone(compiled);
        }
        let compiled = Rc::new(match path(text) {
            Some(path) => Ok(Compiled::Path(path)),
            None if text.trim().is_empty() => Err(Problem::new("this expression is empty")),
            None => Program::compile(text).map(Compiled::Program),
        });
        self.compiled.borrow_mut().insert(text.into(), Rc::clone(&compiled));
        compiled
    }
}

/// Of a value that is beyond all reason.
fn too_large(what: &str) -> Problem {
    let limit = Size::bytes(budget::LARGEST as u64);
    Problem::of_values(format!("{} gives more than {limit}", what.trim()))
        .hint("put what is large into a file beside the role")
}

/// Whether there is anything to evaluate.
pub(super) fn has_expression(node: &Node) -> bool {
    match &node.data {
        Data::Plain(text) | Data::Text(text) => text.contains("${"),
        Data::Sequence(items) => items.iter().any(has_expression),
        Data::Mapping(pairs) => pairs.iter().any(pair_has_expression),
        _ => false,
    }
}

fn pair_has_expression(pair: &Pair) -> bool {
    pair.key.contains("${") || has_expression(&pair.value)
}

/// A scalar, to find the places of its parts.
struct Spot<'a> {
    text: &'a Text,
    place: Place,
    sources: &'a Sources,
}

impl Spot<'_> {
    /// A mistake in an expression; where the problem names a part of it, at that part.
    fn diagnostic(&self, range: Range<usize>, problem: &Problem) -> Diagnostic {
        let expression = &self.text[range.clone()];
        let range = match problem
            .part
            .as_deref()
            .and_then(|part| Some((expression.find(part)?, part.len())))
        {
            Some((start, length)) => range.start + start..range.start + start + length,
            None => range,
        };
        Diagnostic {
            hint: problem.hint.clone(),
            ..Diagnostic::at(self.place_of(range), problem.message.clone())
        }
    }

    /// Where a part of the scalar stands. Where the file writes the scalar otherwise (escapes, folded lines), the part is
    /// looked for; where it is not found, it is the whole scalar.
    fn place_of(&self, range: Range<usize>) -> Place {
        let file = self.sources.text(self.place.file);
        if let Some(offset) = self.text.offset_in(file) {
            return Place::new(self.place.file, offset + range.start..offset + range.end);
        }
        let part = &self.text[range.clone()];
        match file.get(self.place.range()).and_then(|raw| raw.find(part)) {
            Some(found) if !part.is_empty() => {
                let start = self.place.start as usize + found;
                Place::new(self.place.file, start..start + range.len())
            }
            _ => self.place,
        }
    }
}

/// Renders a value inside text.
fn render(value: &Value, expression: &str, into: &mut String) -> Result<(), Problem> {
    let expression = expression.trim();
    match value {
        Value::String(text) => into.push_str(text),
        Value::Null => {
            return Err(
                Problem::of_values(format!("{expression} has no value that this text could hold"))
                    .hint("give it a default, or leave the resource out with 'when: ${… != null}'"),
            );
        }
        Value::Array(_) => {
            return Err(
                Problem::of_values(format!("{expression} is a list, which text cannot hold"))
                    .hint(format!("join it: ${{{expression}.join(',')}}")),
            );
        }
        Value::Object(_) => {
            return Err(Problem::of_values(format!(
                "{expression} is a map, which text cannot hold"
            )));
        }
        scalar => into.push_str(&scalar.to_string()),
    }
    Ok(())
}

/// A plain path, if the expression is one.
fn path(text: &str) -> Option<Vec<String>> {
    let parts: Vec<_> = text.trim().split('.').collect();
    let is_name = |part: &&str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    (parts.len() > 1 && ROOTS.contains(&parts[0]) && parts.iter().all(is_name))
        .then(|| parts.into_iter().map(str::to_owned).collect())
}

fn follow(path: &[String], scope: &Scope<'_>) -> Result<Value, Problem> {
    let [root, first, rest @ ..] = path else {
        return Err(Problem::new("this path is too short"));
    };
    let mut known = format!("{root}.{first}");
    let mut value = scope
        .member(root, first)
        .map_err(|problem| problem.part(known.clone()))?;
    for name in rest {
        let next = format!("{known}.{name}");
        value = member_of(value, &known, name).map_err(|problem| problem.part(next.clone()))?;
        known = next;
    }
    Ok(value.clone())
}

/// Splits a scalar into text and expressions.
fn split(text: &str) -> Result<Vec<Part>, (Range<usize>, &'static str)> {
    let mut parts = Vec::new();
    let mut literal = 0;
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        if text[..start].ends_with('$') && start > literal {
            // `$${` is `${`: the first dollar goes.
            parts.push(Part::Literal(literal..start - 1));
            literal = start;
            from = start + 2;
            continue;
        }
        let inside = start + 2;
        let Some(length) = closing(&text[inside..]) else {
            return Err((start..inside, "this expression is opened with '${' and never closed"));
        };
        if start > literal {
            parts.push(Part::Literal(literal..start));
        }
        parts.push(Part::Expression(inside..inside + length));
        literal = inside + length + 1;
        from = literal;
    }
    if literal < text.len() {
        parts.push(Part::Literal(literal..text.len()));
    }
    Ok(parts)
}

/// How far it is to the brace that closes an expression: braces of CEL's maps are counted, those in its strings are not.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0;
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'\'' | b'"' => {
                at = string_end(text, at)?;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The byte after a CEL string that starts here: `'…'`, `"…"`, `'''…'''`, `"""…"""`, and with `r` before it without escapes.
fn string_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = &text[start..=start];
    let triple = quote.repeat(3);
    let delimiter = if text[start..].starts_with(&triple) {
        &triple
    } else {
        quote
    };
    let prefix = bytes[..start]
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let raw = (1..=2).contains(&prefix) && text[start - prefix..start].contains(['r', 'R']);
    let mut at = start + delimiter.len();
    while at < bytes.len() {
        if bytes[at] == b'\\' && !raw {
            at += 2;
        } else if bytes[at..].starts_with(delimiter.as_bytes()) {
            return Some(at + delimiter.len());
        } else {
            at += 1;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_text_and_expressions() {
        let whole = |text: &str| split(text).map(|parts| parts == [Part::Expression(2..text.len() - 1)]);
        for text in [
            "${a}",
            "${ {'a': 1}.a }",
            r#"${x == "}" ? '}' : "\"}"}"#,
            "${'''a'}b'''}",
            r"${r'\'}",
        ] {
            assert_eq!(whole(text), Ok(true), "{text}");
        }
        assert_eq!(
            split("a ${b}c${d}"),
            Ok(vec![
                Part::Literal(0..2),
                Part::Expression(4..5),
                Part::Literal(6..7),
                Part::Expression(9..10)
            ])
        );
        assert_eq!(split("$${a}"), Ok(vec![Part::Literal(0..0), Part::Literal(1..5)]));
        assert_eq!(split("$"), Ok(vec![Part::Literal(0..1)]));
        assert!(split("x ${a").is_err());
        assert!(split("${'}").is_err());
    }
}
