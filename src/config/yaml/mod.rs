//! YAML to nodes. The only module that names the YAML crate.
//!
//! What glrl takes is plain data: one document, text as keys, no duplicate keys, no tags but those of the core schema.
//! Aliases are copied, within bounds; merge keys (`<<`) are YAML 1.1 and refused.

mod syntax;

use std::{collections::HashMap, sync::Arc};

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use super::{
    node::{Data, Node, Pair, Text},
    scalar::{self, Plain},
};
use crate::source::{Diagnostic, Diagnostics, FileId, Place};

/// Nodes that anchors and aliases may add to a file.
const ALIASED_NODES: usize = 100_000;
/// Bytes of text that they may add to a file.
const ALIASED_BYTES: usize = 16 << 20;
/// How deep lists and maps may lie in each other, aliases included; the parser's own limit is the same.
const DEPTH: usize = 255;

/// Reads the one document of a file. Everything that can be said of a file that parses is said at once; a file that does
/// not parse has one mistake.
pub(super) fn parse(file: FileId, text: &Arc<str>) -> Result<Node, Diagnostics> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        file,
        text,
        stack: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        aliased: 0,
        aliased_bytes: 0,
        mistakes: Diagnostics::default(),
    };
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => {
                if builder.take(event, span) == Flow::Stop {
                    break;
                }
            }
            Err(error) => {
                builder.mistakes.push(syntax::explain(file, text, &error));
                break;
            }
        }
    }
    let start = Place::new(file, 0..0);
    let root = builder.root.take().unwrap_or(Node::new(start, Data::Null));
    builder.mistakes.or(root)
}

#[derive(PartialEq)]
enum Flow {
    Go,
    Stop,
}

struct Builder<'t> {
    file: FileId,
    text: &'t Arc<str>,
    stack: Vec<Open>,
    root: Option<Node>,
    /// Complete anchored nodes, and how deep they are.
    anchors: HashMap<usize, (Node, usize)>,
    aliased: usize,
    aliased_bytes: usize,
    mistakes: Diagnostics,
}

/// A list or map that is not complete.
struct Open {
    place: Place,
    anchor: usize,
    flow: bool,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        pairs: Vec<Pair>,
        key: Option<(Text, Place)>,
        /// Where each key stands, once there are too many to look through.
        index: HashMap<Text, Place>,
    },
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Flow {
        let place = self.place(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.mistakes.push(
                    Diagnostic::at(place, "a second document starts here")
                        .hint("a file holds one document: remove the '---' and what follows"),
                );
                return Flow::Stop;
            }
            Event::Scalar(value, style, anchor, tag) => {
                let node = self.scalar(&value, style, tag.as_deref(), place, span);
                return self.add(node, anchor, 1);
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "seq", place, span);
                self.open(place, anchor, style, Content::Sequence(Vec::new()));
            }
            Event::MappingStart(style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), "map", place, span);
                let content = Content::Mapping {
                    pairs: Vec::new(),
                    key: None,
                    index: HashMap::new(),
                };
                self.open(place, anchor, style, content);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.close(place),
            Event::Alias(anchor) => return self.alias(anchor, place),
            _ => {}
        }
        Flow::Go
    }

    fn place(&self, span: Span) -> Place {
        let end = self.text.len();
        let range = span.byte_range().unwrap_or(0..0);
        let start = self.text.floor_char_boundary(range.start.min(end));
        Place::new(
            self.file,
            start..self.text.ceil_char_boundary(range.end.clamp(start, end)),
        )
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place, span: Span) -> Node {
        let text = self.share(value);
        let Some(tag) = tag else {
            let data = match style {
                ScalarStyle::Plain if scalar::resolve(&text) == Plain::Null => Data::Null,
                ScalarStyle::Plain => Data::Plain(text),
                _ => Data::Text(text),
            };
            return Node::new(place, data);
        };
        let plain = scalar::resolve(&text);
        let data = match tag.core_suffix() {
            Some("str") => Data::Text(text),
            _ if tag.suffix().is_empty() || tag.suffix() == "!" => Data::Text(text),
            Some("null") if plain == Plain::Null => Data::Null,
            Some("bool") if matches!(plain, Plain::Bool(_)) => Data::Plain(text),
            Some("int") if matches!(plain, Plain::Int(_) | Plain::UInt(_)) => Data::Plain(text),
            Some("float") if matches!(plain, Plain::Float(_) | Plain::Int(_)) => Data::Plain(text),
            _ => {
                self.refuse_tag(Some(tag), "str", place, span);
                Data::Text(text)
            }
        };
        Node::new(place, data)
    }

    /// Shares what the file says word for word.
    fn share(&self, value: &str) -> Text {
        let (base, start) = (self.text.as_ptr() as usize, value.as_ptr() as usize);
        if start >= base && start + value.len() <= base + self.text.len() {
            Text::slice(self.text, start - base..start - base + value.len())
        } else {
            value.into()
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, accepted: &str, place: Place, span: Span) {
        if let Some(tag) = tag
            && tag.core_suffix() != Some(accepted)
        {
            let place = span.tag_span().map_or(place, |span| self.place(span));
            self.mistakes.push(
                Diagnostic::at(place, "this tag means nothing here")
                    .hint("remove it: what a value is, follows from where it stands"),
            );
        }
    }

    fn open(&mut self, place: Place, anchor: usize, style: granit_parser::StructureStyle, content: Content) {
        self.stack.push(Open {
            place,
            anchor,
            flow: style == granit_parser::StructureStyle::Flow,
            content,
        });
    }

    fn close(&mut self, end: Place) -> Flow {
        let Some(open) = self.stack.pop() else {
            return Flow::Go;
        };
        let (last, data) = match open.content {
            Content::Sequence(items) => (items.last().map(|item| item.place.end), Data::Sequence(items)),
            Content::Mapping { pairs, .. } => (pairs.last().map(|pair| pair.value.place.end), Data::Mapping(pairs)),
        };
        // A block has no end of its own: it ends with the last thing in it.
        let end = if open.flow {
            end.end
        } else {
            last.unwrap_or(open.place.end)
        };
        let place = Place {
            end: end.max(open.place.start),
            ..open.place
        };
        let node = Node::new(place, data);
        let depth = if open.anchor == 0 { 0 } else { depth(&node) };
        self.add(node, open.anchor, depth)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Flow {
        let Some((node, depth)) = self.anchors.get(&anchor) else {
            self.mistakes
                .push(Diagnostic::at(place, "this alias stands inside what it refers to"));
            return Flow::Stop;
        };
        if copied(node, &mut self.aliased, &mut self.aliased_bytes) && self.stack.len() + depth <= DEPTH {
            let node = node.clone();
            return self.add(node, 0, 0);
        }
        self.too_much(place)
    }

    fn too_much(&mut self, place: Place) -> Flow {
        self.mistakes.push(
            Diagnostic::at(place, "the anchors and aliases of this file make too much of it").hint(format!(
                "they may add {ALIASED_NODES} values and {} MiB, {DEPTH} deep",
                ALIASED_BYTES >> 20
            )),
        );
        Flow::Stop
    }

    /// A complete node goes where it belongs. One that aliases may refer to is kept as a copy, with copies in it where such nodes lie in each
    /// other.
    fn add(&mut self, node: Node, anchor: usize, depth: usize) -> Flow {
        if anchor != 0 {
            if !copied(&node, &mut self.aliased, &mut self.aliased_bytes) {
                return self.too_much(node.place);
            }
            self.anchors.insert(anchor, (node.clone(), depth));
        }
        match self.stack.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping { pairs, key, index }) => match key.take() {
                Some((key, key_place)) => {
                    if let Some(first) = first_place(pairs, index, &key, key_place) {
                        self.mistakes.push(
                            Diagnostic::at(key_place, format!("'{}' is there already", &*key))
                                .label("again here")
                                .note(first, "first here"),
                        );
                        return Flow::Go;
                    }
                    pairs.push(Pair {
                        key,
                        key_place,
                        value: node,
                    });
                }
                None => *key = Some(as_key(node, &mut self.mistakes)),
            },
        }
        Flow::Go
    }
}

fn as_key(node: Node, mistakes: &mut Diagnostics) -> (Text, Place) {
    match node.data {
        Data::Plain(text) | Data::Text(text) => {
            if &*text == "<<" {
                mistakes.push(
                    Diagnostic::at(node.place, "'<<' is a merge key, which YAML 1.2 does not have")
                        .hint("write the keys out, or keep what is shared in 'vars'"),
                );
            }
            (text, node.place)
        }
        _ => {
            mistakes.push(node.is_not("a name as key"));
            (Text::from(""), node.place)
        }
    }
}

/// Where a key stands already, if it does. Small maps are looked through, large ones are indexed.
fn first_place(pairs: &[Pair], index: &mut HashMap<Text, Place>, key: &Text, place: Place) -> Option<Place> {
    const LARGE: usize = 16;
    if pairs.len() < LARGE {
        return pairs.iter().find(|pair| pair.key == *key).map(|pair| pair.key_place);
    }
    if index.is_empty() {
        index.extend(pairs.iter().map(|pair| (pair.key.clone(), pair.key_place)));
    }
    let first = index.get(key).copied();
    if first.is_none() {
        index.insert(key.clone(), place);
    }
    first
}

/// Counts a copy of a node. False once these are too many.
fn copied(node: &Node, nodes: &mut usize, text: &mut usize) -> bool {
    *nodes = nodes.saturating_add(count(node));
    *text = text.saturating_add(bytes(node));
    *nodes <= ALIASED_NODES && *text <= ALIASED_BYTES
}

fn count(node: &Node) -> usize {
    match &node.data {
        Data::Sequence(items) => 1 + items.iter().map(count).sum::<usize>(),
        Data::Mapping(pairs) => 1 + pairs.iter().map(|pair| count(&pair.value)).sum::<usize>(),
        _ => 1,
    }
}

fn bytes(node: &Node) -> usize {
    match &node.data {
        Data::Plain(text) | Data::Text(text) => text.len(),
        Data::Sequence(items) => items.iter().map(bytes).sum(),
        Data::Mapping(pairs) => pairs.iter().map(|pair| pair.key.len() + bytes(&pair.value)).sum(),
        _ => 0,
    }
}

fn depth(node: &Node) -> usize {
    match &node.data {
        Data::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Data::Mapping(pairs) => 1 + pairs.iter().map(|pair| depth(&pair.value)).max().unwrap_or(0),
        _ => 1,
    }
}
