//! `line`: one line of a file that others write too.

use anyhow::{Result, bail};
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Change, Plan, PropertyError, Provider, Role, Shown, parent, presence::Presence, regular};
use crate::{
    system::{Bytes, Claim, Meta, Op, Probe, Reading, known},
    value::{AbsPath, budget},
};

/// One line of a file. All other lines stay as they are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "`line` is what the property is called")]
pub(super) struct Line {
    /// The file.
    path: AbsPath,
    /// The line, without its end. `state: absent` removes all that are equal to it.
    line: Option<String>,
    /// A regular expression for the one line that `line` replaces; it has to match `line` too. If no line matches, `line` is added
    /// at the end; if several do, that is an error. `state: absent` removes all lines that match.
    r#match: Option<String>,
    /// Whether the line is to be there.
    #[serde(default)]
    state: Presence,
    /// Whether a file that is missing is made, with this line alone.
    #[serde(default)]
    create: bool,
    #[serde(skip)]
    pattern: Option<Regex>,
}

impl Line {
    pub(super) const EXAMPLE: &str =
        "path: /etc/ssh/sshd_config\nmatch: '^#?PermitRootLogin '\nline: PermitRootLogin prohibit-password\n";

    fn matches(&self, line: &[u8]) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(line)) || self.is_it(line)
    }

    /// The line that gives way to the declared one.
    fn replaced(&self, current: &[u8]) -> Shown {
        let end = end_of(current);
        let mut lines = current.split_inclusive(|&b| b == b'\n').map(|line| body(line, end));
        lines.find(|line| self.matches(line)).map_or(Shown::Absent, shown)
    }

    /// The lines that go, as the plan shows them.
    fn numbers(&self, current: &[u8]) -> String {
        let end = end_of(current);
        let lines = current.split_inclusive(|&b| b == b'\n').enumerate();
        let gone: Vec<String> = lines
            .filter(|(_, line)| self.matches(body(line, end)))
            .map(|(number, _)| (number + 1).to_string())
            .collect();
        format!("line{} {}", if gone.len() == 1 { "" } else { "s" }, gone.join(", "))
    }

    fn is_it(&self, line: &[u8]) -> bool {
        self.line.as_ref().is_some_and(|wanted| wanted.as_bytes() == line)
    }

    /// The file as it has to be; `None` if it is.
    fn rewrite(&self, current: &[u8]) -> Result<Option<Vec<u8>>> {
        let end = end_of(current);
        let lines = || current.split_inclusive(|&b| b == b'\n');
        let (Presence::Present, Some(wanted)) = (self.state, &self.line) else {
            let kept: Vec<u8> = lines()
                .filter(|line| !self.matches(body(line, end)))
                .flatten()
                .copied()
                .collect();
            return Ok((kept.len() != current.len()).then_some(kept));
        };
        let found: Vec<(usize, bool)> = lines()
            .enumerate()
            .map(|(number, line)| (number, body(line, end)))
            .filter(|(_, line)| self.matches(line))
            .map(|(number, line)| (number, self.is_it(line)))
            .collect();
        match found.as_slice() {
            [] => {
                let mut whole = current.to_vec();
                if !whole.is_empty() && !whole.ends_with(b"\n") {
                    whole.extend(end);
                }
                whole.extend([wanted.as_bytes(), end].concat());
                Ok(Some(whole))
            }
            all if all.iter().all(|(_, same)| *same) => Ok(None),
            [(number, _)] => Ok(Some(
                lines()
                    .enumerate()
                    .flat_map(|(here, line)| {
                        if here == *number {
                            let end = if line.ends_with(b"\n") { end } else { b"" };
                            [wanted.as_bytes(), end].concat()
                        } else {
                            line.to_vec()
                        }
                    })
                    .collect(),
            )),
            several => {
                let numbers: Vec<String> = several.iter().map(|(number, _)| (number + 1).to_string()).collect();
                bail!(
                    "lines {} of {} match '{}': make `match` fit one line only, or remove the others",
                    numbers.join(", "),
                    self.path,
                    self.r#match.as_deref().unwrap_or_default()
                )
            }
        }
    }
}

impl Provider for Line {
    /// What the file holds; `None` where it is missing.
    type State = Option<Bytes>;

    fn name(&self) -> String {
        let line = self.line.as_ref().or(self.r#match.as_ref());
        format!("{} {}", self.path, line.map_or("", String::as_str))
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.line.as_ref().is_some_and(|line| line.contains('\n')) {
            return Err(PropertyError::of(
                "line",
                "this is more than one line: declare each, or a file",
            ));
        }
        if let Some(pattern) = &self.r#match {
            if let (_, Some(spent)) = budget::with(pattern, || budget::pay_pattern(pattern)) {
                return Err(PropertyError::of("match", format!("this takes too much: {spent}")));
            }
            let compiled = Regex::new(pattern)
                .map_err(|error| PropertyError::of("match", format!("not a regular expression: {error}")))?;
            if let (Presence::Present, Some(line)) = (self.state, &self.line)
                && !compiled.is_match(line.as_bytes())
            {
                return Err(PropertyError::of(
                    "match",
                    "it does not match `line`, so the next run would not find what this one wrote",
                ));
            }
            self.pattern = Some(compiled);
        }
        match (self.state, &self.line, &self.r#match) {
            (Presence::Present, None, _) => Err(PropertyError::of("line", "say which line is to be there")),
            (Presence::Absent, None, None) => {
                Err(PropertyError::of("line", "say which line is to go: `line` or `match`"))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Option<Bytes>>> {
        if known!(regular::at(node, &self.path)?).is_some() {
            return node.editable(&self.path);
        }
        if self.state == Presence::Present {
            if !self.create {
                bail!(
                    "there is no file {}: need what brings it, or say `create: true`",
                    self.path
                );
            }
            known!(parent::check(node, &self.path)?);
        }
        Ok(Reading::Known(None))
    }

    fn diff(&self, current: &Option<Bytes>, _notified: bool) -> Result<Plan> {
        let Some(rewritten) = self.rewrite(current.as_deref().unwrap_or_default())? else {
            return Ok(Plan::none());
        };
        let action = if current.is_some() {
            Action::Update
        } else {
            Action::Create
        };
        let current = current.as_deref().unwrap_or_default();
        // No other lines of the file: they may be secrets of which no role knows.
        let change = match (self.state, &self.line) {
            (Presence::Present, Some(line)) => Change::of("contents", self.replaced(current), shown(line.as_bytes())),
            // Which, and not what they hold.
            _ => Change::gone("contents", self.numbers(current)),
        };
        Ok(Plan::to(action).change(change).op(Op::WriteFile {
            path: self.path.clone(),
            contents: rewritten.into(),
            meta: Meta::default(),
            validate: None,
        }))
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        vec![Claim::Part(self.path.clone())]
    }

    fn requires(&self) -> Vec<Claim> {
        vec![Claim::Path(self.path.clone())]
    }
}

/// A line as the plan shows it.
fn shown(line: &[u8]) -> Shown {
    Shown::contents(&[line, b"\n"].concat())
}

/// What the lines of a file end with. A carriage return belongs to the end where all lines have one; else it is a part of its line.
fn end_of(current: &[u8]) -> &'static [u8] {
    let mut ends = current
        .split_inclusive(|&b| b == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .peekable();
    if ends.peek().is_some() && ends.all(|line| line.ends_with(b"\r\n")) {
        b"\r\n"
    } else {
        b"\n"
    }
}

/// A line without its end.
fn body<'l>(line: &'l [u8], end: &[u8]) -> &'l [u8] {
    line.strip_suffix(end).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::laws::*, *};

    fn line(properties: serde_json::Value) -> Line {
        let mut line: Line = serde_json::from_value(properties).unwrap();
        let pattern = line.r#match.as_ref().map(|pattern| Regex::new(pattern).unwrap());
        line.pattern = pattern;
        line
    }

    fn rewritten(properties: serde_json::Value, current: &str) -> Option<String> {
        let whole = line(properties).rewrite(current.as_bytes()).unwrap();
        whole.map(|whole| String::from_utf8(whole).unwrap())
    }

    #[test]
    fn a_line_is_added_replaced_or_removed() {
        let add = || json!({"path": "/a", "line": "x 1"});
        assert_eq!(rewritten(add(), "a\nb"), Some("a\nb\nx 1\n".to_owned()));
        assert_eq!(rewritten(add(), ""), Some("x 1\n".to_owned()));
        assert_eq!(rewritten(add(), "a\nx 1\nb\n"), None);
        let replace = || json!({"path": "/a", "match": "^#?x ", "line": "x 1"});
        assert_eq!(rewritten(replace(), "a\n#x 9\nb\n"), Some("a\nx 1\nb\n".to_owned()));
        assert_eq!(rewritten(replace(), "a\n#x 9"), Some("a\nx 1".to_owned()));
        assert_eq!(rewritten(replace(), "a\n"), Some("a\nx 1\n".to_owned()));
        assert_eq!(rewritten(replace(), "x 1\nx 1\n"), None);
        let remove = || json!({"path": "/a", "match": "^x ", "state": "absent"});
        assert_eq!(rewritten(remove(), "x 1\na\nx 2\n"), Some("a\n".to_owned()));
        assert_eq!(rewritten(remove(), "a\n"), None);
    }

    /// As editors of other systems write files.
    #[test]
    fn a_line_is_found_in_a_file_whose_lines_end_otherwise() {
        let set = || json!({"path": "/a", "match": "^#?x ", "line": "x 1"});
        let add = || json!({"path": "/a", "line": "x 1"});
        let remove = || json!({"path": "/a", "line": "x 1", "state": "absent"});
        assert_eq!(rewritten(add(), "a\r\nx 1\r\n"), None);
        assert_eq!(rewritten(add(), "a\r\nb"), Some("a\r\nb\r\nx 1\r\n".to_owned()));
        assert_eq!(rewritten(set(), "a\r\n#x 9\r\n"), Some("a\r\nx 1\r\n".to_owned()));
        assert_eq!(rewritten(remove(), "x 1\r\na\r\n"), Some("a\r\n".to_owned()));
        // One among others that do not: whoever reads the file takes it for a part of the line.
        assert_eq!(rewritten(set(), "a\nx 1\r\n"), Some("a\nx 1\n".to_owned()));
    }

    #[test]
    fn several_lines_that_match_are_an_error() {
        let several = line(json!({"path": "/a", "match": "^x ", "line": "x 1"}));
        let error = several.rewrite(b"x 1\na\nx 2\n").unwrap_err();
        assert!(error.to_string().contains("lines 1, 3 of /a match '^x '"), "{error}");
    }

    #[test]
    fn contradictions_are_found_before_any_node() {
        for wrong in [
            json!({"path": "/a"}),
            json!({"path": "/a", "line": "a\nb"}),
            json!({"path": "/a", "line": "a", "match": "^b"}),
            json!({"path": "/a", "line": "a", "match": "("}),
            json!({"path": "/a", "state": "absent"}),
        ] {
            assert!(resource("line", wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_is_edited_with_its_owner_and_mode_kept() {
        let tree = offline(&[]);
        converge(
            &tree.node,
            "file",
            json!({"path": "/etc/h", "content": "1 a\n", "mode": "0600", "owner": "ann"}),
        )
        .unwrap();
        converge(&tree.node, "line", json!({"path": "/etc/h", "line": "2 b"})).unwrap();
        assert_eq!(tree.text("/etc/h"), "1 a\n2 b\n");
        let same = json!({"path": "/etc/h", "mode": "0600", "owner": "ann"});
        assert!(converge(&tree.node, "file", same).unwrap().is_empty());
        let missing = || json!({"path": "/etc/none", "line": "1"});
        assert!(error(converge(&tree.node, "line", missing())).contains("there is no file /etc/none"));
        let mut create = missing();
        create["create"] = json!(true);
        converge(&tree.node, "line", create).unwrap();
    }

    /// Case 04: no role knows what they hold.
    #[test]
    fn lines_that_go_are_counted_and_not_shown() {
        let tree = offline(&[write("/etc/h", "password=sesame\nuser=a\npassword=sesame2\n")]);
        let plan = converge(
            &tree.node,
            "line",
            json!({"path": "/etc/h", "match": "^password=", "state": "absent"}),
        )
        .unwrap();
        assert_eq!(plan.changes, [Change::gone("contents", "lines 1, 3")]);
    }

    /// The lines around it may be others' secrets.
    #[test]
    fn nothing_but_the_line_is_shown() {
        let tree = offline(&[write("/etc/h", "password=sesame\nuser=a\n")]);
        let set = |line: &str| json!({"path": "/etc/h", "line": line, "match": "^user="});
        let plan = converge(&tree.node, "line", set("user=b")).unwrap();
        let text = |text: &str| Shown::Text(text.to_owned());
        assert_eq!(
            plan.changes,
            [Change::of("contents", text("user=a\n"), text("user=b\n"))]
        );
        let plan = converge(&tree.node, "line", json!({"path": "/etc/h", "line": "port=1"})).unwrap();
        assert_eq!(plan.changes, [Change::new("contents", text("port=1\n"))]);
    }

    #[test]
    fn a_line_in_a_planned_file_is_foreseen() {
        let node = imagined(&[write("/etc/h", "1\n")]);
        converge(&node, "line", json!({"path": "/etc/h", "line": "2"})).unwrap();
    }

    proptest! {
        #[test]
        fn all_other_lines_stay(text in "([a-z#]{0,3}\n){0,8}[a-z]{0,3}", wanted in "[a-z]{1,3}") {
            let present = json!({"path": "/a", "line": wanted.clone()});
            let after = rewritten(present.clone(), &text).unwrap_or(text.clone());
            prop_assert_eq!(rewritten(present, &after), None);
            let others = |text: &str| text.lines().filter(|line| *line != wanted).map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(others(&after), others(&text));
            let absent = json!({"path": "/a", "line": wanted.clone(), "state": "absent"});
            let gone = rewritten(absent, &after).unwrap_or(after);
            prop_assert_eq!(gone.lines().map(str::to_owned).collect::<Vec<_>>(), others(&text));
        }
    }
}
