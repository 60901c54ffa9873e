//! Nodes to Rust types, by serde, with a place for every mistake and all mistakes of a value at once.
//!
//! serde stops at the first error. `read` keeps it, and reads the value again without the part that was wrong, until
//! nothing new is found.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt, ptr,
};

use serde::{
    Deserialize, Deserializer as _,
    de::{self, DeserializeSeed, IntoDeserializer, Visitor, value::StrDeserializer},
};
use serde_json::Number;

use super::{
    node::{Data, Node, Pair, leading_zero},
    scalar::{self, Plain},
};
use crate::source::{Diagnostic, Diagnostics, Hint, Place, suggest};

/// Mistakes of one value after which it is not read any further.
const MANY: usize = 50;

/// Reads a value; `subject` is the place that a missing property is reported at.
pub(super) fn read<'n, T: Deserialize<'n>>(node: &'n Node, subject: Place) -> Result<T, Diagnostics> {
    read_with(node, subject, |deserializer| T::deserialize(deserializer))
}

/// Reads a value with a function, which is called again after each mistake.
pub(super) fn read_with<'n, T>(
    node: &'n Node,
    subject: Place,
    parse: impl for<'s> Fn(Deserializer<'n, 's>) -> Result<T, Error>,
) -> Result<T, Diagnostics> {
    let session = Session::default();
    loop {
        let left_out = session.wrong.borrow().len();
        let result = parse(Deserializer {
            node,
            subject,
            session: &session,
        });
        match result {
            Ok(value) if session.mistakes.borrow().0.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => session.note(error, subject),
        }
        // If nothing more was left out, it is the whole that is wrong.
        if session.wrong.borrow().len() == left_out || session.mistakes.borrow().0.len() >= MANY {
            break;
        }
    }
    Err(session.mistakes.into_inner())
}

/// What is known of a value while it is read again and again.
#[derive(Debug, Default)]
struct Session {
    /// Nodes that are left out, by address: they are wrong, and it has been said.
    wrong: RefCell<HashSet<*const Node>>,
    mistakes: RefCell<Diagnostics>,
    /// Maps whose unknown keys have been reported.
    seen: RefCell<HashSet<*const Node>>,
}

impl Session {
    fn is_wrong(&self, node: &Node) -> bool {
        matches!(node.data, Data::Failed) || self.wrong.borrow().contains(&ptr::from_ref(node))
    }

    /// Writes an error down, at this place if it has none.
    fn note(&self, error: Error, place: Place) {
        let diagnostic = match error {
            Error::Written => return,
            Error::Missing(field) => Diagnostic::at(place, format!("'{field}' is missing")),
            Error::Wrong(diagnostic) => Diagnostic {
                place: diagnostic.place.or(Some(place)),
                ..*diagnostic
            },
        };
        let mut mistakes = self.mistakes.borrow_mut();
        if !mistakes.0.contains(&diagnostic) {
            mistakes.push(diagnostic);
        }
    }

    /// Writes the error of a part down, and leaves the part out from now on.
    fn leave_out(&self, node: &Node, error: Error) -> Error {
        self.note(error, node.place);
        self.wrong.borrow_mut().insert(ptr::from_ref(node));
        Error::Written
    }

    /// Reads a part. Where something inside it was wrong and is left out now, the part itself gets another chance.
    fn part<T>(&self, node: &Node, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let left_out = self.wrong.borrow().len();
        read().map_err(|error| match error {
            Error::Written if self.wrong.borrow().len() > left_out => error,
            _ => self.leave_out(node, error),
        })
    }
}

/// A mistake.
#[derive(Debug)]
pub(super) enum Error {
    /// It is written down already.
    Written,
    /// A property of a struct.
    Missing(&'static str),
    /// Any other; where it has no place, it is the value's.
    Wrong(Box<Diagnostic>),
}

impl From<Diagnostic> for Error {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Wrong(Box::new(diagnostic))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written => f.write_str("a part is wrong"),
            Self::Missing(field) => write!(f, "'{field}' is missing"),
            Self::Wrong(diagnostic) => f.write_str(&diagnostic.message),
        }
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Diagnostic::general(message.to_string()).into()
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("there is no property '{field}'");
        Diagnostic::general(message)
            .did_you_mean(field, expected.iter().copied())
            .into()
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        one_of(
            Diagnostic::general(format!("'{variant}' is not known here")),
            variant,
            expected,
        )
        .into()
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::custom(format!("{unexpected} stands here, where {expected} is wanted"))
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }
}

/// With the nearest of the names, or all of them, as hint.
fn one_of(diagnostic: Diagnostic, written: &str, names: &[&str]) -> Diagnostic {
    match suggest(written, names.iter().copied()) {
        Some(name) => diagnostic.hint(Hint::DidYouMean(name.to_owned())),
        None => diagnostic.hint(Hint::OneOf(names.iter().map(|name| (*name).to_owned()).collect())),
    }
}

/// Reads one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deserializer<'n, 's> {
    node: &'n Node,
    subject: Place,
    session: &'s Session,
}

impl<'n, 's> Deserializer<'n, 's> {
    fn of(self, node: &'n Node) -> Self {
        Self {
            node,
            subject: node.place,
            ..self
        }
    }

    /// The number here, if it is a whole one.
    fn whole(self) -> Result<Option<Number>, Error> {
        Ok(match &self.node.data {
            Data::Number(number) if !number.is_f64() => Some(number.clone()),
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Int(value) => Some(value.into()),
                Plain::UInt(value) => Some(value.into()),
                Plain::LeadingZero => return Err(leading_zero(self.node.place, text).into()),
                _ => None,
            },
            _ => None,
        })
    }

    fn items(self) -> Option<Items<'n, 's>> {
        match &self.node.data {
            Data::Sequence(items) => Some(Items {
                of: self,
                rest: items.iter(),
            }),
            _ => None,
        }
    }

    fn pairs(self, null_is_absent: bool) -> Option<Pairs<'n, 's>> {
        match &self.node.data {
            Data::Mapping(pairs) => Some(Pairs {
                of: self,
                rest: pairs.iter(),
                value: Cell::new(None),
                known: None,
                null_is_absent,
            }),
            _ => None,
        }
    }

    /// Reports keys that a struct does not have, once.
    fn report_unknown(self, pairs: &'n [Pair], fields: &[&str]) {
        if !self.session.seen.borrow_mut().insert(ptr::from_ref(self.node)) {
            return;
        }
        for pair in pairs.iter().filter(|pair| !fields.contains(&&*pair.key)) {
            let diagnostic = pair.unknown(format!("there is no property '{}'", &*pair.key), fields);
            self.session.mistakes.borrow_mut().push(diagnostic);
        }
    }
}

/// A method for a number type.
macro_rules! whole_numbers {
    ($($method:ident $visit:ident $type:ty),+) => {
        $(fn $method<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
            let Some(number) = self.whole()? else {
                return Err(self.node.is_not("a whole number").into());
            };
            let value = number.as_i128().and_then(|value| <$type>::try_from(value).ok());
            match value {
                Some(value) => visitor.$visit(value),
                None => Err(Diagnostic::at(
                    self.node.place,
                    format!("{number} is out of range: {} to {} fit here", <$type>::MIN, <$type>::MAX),
                )
                .into()),
            }
        })+
    };
}

/// Methods that accept texts only.
macro_rules! texts {
    ($($method:ident),+) => {
        $(fn $method<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.visit_str(&self.node.to_text()?)
        })+
    };
}

impl<'n> de::Deserializer<'n> for Deserializer<'n, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.data {
            Data::Null | Data::Failed => visitor.visit_unit(),
            Data::Bool(value) => visitor.visit_bool(*value),
            Data::Text(text) => visitor.visit_str(text),
            Data::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(value), ..) => visitor.visit_i64(value),
                (_, Some(value), _) => visitor.visit_u64(value),
                (.., value) => visitor.visit_f64(value.unwrap_or_default()),
            },
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Null => visitor.visit_unit(),
                Plain::Bool(value) => visitor.visit_bool(value),
                Plain::Int(value) => visitor.visit_i64(value),
                Plain::UInt(value) => visitor.visit_u64(value),
                Plain::Float(value) => visitor.visit_f64(value),
                Plain::LeadingZero => Err(leading_zero(self.node.place, text).into()),
                Plain::Text => visitor.visit_str(text),
            },
            Data::Sequence(_) => self.deserialize_seq(visitor),
            Data::Mapping(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.data {
            Data::Bool(value) => Some(*value),
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Bool(value) => Some(value),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => visitor.visit_bool(value),
            None => Err(self.node.is_not_bool().into()),
        }
    }

    whole_numbers!(
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16, deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64, deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64
    );

    fn deserialize_f32<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match &self.node.data {
            Data::Number(number) => number.as_f64(),
            Data::Plain(text) => match scalar::resolve(text) {
                Plain::Int(_) | Plain::UInt(_) | Plain::Float(_) => text.parse().ok(),
                Plain::LeadingZero => return Err(leading_zero(self.node.place, text).into()),
                _ => None,
            },
            _ => None,
        };
        match value {
            Some(value) => visitor.visit_f64(value),
            None => Err(self.node.is_not("a number").into()),
        }
    }

    texts!(
        deserialize_str,
        deserialize_string,
        deserialize_identifier,
        deserialize_bytes,
        deserialize_byte_buf
    );

    fn deserialize_char<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(&self.node.to_text()?)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.node.is_null() {
            visitor.visit_unit()
        } else {
            Err(self.node.is_not("nothing").into())
        }
    }

    fn deserialize_unit_struct<V: Visitor<'n>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.items() {
            Some(items) => visitor.visit_seq(items),
            None => Err(self.node.is_not("a list").into()),
        }
    }

    fn deserialize_tuple<V: Visitor<'n>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.pairs(false) {
            Some(pairs) => visitor.visit_map(pairs),
            None => Err(self.node.is_not("a map").into()),
        }
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Some(mut pairs) = self.pairs(true) else {
            let error = self.node.is_not("a map");
            return Err(error.hint(format!("its keys are: {}", fields.join(", "))).into());
        };
        self.report_unknown(pairs.rest.as_slice(), fields);
        pairs.known = Some(fields);
        let all = pairs.rest.as_slice();
        visitor
            .visit_map(pairs)
            .map_err(|error| self.explain(error, all, fields))
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let known = |name: &str, place: Place| {
            if variants.contains(&name) {
                return Ok(());
            }
            let diagnostic = Diagnostic::at(place, format!("'{name}' is not known here"));
            Err(Error::from(one_of(diagnostic, name, variants)))
        };
        match &self.node.data {
            Data::Mapping(pairs) if pairs.len() == 1 => {
                known(&pairs[0].key, pairs[0].key_place)?;
                visitor.visit_enum(Variant {
                    of: self,
                    pair: &pairs[0],
                })
            }
            Data::Mapping(_) => Err(self.node.is_not("a map of one key").into()),
            _ => {
                let name = self.node.to_text()?;
                known(&name, self.node.place)?;
                visitor.visit_enum((*name).into_deserializer())
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

impl Deserializer<'_, '_> {
    /// A property that is misspelt, without a value, or with one that is wrong, is not a missing one.
    fn explain(self, error: Error, pairs: &[Pair], fields: &[&str]) -> Error {
        let Error::Missing(name) = error else { return error };
        let is_misspelt =
            |pair: &Pair| !fields.contains(&&*pair.key) && suggest(&pair.key, fields.iter().copied()) == Some(name);
        if pairs.iter().any(is_misspelt) {
            return Error::Written;
        }
        match pairs.iter().find(|pair| &*pair.key == name) {
            Some(pair) if self.session.is_wrong(&pair.value) => Error::Written,
            Some(pair) => Diagnostic::at(pair.key_place, format!("'{name}' has no value")).into(),
            None => Diagnostic::at(self.subject, format!("'{name}' is missing")).into(),
        }
    }
}

/// The items of a list.
struct Items<'n, 's> {
    of: Deserializer<'n, 's>,
    rest: std::slice::Iter<'n, Node>,
}

impl<'n> de::SeqAccess<'n> for Items<'n, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let session = self.of.session;
        let Some(node) = self.rest.find(|node| !session.is_wrong(node)) else {
            return Ok(None);
        };
        session.part(node, || seed.deserialize(self.of.of(node))).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// The pairs of a map.
struct Pairs<'n, 's> {
    of: Deserializer<'n, 's>,
    rest: std::slice::Iter<'n, Pair>,
    value: Cell<Option<&'n Pair>>,
    /// What a struct has; the rest is reported already.
    known: Option<&'static [&'static str]>,
    /// A property whose value is null counts as not given.
    null_is_absent: bool,
}

impl<'n> de::MapAccess<'n> for Pairs<'n, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'n>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let (session, known, null_is_absent) = (self.of.session, self.known, self.null_is_absent);
        let pair = self.rest.find(|pair| {
            let is_known = known.is_none_or(|fields| fields.contains(&&*pair.key));
            let is_absent = null_is_absent && pair.value.is_null();
            is_known && !is_absent && !session.is_wrong(&pair.value)
        });
        let Some(pair) = pair else { return Ok(None) };
        self.value.set(Some(pair));
        let key: StrDeserializer<'_, Error> = (*pair.key).into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| {
            session.note(error, pair.key_place);
            session.leave_out(&pair.value, Error::Written)
        })
    }

    fn next_value_seed<T: DeserializeSeed<'n>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some(pair) = self.value.take() else {
            return Err(de::Error::custom("a value was read before its key"));
        };
        let deserializer = Deserializer {
            node: &pair.value,
            subject: pair.key_place,
            ..self.of
        };
        self.of.session.part(&pair.value, || seed.deserialize(deserializer))
    }
}

/// `VARIANT: value`.
struct Variant<'n, 's> {
    of: Deserializer<'n, 's>,
    pair: &'n Pair,
}

impl<'n, 's> de::EnumAccess<'n> for Variant<'n, 's> {
    type Error = Error;
    type Variant = Deserializer<'n, 's>;

    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Deserializer<'n, 's>), Error> {
        let key: StrDeserializer<'_, Error> = (*self.pair.key).into_deserializer();
        let value = Deserializer {
            node: &self.pair.value,
            subject: self.pair.key_place,
            ..self.of
        };
        Ok((seed.deserialize(key)?, value))
    }
}

impl<'n> de::VariantAccess<'n> for Deserializer<'n, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        <()>::deserialize(self)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'n>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'n>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
