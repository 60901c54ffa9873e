//! Expressions in the Common Expression Language. The only file that names the CEL crate.
//!
//! Besides CEL's standard functions and macros there are the string, list and math extensions that Kubernetes users know
//! (`'a,b'.split(',')`, `x.join(' ')`, `x.lowerAscii()`, `math.greatest(a, b)`).

use std::sync::{Arc, LazyLock};

use cel::{
    Context, Env, ExecutionError, Value as Cel,
    common::ast::{Expr, IdedExpr, LiteralValue},
    objects::Key,
};
use serde_json::{Map, Number, Value};

use super::{
    budget, counted,
    counted::counted,
    scope::{Problem, ROOTS, Scope},
    secrets::Plain,
};
use crate::source::{Hint, suggest};

/// Names that CEL gives to its types.
const TYPES: [&str; 11] = [
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "dyn",
];

/// Bytes of an expression, and brackets in brackets. CEL's parser and evaluator recurse; within these bounds they stay far
/// from the end of the stack that `load` gives them.
const LONGEST: usize = 1000;
const DEEPEST: usize = 50;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    for extension in [cel::extensions::strings, cel::extensions::lists, cel::extensions::math] {
        let added = env.add_extension(extension);
        debug_assert!(added.is_ok(), "{added:?}");
    }
    counted::declare(&mut env);
    Arc::new(env)
});

/// A compiled expression, and what it needs to be given.
#[derive(Debug)]
pub(super) struct Program {
    text: Box<str>,
    compiled: IdedExpr,
    names: Vec<Name>,
    /// Texts and numbers that stand in it.
    literals: Vec<Value>,
}

/// `inputs.size` in an expression, or `inputs` alone.
#[derive(Debug, PartialEq)]
struct Name {
    root: String,
    member: Option<String>,
}

impl Program {
    /// Compiles an expression; what is wrong with it whatever the values are, is said here.
    pub(super) fn compile(text: &str) -> Result<Self, Problem> {
        if text.len() > LONGEST || nesting(text) > DEEPEST {
            return Err(Problem::new("this expression is too long or too deep").hint("compute parts of it in 'vars'"));
        }
        if let (_, Some(spent)) = budget::with(text, || budget::pay(budget::COMPILED_BYTE * text.len() as u64)) {
            return Err(too_much(&spent));
        }
        let program = ENV.compile(text).map_err(|errors| {
            let message = errors
                .errors
                .first()
                .map_or("", |error| error.msg.lines().next().unwrap_or_default());
            let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
            let message = message.split(" expecting ").next().unwrap_or_default();
            let message = if message.contains("Recursion limit") {
                "it is too deep"
            } else {
                message
            };
            let message = if message.contains("<EOF>") {
                "it ends too early"
            } else {
                message
            };
            Problem::new(format!("this is not an expression: {message}"))
        })?;
        let mut names = Names::default();
        names.walk(program.expression());
        match names.problem {
            Some(problem) => Err(problem),
            None => Ok(Self {
                text: text.into(),
                compiled: counted(program.expression().clone()),
                names: names.found,
                literals: names.literals,
            }),
        }
    }

    /// Whether it reads what is secret.
    pub(super) fn reads_secret(&self, scope: &Scope<'_>) -> bool {
        self.names
            .iter()
            .any(|name| scope.is_secret(&name.root, name.member.as_deref()))
    }

    /// The expression's value. What it makes of a secret is registered as one.
    pub(super) fn execute(&self, scope: &Scope<'_>) -> Result<Value, Problem> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        let mut secret = self.reads_secret(scope).then(|| Plain::of(&self.literals));
        for root in ROOTS {
            let mut members = self.names.iter().filter(|name| name.root == root).peekable();
            if members.peek().is_none() {
                continue;
            }
            let mut map = Map::new();
            for name in members {
                match &name.member {
                    Some(member) => {
                        let value = scope.member(root, member);
                        let value = value.map_err(|problem| problem.part(format!("{root}.{member}")))?;
                        if let Some(plain) = &mut secret {
                            plain.add(value, scope.is_secret(root, Some(member)));
                        }
                        map.insert(member.clone(), value.clone());
                    }
                    None => {
                        if let Value::Object(all) = scope.whole(root).map_err(|problem| problem.part(root))? {
                            if let Some(plain) = &mut secret {
                                for (member, value) in &all {
                                    plain.add(value, scope.is_secret(root, Some(member)));
                                }
                            }
                            map.extend(all);
                        }
                    }
                }
            }
            context.add_variable_from_value(root, to_cel(&Value::Object(map)));
        }
        let (result, spent) = budget::with(&self.text, || Cel::resolve(&self.compiled, &context));
        if let Some(spent) = spent {
            return Err(too_much(&spent));
        }
        let Some(plain) = secret else {
            return from_cel(&result.map_err(explain)?);
        };
        let value = from_cel(&result.map_err(explain_secret)?)?;
        plain.register_others(&value);
        Ok(value)
    }
}

/// Of what takes more steps than it has.
fn too_much(spent: &budget::Spent) -> Problem {
    Problem::of_values(format!("this takes too much: {spent}"))
        .hint("take smaller lists and texts, or make fewer of them")
}

/// How deep brackets lie in brackets; those in texts count too, which does no harm.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Finds the names that an expression begins from.
#[derive(Default)]
struct Names {
    found: Vec<Name>,
    /// Variables of the comprehensions around.
    bound: Vec<String>,
    literals: Vec<Value>,
    problem: Option<Problem>,
}

impl Names {
    fn walk(&mut self, expression: &IdedExpr) {
        match &expression.expr {
            Expr::Ident(name) => self.name(name, None),
            Expr::Select(select) => match &select.operand.expr {
                Expr::Ident(root) => {
                    if select.test && root == "inputs" {
                        let message = "has() is true of every input that is declared";
                        let hint = format!("write inputs.{} != null", select.field);
                        self.problem.get_or_insert(Problem::new(message).hint(hint));
                    }
                    self.name(root, (!select.test).then_some(&select.field));
                }
                _ => self.walk(&select.operand),
            },
            Expr::Call(call) => {
                if call.func_name == "secret" && call.target.is_none() {
                    let problem =
                        Problem::new("secret() is reserved: secrets from an encrypted file are not built yet");
                    let hint =
                        "declare an input with 'secret: true', and give it in a file of --vars or as GLRL_VAR_name";
                    self.problem.get_or_insert(problem.hint(hint).part("secret"));
                }
                // math.greatest(…): the target of a namespace's function is not a variable.
                match call.target.as_deref() {
                    Some(target) if !matches!(&target.expr, Expr::Ident(name) if name == "math") => self.walk(target),
                    _ => {}
                }
                call.args.iter().for_each(|argument| self.walk(argument));
            }
            Expr::Comprehension(comprehension) => {
                self.walk(&comprehension.iter_range);
                self.walk(&comprehension.accu_init);
                let outside = self.bound.len();
                self.bound.push(comprehension.iter_var.clone());
                self.bound.extend(comprehension.iter_var2.clone());
                self.bound.push(comprehension.accu_var.clone());
                self.walk(&comprehension.loop_cond);
                self.walk(&comprehension.loop_step);
                self.walk(&comprehension.result);
                self.bound.truncate(outside);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.walk(element)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let cel::common::ast::EntryExpr::MapEntry(entry) = &entry.expr {
                        self.walk(&entry.key);
                        self.walk(&entry.value);
                    }
                }
            }
            Expr::Struct(structure) => {
                let message = format!("there is no type '{}'", structure.type_name);
                self.problem
                    .get_or_insert(Problem::new(message).part(&structure.type_name));
            }
            Expr::Literal(literal) => match literal {
                LiteralValue::String(text) => self.literals.push(Value::from(text.inner())),
                LiteralValue::Int(number) => self.literals.push(Value::from(*number.inner())),
                LiteralValue::UInt(number) => self.literals.push(Value::from(*number.inner())),
                LiteralValue::Double(number) => self.literals.push(Value::from(*number.inner())),
                _ => {}
            },
            Expr::Unspecified => {}
        }
    }

    fn name(&mut self, root: &str, member: Option<&String>) {
        if self.bound.iter().any(|bound| bound == root) || TYPES.contains(&root) {
            return;
        }
        if !ROOTS.contains(&root) {
            let problem = Problem::new(format!("there is no name '{root}'")).part(root);
            self.problem.get_or_insert(match suggest(root, ROOTS) {
                Some(name) => problem.hint(Hint::DidYouMean(name.to_owned())),
                None => problem.hint(format!(
                    "names begin with {}; a text is quoted",
                    ROOTS.map(|r| format!("{r}.")).join(", ")
                )),
            });
            return;
        }
        let name = Name {
            root: root.to_owned(),
            member: member.cloned(),
        };
        if !self.found.contains(&name) {
            self.found.push(name);
        }
    }
}

/// An error of execution, in words without Rust in them.
fn explain(error: ExecutionError) -> Problem {
    match error {
        ExecutionError::NoSuchKey(key) => Problem::of_values(format!("there is no '{key}'")).part(&**key),
        ExecutionError::UndeclaredReference(name) => {
            Problem::new(format!("there is no function '{name}'")).part(&**name)
        }
        ExecutionError::NoSuchOverload(error) => {
            let name = error.function().trim_matches(|c| c == '_' || c == '@');
            not_for(name, &error.argument_types().join(" and "))
        }
        ExecutionError::ValuesNotComparable(left, right) => {
            Problem::of_values(format!("{} and {} cannot be compared", left.type_of(), right.type_of()))
        }
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            not_for(operator, &format!("{} and {}", left.type_of(), right.type_of()))
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            Problem::of_values("this divides by zero")
        }
        ExecutionError::IndexOutOfBounds(index) => Problem::of_values(format!(
            "the list has no element {}",
            from_cel(&index).unwrap_or_default()
        )),
        ExecutionError::FunctionError { function, message } => Problem::of_values(format!("{function}(): {message}")),
        other => Problem::of_values(format!("this cannot be evaluated: {other}")),
    }
}

/// The same where the expression reads a secret: a message that may quote a value does not.
fn explain_secret(error: ExecutionError) -> Problem {
    let message = match error {
        ExecutionError::NoSuchKey(_) => "there is no such key; which is not shown",
        ExecutionError::FunctionError { .. } => "a function refuses its argument; why is not shown",
        ExecutionError::UndeclaredReference(_)
        | ExecutionError::NoSuchOverload(_)
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::DivisionByZero(_)
        | ExecutionError::RemainderByZero(_)
        | ExecutionError::IndexOutOfBounds(_) => return explain(error),
        _ => "this cannot be evaluated; why is not shown",
    };
    Problem::of_values(format!("{message}, since this reads a secret"))
}

/// An operator or function, and the types it does not take.
fn not_for(name: &str, types: &str) -> Problem {
    let sign = [("add", "+"), ("sub", "-"), ("mul", "*"), ("div", "/"), ("rem", "%")];
    let name = sign
        .iter()
        .find(|(word, _)| *word == name)
        .map_or(name, |(_, sign)| *sign);
    let problem = Problem::of_values(format!("{name} cannot be applied to {types}"));
    if types.contains("null") {
        return problem.hint("an optional input without a value is null: compare it with null first");
    }
    problem
}

fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(map) => Cel::Map(cel::objects::Map {
            map: Arc::new(
                map.iter()
                    .map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value)))
                    .collect(),
            ),
        }),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Cel::Int(value),
            (_, Some(value)) => Cel::UInt(value),
            _ => Cel::Float(number.as_f64().unwrap_or_default()),
        },
    }
}

/// A map comes back in the order of its keys, since CEL's maps have none.
fn from_cel(value: &Cel) -> Result<Value, Problem> {
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => Value::Bool(*value),
        Cel::Int(value) => Value::Number((*value).into()),
        Cel::UInt(value) => Value::Number((*value).into()),
        Cel::Float(value) => Number::from_f64(*value)
            .map(Value::Number)
            .ok_or_else(|| Problem::of_values(format!("this gives {value}, which is no number")))?,
        Cel::String(text) => Value::String((**text).clone()),
        Cel::List(items) => Value::Array(items.iter().map(from_cel).collect::<Result<_, _>>()?),
        Cel::Map(map) => {
            let mut pairs: Vec<_> = map.map.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let text = |key: &Key| match key {
                Key::String(text) => (**text).clone(),
                Key::Int(value) => value.to_string(),
                Key::Uint(value) => value.to_string(),
                Key::Bool(value) => value.to_string(),
            };
            Value::Object(
                pairs
                    .into_iter()
                    .map(|(key, value)| Ok((text(key), from_cel(value)?)))
                    .collect::<Result<_, _>>()?,
            )
        }
        other => {
            return Err(Problem::of_values(format!(
                "this gives a {}, which is no value of a role",
                other.type_of()
            )));
        }
    })
}
