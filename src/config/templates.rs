//! Templates: Handlebars in strict mode, each compiled once a run. The only file that names the Handlebars crate.
//!
//! Nothing is escaped: these are configuration files, not HTML. A variable that is missing, or an optional input without
//! a value, is an error with its place. Helpers besides Handlebars' own (`if`, `unless`, `each`, `with`, `lookup`, `eq`, `ne`,
//! `gt`, `gte`, `lt`, `lte`, `and`, `or`, `not`, `len`): `join LIST SEPARATOR` and `json VALUE`.

use std::{cell::RefCell, sync::Arc};

use handlebars::{Handlebars, RenderErrorReason, handlebars_helper};
use serde_json::Value;

use crate::source::suggest;

handlebars_helper!(join: |list: array, separator: str| {
    list.iter().map(text).collect::<Vec<_>>().join(separator)
});
handlebars_helper!(json: |value: Json| serde_json::to_string_pretty(value).unwrap_or_default());

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The templates of a run.
#[derive(Debug)]
pub(super) struct Templates(RefCell<Handlebars<'static>>);

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
        Self(RefCell::new(registry))
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
        if !self.0.borrow().has_template(name) {
            let registered = self.0.borrow_mut().register_template_string(name, text);
            registered.map_err(|wrong| {
                let message = wrong.reason().to_string();
                error(
                    wrong.pos(),
                    format!("this is not a template: {}", message.lines().next().unwrap_or_default()),
                    None,
                )
            })?;
        }
        let mut values = values.clone();
        drop_nulls(&mut values);
        self.0.borrow().render(name, &values).map_err(|wrong| {
            let at = wrong.line_no.zip(wrong.column_no);
            match wrong.reason() {
                RenderErrorReason::MissingVariable(path) => {
                    let path = path.as_deref().unwrap_or("this variable");
                    error(at, format!("{path} has no value"), nearest(path, &values))
                }
                RenderErrorReason::HelperNotFound(helper) => error(at, format!("there is no helper '{helper}'"), None),
                reason => error(at, format!("this cannot be rendered: {reason}"), None),
            }
        })
    }
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

/// "did you mean", with the names where a path goes wrong.
fn nearest(path: &str, values: &Value) -> Option<String> {
    let mut value = values;
    for name in path
        .split(['.', '/'])
        .filter(|part| !part.is_empty() && *part != "this" && *part != "@root")
    {
        let map = value.as_object()?;
        let Some(next) = map.get(name) else {
            let names = || map.keys().map(String::as_str);
            return Some(match suggest(name, names()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("there are: {}", names().collect::<Vec<_>>().join(", ")),
            });
        };
        value = next;
    }
    None
}
