//! A role in which a secret stands wherever it can: in every property of every kind, whole and as a part, and in every key beside the kind.

use glrl::resource::{KINDS, Kind};
use serde_json::Value;

/// A resource with the secret in one place.
pub(super) struct Variant {
    pub(super) kind: &'static str,
    /// The property that holds it; empty for what stands beside the kind.
    pub(super) property: String,
    /// Its entry in the role.
    text: String,
}

const WHOLE: &str = "\"${inputs.token}\"";
const PART: &str = "\"a=${inputs.token}.z\"";
const MADE: &str = "\"${vars.made}\"";
const PATH: &str = "\"/srv/${inputs.token}\"";

/// Keys that every resource may have.
const BESIDE: [&str; 9] = [
    "id", "when", "for_each", "needs", "before", "notify", "retry", "timeout", "protect",
];

/// All variants, from the schemas of the kinds.
pub(super) fn variants() -> Vec<Variant> {
    let mut variants = Vec::new();
    for kind in KINDS {
        let schema = serde_json::to_value((kind.schema)()).unwrap();
        for (property, of) in schema["properties"].as_object().into_iter().flatten() {
            for value in values(of, &schema, 0) {
                variants.push(variant(kind, &schema, property, &value, variants.len()));
            }
        }
        for key in BESIDE {
            for value in [
                WHOLE.to_owned(),
                PART.to_owned(),
                format!("[{WHOLE}]"),
                format!("\"{}:${{inputs.token}}\"", kind.name),
            ] {
                let mut one = variant(kind, &schema, "", "", variants.len());
                one.text.push_str(&format!("    {key}: {value}\n"));
                variants.push(one);
            }
        }
    }
    let own = variants.len();
    variants.extend(by_hand(own));
    variants
}

/// Values that hold the secret, in the shapes that a property takes, and as a text whatever it takes.
fn values(of: &Value, schema: &Value, depth: usize) -> Vec<String> {
    let mut values = if depth == 0 {
        [WHOLE, PART, MADE, PATH].map(str::to_owned).to_vec()
    } else {
        vec![WHOLE.to_owned()]
    };
    let text = resolved(of, schema).to_string();
    if text.contains("\"array\"") {
        values.extend([format!("[{WHOLE}]"), format!("[sh, -c, {PART}, \"{{}}\"]")]);
    }
    if text.contains("\"object\"") || of == &Value::Bool(true) {
        values.extend([
            format!("{{ A: {WHOLE} }}"),
            format!("{{ A: {PART} }}"),
            format!("{{ 10.0.0.1: [{WHOLE}] }}"),
            format!("{{ {WHOLE}: b }}"),
        ]);
    }
    for (name, inner) in resolved(of, schema)["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|_| depth < 2)
    {
        values.extend(
            self::values(inner, schema, depth + 1)
                .into_iter()
                .map(|value| format!("{{ {name}: {value} }}")),
        );
    }
    values
}

/// A schema, with what it refers to in its place.
fn resolved(of: &Value, schema: &Value) -> Value {
    let refers = |value: &Value| {
        value["$ref"]
            .as_str()
            .map(|path| path.trim_start_matches("#/$defs/").to_owned())
    };
    match refers(of).or_else(|| of["anyOf"].as_array()?.iter().find_map(refers)) {
        Some(name) => schema["$defs"][name].clone(),
        None => of.clone(),
    }
}

/// The kind's example with another value for this property, and names that no other resource has.
fn variant(kind: &Kind, schema: &Value, property: &str, value: &str, number: usize) -> Variant {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut text = format!("  - {}:\n", kind.name);
    let mut left_out = false;
    for line in kind.example.lines() {
        let key = line.split(':').next().unwrap_or_default();
        if !line.starts_with(' ') {
            left_out = key == property;
        }
        if left_out {
            continue;
        }
        let is_name = required.contains(&key)
            && !line.ends_with([']', '}', ':', '|'])
            && ["name", "path", "device"].contains(&key);
        let suffix = if is_name { number.to_string() } else { String::new() };
        text.push_str(&format!("      {line}{suffix}\n"));
    }
    // What a template or a source is rendered from lies beside the role.
    let text = text
        .replace("source: mysql.cnf.hbs", "source: secret.hbs")
        .replace("path: /etc/ssh/sshd_config", "path: /etc/sshd_config");
    let mut text = text;
    if !property.is_empty() {
        text.push_str(&format!("      {property}: {value}\n"));
    }
    Variant {
        kind: kind.name,
        property: property.to_owned(),
        text,
    }
}

/// What schemas do not tell: programs that say what they were given, secrets in several places, contents that change.
fn by_hand(from: usize) -> Vec<Variant> {
    let mut variants = Vec::new();
    let mut add = |kind: &'static str, properties: &str| {
        let number = from + variants.len();
        let text = format!("  - {kind}: {}\n", properties.replace('#', &number.to_string()));
        variants.push(Variant {
            kind,
            property: String::new(),
            text,
        });
    };
    for says in [
        "cat $1",
        "cat -n $1 >&2",
        "fold -w 13 $1",
        "base64 $1",
        "base64 -w 0 $1",
        "head -c 700 $1; seq 30",
        "seq 30; tail -c 3900 $1",
        "cat $1; tr -d '\\n' < $1",
        "sed 's/^/error: /' $1",
    ] {
        let says = format!("{}; exit 1", says.replace('\\', "\\\\"));
        add(
            "file",
            &format!(
                "{{ path: /etc/says#, content: \"${{inputs.token}}\\n\", validate: [sh, -c, \"{says}\", sh, \"{{}}\"] }}"
            ),
        );
        add(
            "file",
            &format!(
                "{{ path: /etc/says#, content: \"x ${{inputs.token}} y\\n\", validate: [sh, -c, \"{says}\", sh, \"{{}}\"] }}"
            ),
        );
    }
    for place in ["crontab", "cron.d"] {
        add(
            "cron",
            &format!(
                "{{ name: c#, schedule: '@daily', in: {place}, command: 'push --token ${{inputs.token}} --x', env: {{ T: '${{inputs.token}}', U: 'a ${{vars.made}}' }} }}"
            ),
        );
        add(
            "cron",
            &format!(
                "{{ name: c#, schedule: '@daily', in: {place}, command: push, env: {{ T: '${{inputs.token}}' }} }}"
            ),
        );
        add(
            "cron",
            &format!("{{ name: c#, schedule: '@daily', in: {place}, command: 'a \"${{inputs.token}}\"' }}"),
        );
    }
    add("line", "{ path: /etc/lines, line: 'password#=${inputs.token}' }");
    add(
        "line",
        "{ path: /etc/lines, match: '^never#', line: 'never#${inputs.token}' }",
    );
    add(
        "line",
        "{ path: /etc/lines, line: 'absent#${inputs.token}', state: absent }",
    );
    add(
        "file",
        "{ path: /etc/changes, content: \"user = a\\npassword = ${inputs.token}\\nport = 1\\n\" }",
    );
    add("file", "{ path: /etc/whole, content: '${inputs.token}' }");
    add(
        "template",
        "{ path: '/etc/rendered#', source: secret.hbs, vars: { more: '${inputs.token}' } }",
    );
    add("link", "{ path: '/etc/link#', target: '/x/${inputs.token}' }");
    add("user", "{ name: 'u#', comment: '${inputs.token}', create_home: false }");
    variants
}

/// The template that variants name.
pub(super) const TEMPLATE: &str = "token = {{inputs.token}}\njson = {{json inputs.token}}\nmade = {{vars.made}}\nmore = {{#if more}}{{more}}{{/if}}\n";

/// The role, and for each of its lines which variant it belongs to.
pub(super) fn role(variants: &[&Variant]) -> (String, Vec<Option<usize>>) {
    let mut text = "role: leaks\ninputs: { token: { type: string, secret: true } }\nvars: { made: \"<${inputs.token + '>'}\" }\nresources:\n".to_owned();
    let mut lines = vec![None; text.lines().count()];
    for (index, variant) in variants.iter().enumerate() {
        lines.extend(variant.text.lines().map(|_| Some(index)));
        text.push_str(&variant.text);
    }
    (text, lines)
}
