//! Templates: Handlebars in strict mode, each compiled once a run. The only file that names the Handlebars crate.
//!
//! Nothing is escaped: these are configuration files, not HTML. A variable that is missing, or an optional input without
//! a value, is an error with its place. Helpers besides Handlebars' own (`if`, `unless`, `each`, `with`, `lookup`, `eq`, `ne`,
//! `gt`, `gte`, `lt`, `lte`, `and`, `or`, `not`, `len`): `join LIST SEPARATOR` and `json VALUE`.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, Template,
    TemplateError as TemplateSyntax, handlebars_helper,
    template::{HelperTemplate, Parameter, TemplateElement},
};
use serde_json::Value;

use super::budget;
use crate::{source::suggest, system::facts, value::Size};

handlebars_helper!(join: |list: array, separator: str| {
    list.iter().map(text).collect::<Vec<_>>().join(separator)
});
handlebars_helper!(json: |value: Json| serde_json::to_string_pretty(value).unwrap_or_default());

/// What `{{PATH}}` becomes before it is rendered: Handlebars itself writes `[object]` for a map. No template can call it by this name.
const SHOW: &str = "show a value";
/// What each round of a block ends with; likewise.
const STEP: &str = "count a step";
const IS_A_LIST: &str = " is a list, which text cannot hold";
const IS_A_MAP: &str = " is a map, which text cannot hold";
/// Helpers that stand alone are called, whatever there is of that name.
const HELPERS: [&str; 2] = ["join", "json"];

/// Writes a scalar.
fn show(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let Some(value) = helper.param(0) else { return Ok(()) };
    let path = || value.relative_path().map_or("this", String::as_str);
    if value.is_value_missing() {
        return Err(RenderErrorReason::MissingVariable(value.relative_path().cloned()).into());
    }
    match value.value() {
        Value::Null => Ok(()),
        Value::Array(_) => Err(RenderErrorReason::Other(format!("{}{IS_A_LIST}", path())).into()),
        Value::Object(_) => Err(RenderErrorReason::Other(format!("{}{IS_A_MAP}", path())).into()),
        scalar => Ok(out.write(&text(scalar))?),
    }
}

/// Each round of a block pays for itself.
fn step(
    _: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    _: &mut dyn Output,
) -> HelperResult {
    budget::pay(budget::ROUND).map_err(|nothing| RenderErrorReason::Other(nothing.to_string()).into())
}

/// A template's text as it grows, within bounds.
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + text.len() > budget::RENDERED || budget::pay(budget::of_bytes(text.len())).is_err() {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Has all `{{PATH}}` of a template written by `show`, and the rounds of its blocks counted. Returns where it includes another, or itself.
fn rewrite(template: &mut Template, counter: &Template) -> Result<(), (usize, usize)> {
    for (element, mapping) in template.elements.iter_mut().zip(&template.mapping) {
        match element {
            TemplateElement::Expression(tag) | TemplateElement::HtmlExpression(tag) => show_value(tag),
            TemplateElement::HelperBlock(block) => {
                for inside in block.template.iter_mut().chain(&mut block.inverse) {
                    rewrite(inside, counter)?;
                    inside.elements.extend_from_slice(&counter.elements);
                    // What is said of it, is said of the block.
                    inside.mapping.push(mapping.clone());
                }
            }
            TemplateElement::PartialExpression(_)
            | TemplateElement::PartialBlock(_)
            | TemplateElement::DecoratorExpression(_)
            | TemplateElement::DecoratorBlock(_) => return Err((mapping.0, mapping.1)),
            _ => {}
        }
    }
    Ok(())
}

/// A template of one tag, which calls `step`.
fn counter() -> Result<Template, TemplateSyntax> {
    let mut counter = Template::compile("{{step}}")?;
    if let Some(TemplateElement::Expression(tag) | TemplateElement::HtmlExpression(tag)) = counter.elements.first_mut()
    {
        tag.name = Parameter::Name(STEP.to_owned());
    }
    Ok(counter)
}

fn show_value(tag: &mut HelperTemplate) {
    let is_helper = tag.name.as_name().is_some_and(|name| HELPERS.contains(&name));
    if tag.params.is_empty() && tag.hash.is_empty() && !is_helper {
        let name = std::mem::replace(&mut tag.name, Parameter::Name(SHOW.to_owned()));
        tag.params.push(name);
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The templates of a run.
#[derive(Debug)]
pub(super) struct Templates {
    registry: RefCell<Handlebars<'static>>,
    /// Bytes that all of them have given.
    given: Cell<usize>,
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateError {
    /// What messages call the template.
    pub(super) name: String,
    pub(super) text: Arc<str>,
    /// Line and column, counted from 1.
    pub(super) at: Option<(usize, usize)>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Default for Templates {
    fn default() -> Self {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        registry.register_escape_fn(handlebars::no_escape);
        registry.register_helper("join", Box::new(join));
        registry.register_helper("json", Box::new(json));
        registry.register_helper(SHOW, Box::new(show));
        registry.register_helper(STEP, Box::new(step));
        Self {
            registry: RefCell::new(registry),
            given: Cell::default(),
        }
    }
}

impl Templates {
    /// Renders a template that messages call `name`.
    pub(super) fn render(&self, name: &str, text: &str, values: &Value) -> Result<String, TemplateError> {
        let error = |at: Option<(usize, usize)>, message: String, hint: Option<String>| TemplateError {
            name: name.to_owned(),
            text: text.into(),
            at,
            message,
            hint,
        };
        if !self.registry.borrow().has_template(name) {
            if let Some((offset, message)) = too_much(text) {
                return Err(error(Some(line_column(text, offset)), message, None));
            }
            let mut template = Template::compile(text).map_err(|wrong| match unclosed(text) {
                Some((offset, block)) => error(
                    Some(line_column(text, offset)),
                    format!("{{{{#{block}}}}} is opened here and never closed"),
                    Some(format!("close it: {{{{/{block}}}}}")),
                ),
                None => error(wrong.pos(), syntax(&wrong, text), None),
            })?;
            let counter = counter().map_err(|wrong| error(None, syntax(&wrong, text), None))?;
            rewrite(&mut template, &counter).map_err(|at| {
                error(
                    Some(at),
                    "nothing can be included here: templates stand alone".to_owned(),
                    None,
                )
            })?;
            template.name = Some(name.to_owned());
            self.registry.borrow_mut().register_template(name, template);
        }
        if let Some((offset, path)) = undeclared(text, values) {
            return Err(error(
                Some(line_column(text, offset)),
                format!("there is no {path}"),
                nearest(path, values),
            ));
        }
        let mut with_values = values.clone();
        drop_nulls(&mut with_values);
        let mut rendered = Bounded(Vec::new());
        let templates = self.registry.borrow();
        let (result, spent) = budget::with(name, || templates.render_to_write(name, &with_values, &mut rendered));
        let wrong = match result {
            Ok(()) => {
                let given = self.given.get().saturating_add(rendered.0.len());
                self.given.set(given);
                if given > budget::LARGEST_IN_ALL {
                    let limit = Size::bytes(budget::LARGEST_IN_ALL as u64);
                    return Err(error(
                        None,
                        format!("the templates up to this one give more than {limit}"),
                        None,
                    ));
                }
                return Ok(String::from_utf8_lossy(&rendered.0).into_owned());
            }
            Err(wrong) => wrong,
        };
        let at = wrong.line_no.zip(wrong.column_no);
        let is_too_large =
            rendered.0.len() >= budget::RENDERED / 2 && matches!(wrong.reason(), RenderErrorReason::IOError(_));
        if let Some(spent) = spent.or(is_too_large.then_some(budget::Spent::Own)) {
            let hint = "take shorter lists, or make fewer rounds".to_owned();
            return Err(error(at, format!("this takes too much: {spent}"), Some(hint)));
        }
        Err(match wrong.reason() {
            RenderErrorReason::MissingVariable(path) => {
                let path = path.as_deref().unwrap_or("this variable");
                error(at, format!("{path} has no value"), nearest(path, values))
            }
            RenderErrorReason::ParamNotFoundForIndex(helper, index) => {
                error(at, format!("value {} of '{helper}' is not there", index + 1), None)
            }
            RenderErrorReason::Other(message) => {
                let hint = message.strip_suffix(IS_A_LIST).map(|path| {
                    format!("join it: {{{{join {path} \",\"}}}}, or take each: {{{{#each {path}}}}}…{{{{/each}}}}")
                });
                error(at, message.clone(), hint)
            }
            RenderErrorReason::HelperNotFound(helper) => error(at, format!("there is no helper '{helper}'"), None),
            reason => error(at, format!("this cannot be rendered: {reason}"), None),
        })
    }
}

/// Line and column of a byte, counted from 1.
fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// What is beyond the parser, and where: it goes through blocks again at each level, where an `else if` is one more, recurses into
/// parentheses, and counts lines from the beginning at each tag. What it takes for a tag or a parenthesis is counted here at the least.
fn too_much(text: &str) -> Option<(usize, String)> {
    // Of each block that is open, what it adds to the depth.
    let (mut open, mut depth): (Vec<usize>, usize) = (Vec::new(), 0);
    for (start, tag) in tags(text) {
        let tag = tag.trim_start_matches(['~', '{']).trim();
        let is_chained = tag
            .strip_prefix("else")
            .is_some_and(|rest| rest.starts_with(char::is_whitespace));
        if tag.starts_with('#') {
            open.push(1);
            depth += 1;
        } else if let (true, Some(block)) = (is_chained, open.last_mut()) {
            *block += 1;
            depth += 1;
        } else if tag.starts_with('/') {
            depth -= open.pop().unwrap_or_default();
        }
        if depth > budget::BLOCKS {
            let what = if is_chained {
                "'else if' follow each other"
            } else {
                "blocks lie in each other"
            };
            return Some((start - 2, format!("more than {} {what} here", budget::BLOCKS)));
        }
    }
    let most = budget::TAG_BYTES / text.len().max(1);
    if let Some((at, _)) = text.match_indices("{{").nth(most) {
        let message = format!(
            "{} bytes with more than {most} tags take too much: split the template",
            text.len()
        );
        return Some((at, message));
    }
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > budget::PARENTHESES {
            return Some((
                at,
                format!("more than {} parentheses lie in each other here", budget::PARENTHESES),
            ));
        }
    }
    None
}

/// The outermost block that is never closed: where its tag stands, and its helper.
fn unclosed(text: &str) -> Option<(usize, &str)> {
    let mut open: Vec<(usize, &str)> = Vec::new();
    for (start, tag) in tags(text) {
        let tag = tag.trim_start_matches('~');
        let name = |tag: &'_ str| {
            tag.trim_start()
                .split(|c: char| c.is_whitespace() || c == '~')
                .next()
                .map(str::len)
        };
        if let Some(inside) = tag.strip_prefix('#') {
            let inside = inside.trim_start();
            open.push((start - 2, &inside[..name(inside).unwrap_or_default()]));
        } else if tag.starts_with('/') {
            open.pop();
        }
    }
    open.into_iter().next()
}

/// A syntax error without the parser's list of what it would have liked.
fn syntax(wrong: &TemplateSyntax, text: &str) -> String {
    let reason = wrong.reason().to_string();
    if !reason.contains("expected") {
        return format!("this is not a template: {reason}");
    }
    let at_end = wrong.pos().is_some_and(|(line, column)| {
        let last = text.lines().last().unwrap_or_default();
        line >= text.lines().count() && column > last.chars().count()
    });
    if at_end {
        "the template ends inside a tag or a block".to_owned()
    } else {
        "this is not a tag of Handlebars".to_owned()
    }
}

/// The first of the role's own names (`inputs.NAME`, `vars.NAME`, `facts.NAME`) in a tag that nobody declares, and where it
/// stands. Strict mode does not see those in `{{#if}}` and in branches that are not taken.
fn undeclared<'t>(text: &'t str, values: &Value) -> Option<(usize, &'t str)> {
    for (start, tag) in tags(text) {
        let mut quote = None;
        for (at, char) in tag.char_indices() {
            match quote {
                Some(open) if char == open => quote = None,
                Some(_) => continue,
                None if char == '"' || char == '\'' => quote = Some(char),
                None => {}
            }
            let is_start = !tag[..at].ends_with(|c: char| c.is_alphanumeric() || "_./@-".contains(c));
            let Some(root) = ["inputs", "vars", "facts"]
                .into_iter()
                .find(|root| is_start && tag[at..].starts_with(root))
            else {
                continue;
            };
            let Some(rest) = tag[at + root.len()..].strip_prefix('.') else {
                continue;
            };
            let name = rest
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            let known = match (root, values.get(root)) {
                ("facts", _) => facts::NAMES.contains(&name),
                (_, Some(Value::Object(map))) => map.contains_key(name),
                _ => true,
            };
            if !known && !name.is_empty() {
                return Some((start + at, &tag[at..at + root.len() + 1 + name.len()]));
            }
        }
    }
    None
}

/// The facts that a template names, `None` where it takes them as a whole: `{{#with facts}}`.
pub(super) fn facts_named(text: &str) -> Option<Vec<&'static str>> {
    let is_whole = tags(text).any(|(_, tag)| {
        tag.match_indices("facts").any(|(at, word)| {
            let is_name = |c: char| c.is_alphanumeric() || "_-".contains(c);
            let around = (tag[..at].chars().next_back(), tag[at + word.len()..].chars().next());
            !around.0.is_some_and(is_name) && !around.1.is_some_and(|c| is_name(c) || c == '.')
        })
    });
    let named = |name: &&str| text.contains(&format!("facts.{name}"));
    (!is_whole).then(|| facts::NAMES.into_iter().filter(named).collect())
}

/// What stands between `{{` and `}}`, and where; comments, with what they hold, and escaped tags are left out.
fn tags(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut from = 0;
    let next = move || {
        let start = from + text[from..].find("{{")? + 2;
        let end = if text[start..].starts_with("!--") { "--" } else { "" };
        from = start + text[start..].find(&format!("{end}}}}}"))?;
        let is_tag = !text[start..].starts_with('!') && !text[..start - 2].ends_with('\\');
        Some(is_tag.then(|| (start, &text[start..from])))
    };
    std::iter::from_fn(next).flatten()
}

/// What has no value is not there, so that strict mode finds it; `{{#if}}` takes it as false.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What to do about a path that leads nowhere: the nearest name, or all names, where it goes wrong.
fn nearest(path: &str, values: &Value) -> Option<String> {
    let mut value = values;
    let is_name = |part: &&str| !part.is_empty() && *part != "this" && *part != "@root";
    for name in path.split(['.', '/']).filter(is_name) {
        let map = value.as_object()?;
        let Some(next) = map.get(name) else {
            let names: Vec<&str> = if path == format!("facts.{name}") {
                facts::NAMES.to_vec()
            } else {
                map.iter()
                    .filter(|(_, value)| !value.is_null())
                    .map(|(name, _)| name.as_str())
                    .collect()
            };
            return Some(match suggest(name, names.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None if names.is_empty() => return None,
                None => format!("there are: {}", names.join(", ")),
            });
        };
        value = next;
    }
    value
        .is_null()
        .then(|| format!("it may be without one: put it between {{{{#if {path}}}}} and {{{{/if}}}}"))
}
