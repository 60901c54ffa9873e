//! What would take more time or memory than any role is worth is refused, and its place is named.

use std::fmt::Write as _;

use super::Site;

/// A list of so many numbers.
fn numbers(count: usize) -> String {
    let numbers: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(", "))
}

/// The first mistake of a role, with its place.
#[track_caller]
fn refused(role: &str, expected: &str) {
    let said = Site::role(role).errors();
    assert!(
        said.lines()
            .next()
            .is_some_and(|line| line.starts_with("roles/demo.yml:") && line.contains(expected)),
        "{}",
        said.chars().take(2000).collect::<String>()
    );
}

/// `s0` of ten bytes, and texts or lists that hold the one before ten times.
fn doubled(levels: usize, first: &str, of: impl Fn(&str) -> String) -> String {
    let mut role = format!("vars:\n  s0: {first}\n");
    for level in 1..=levels {
        let before = format!("vars.s{}", level - 1);
        let _ = writeln!(role, "  s{level}: {}", of(&before));
    }
    role
}

#[test]
fn loops_in_loops_are_counted() {
    let list = numbers(20);
    let nested =
        "vars.l.map(a, vars.l.map(b, vars.l.map(c, vars.l.map(d, vars.l.map(e, vars.l.map(f, a+b+c+d+e+f))))))";
    let exists = "vars.l.all(a, vars.l.all(b, vars.l.all(c, vars.l.all(d, vars.l.all(e, vars.l.all(f, a < 99))))))";
    let filter = "vars.l.filter(a, vars.l.filter(b, vars.l.filter(c, vars.l.filter(d, vars.l.filter(e, vars.l.exists_one(f, f == 3)).size() > 0).size() > 0).size() > 0).size() > 0)";
    let copies = "vars.l.map(a, vars.l.map(b, vars.l.map(c, vars.l)))";
    let patterns = "vars.l.map(a, vars.l.map(b, vars.l.map(c, 'x'.matches('(a|b){0,' + string(a + b) + '}'))))";
    // A pattern pays for what it becomes.
    let large = "vars.l.map(a, 'x'.matches(r'\\\\w{100}' + string(a)))";
    for expression in [nested, exists, filter, patterns, large] {
        refused(
            &format!("vars:\n  l: {list}\n  x: \"${{{expression}}}\"\nresources: []\n"),
            "this takes too much: it takes more than 2000000 steps",
        );
    }
    let small = "vars.l.map(a, vars.l.map(b, 'x'.matches('[a-z]{3,10}-' + string(a + b))))";
    for expression in [copies, small] {
        Site::role(&format!(
            "vars:\n  l: {list}\n  x: \"${{{expression}}}\"\nresources: []\n"
        ))
        .ids();
    }
}

#[test]
fn values_that_grow_by_themselves_are_refused() {
    let times = |what: &str, between: &str| [what; 10].join(between);
    refused(
        &doubled(12, "xxxxxxxxxx", |before| format!("\"${{{}}}\"", times(before, "+"))),
        "gives more than 4MiB",
    );
    refused(
        &doubled(12, "xxxxxxxxxx", |before| times(&format!("${{{before}}}"), "")),
        "the text up to here gives more than 4MiB",
    );
    refused(
        &doubled(12, "[1]", |before| format!("\"${{[{}]}}\"", times(before, ", "))),
        "takes too much",
    );
    refused(
        &doubled(12, "[1]", |before| {
            format!("[{}]", times(&format!("'${{{before}}}'"), ", "))
        }),
        "more than 4MiB",
    );
    // Each of these would make its product at once.
    let (long, list) = ("x".repeat(100_000), numbers(3000));
    for expression in [
        "vars.a.replace('x', vars.a)",
        "vars.l.map(i, 'y').join(vars.a)",
        "vars.l.map(i, vars.a)",
    ] {
        refused(
            &format!("vars:\n  l: {list}\n  a: {long}\n  b: \"${{{expression}}}\"\nresources: []\n"),
            "this takes too much",
        );
    }
}

#[test]
fn what_all_expressions_give_is_bounded() {
    let long = "x".repeat(1 << 20);
    let mut role = format!("vars:\n  a: {long}\n  b: ${{vars.a}}${{vars.a}}\nresources:\n");
    for number in 0..200 {
        let _ = writeln!(role, "  - file: {{path: /f{number}, content: \"${{vars.b}}\"}}");
    }
    refused(&role, "the expressions up to here give more than 256MiB of values");
}

#[test]
fn templates_are_counted() {
    let each = |inside: &str| {
        let mut text = inside.to_owned();
        for level in (0..5).rev() {
            text = format!("{{{{#each {}inputs.l}}}}{text}{{{{/each}}}}", "../".repeat(level));
        }
        text
    };
    let role = "inputs: {l: {type: list of int, default: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]}}\n\
                resources:\n  - template: {path: /a, source: t.hbs}\n";
    let deep = format!("{}x{}", "{{#if inputs.l}}".repeat(20_000), "{{/if}}".repeat(20_000));
    for (template, expected) in [
        (each("xxxxxxxxxxxxxxxxxxxxxxxx"), "this takes too much"),
        (each(""), "this takes too much"),
        (deep, "more than 64 blocks lie in each other here"),
    ] {
        let said = Site::role(role).file("templates/t.hbs", template).errors();
        assert!(said.contains("t.hbs:1:") && said.contains(expected), "{said}");
    }
    // What the parser recurses into, or goes through again and again; the last one hides from who only looks for tags.
    let chain = |count: usize| {
        format!(
            "{{{{#if inputs.l}}}}x{}{{{{/if}}}}",
            "{{~else if inputs.l}}y".repeat(count)
        )
    };
    let parentheses = |count: usize| {
        format!(
            "{{{{#if {}inputs.l{}}}}}y{{{{/if}}}}",
            "(not ".repeat(count),
            ")".repeat(count)
        )
    };
    let hidden = |count: usize| "{{#if \"}}{{/if}}\"}}".repeat(count) + &"{{/if}}".repeat(count);
    for (template, expected) in [
        (chain(10_000), "more than 64 'else if' follow each other here"),
        (chain(65), "more than 64 'else if' follow each other here"),
        (parentheses(10_000), "more than 200 parentheses lie in each other here"),
        (
            "{{inputs.l}}".repeat(100_000),
            "more than 83 tags take too much: split the template",
        ),
        (
            "{{#if inputs.l}}x{{/if}}".repeat(50_000),
            "more than 83 tags take too much: split the template",
        ),
        ("{".repeat(100_000), "more than 1000 tags take too much"),
        ("{{!-- ".repeat(10_000), "more than 1666 tags take too much"),
        (hidden(10_000), "more than 384 tags take too much"),
    ] {
        let said = Site::role(role).file("templates/t.hbs", template).errors();
        assert!(
            said.contains("t.hbs:1:") && said.contains(expected),
            "{expected}: {said}"
        );
    }
    for fine in [chain(60), chain(30).repeat(10), parentheses(150), hidden(1_000)] {
        Site::role(role).file("templates/t.hbs", fine).ids();
    }
    let small = "{{#each inputs.l}}{{#each ../inputs.l}}{{this}}{{else}}none{{/each}}{{/each}}";
    Site::role(role).file("templates/t.hbs", small).ids();
}

/// Each of these is within its own budget.
#[test]
fn what_a_run_evaluates_is_counted_in_all() {
    let list = numbers(26);
    let costly = "vars.l.map(a, vars.l.map(b, vars.l.filter(c, a + b + c < 0).size())).size()";
    let mut role = format!("vars:\n  l: {list}\nresources:\n");
    for number in 0..200 {
        let _ = writeln!(role, "  - file: {{path: /f{number}, content: \"${{{costly}}}\"}}");
    }
    let said = Site::role(&role).errors();
    assert!(
        said.contains("steps in all") && said.contains("for 'vars.l.map(a, vars.l.map("),
        "{said}"
    );
    assert!(said.lines().count() < 20, "it is said once: {said}");
    let each = "{{#each inputs.l}}{{#each ../inputs.l}}{{#each ../../inputs.l}}{{/each}}{{/each}}{{/each}}";
    let mut role = format!(
        "inputs: {{l: {{type: list of int, default: {}}}}}\nresources:\n",
        numbers(50)
    );
    for number in 0..200 {
        let _ = writeln!(role, "  - template: {{path: /f{number}, source: t.hbs}}");
    }
    let said = Site::role(&role).file("templates/t.hbs", each).errors();
    assert!(said.contains("steps in all") && said.contains("t.hbs'"), "{said}");
}

#[test]
fn what_all_templates_give_is_bounded() {
    let mut role = format!(
        "inputs: {{l: {{type: list of int, default: {}}}}}\nresources:\n",
        numbers(60)
    );
    for number in 0..5 {
        let _ = writeln!(role, "  - template: {{path: /f{number}, source: t.hbs}}");
    }
    let large = format!("{{{{#each inputs.l}}}}{}{{{{/each}}}}", "x".repeat(1 << 20));
    let said = Site::role(&role).file("templates/t.hbs", large).errors();
    assert!(
        said.contains("the templates up to this one give more than 256MiB"),
        "{said}"
    );
}

/// Nor itself: that would have no end.
#[test]
fn templates_include_nothing() {
    let role = "resources:\n  - template: {path: /a, source: t.hbs}\n";
    for template in [
        "{{> other}}",
        "{{#> other}}x{{/other}}",
        "{{#*inline \"a\"}}{{> a}}{{> a}}{{/inline}}{{> a}}",
        "{{#if facts}}{{> other}}{{/if}}",
    ] {
        let said = Site::role(role).file("templates/t.hbs", template).errors();
        assert!(
            said.contains("t.hbs:1:") && said.contains("templates stand alone"),
            "{template}: {said}"
        );
    }
}

#[test]
fn aliases_may_not_add_much_text() {
    let role = format!(
        "vars:\n  a: &a \"{}\"\n  b: [{}]\nresources: []\n",
        "x".repeat(1 << 20),
        "*a, ".repeat(3000)
    );
    refused(&role, "the anchors and aliases of this file make too much of it");
}

#[test]
fn anchors_in_anchors_may_not_add_much_either() {
    let (open, close): (String, String) = ((0..200).map(|n| format!("&a{n} [")).collect(), "]".repeat(200));
    let role = format!("vars:\n  a: {open}{}{close}\nresources: []\n", "x, ".repeat(10_000));
    refused(&role, "the anchors and aliases of this file make too much of it");
}

#[test]
fn there_are_not_more_resources_than_anybody_reads() {
    let list = numbers(1001);
    let each: String = (0..100)
        .map(|number| format!("  - directory: /{number}-${{each.value}}\n    for_each: ${{vars.l}}\n"))
        .collect();
    refused(
        &format!("vars:\n  l: {list}\nresources:\n{each}"),
        "these are more than 100000 resources",
    );
}

#[test]
fn of_many_mistakes_the_first_are_shown() {
    let many: String = (0..30_000).map(|number| format!("{{nokind{number}: x}}, ")).collect();
    let said = Site::role(&format!("resources: [{many}]\n")).errors();
    assert!(said.contains("more: these come first"), "{}", &said[said.len() - 200..]);
    assert!(said.lines().count() < 500, "{}", said.lines().count());
}

/// As the evaluator does without counting.
#[test]
fn counting_changes_no_value() {
    let site = Site::role(
        r#"
vars:
  l: [3, 1, 2]
  m: { a: [1], b: [2, 3] }
  out:
    - "${vars.l.map(x, x * 2).filter(x, x > 2).size()}"
    - "${vars.l.exists(x, x == 2) && vars.l.all(x, x > 0) && vars.l.exists_one(x, x == 1)}"
    - "${vars.l.map(x, x > 1, string(x)).join('-')}"
    - "${vars.l.sort().distinct().reverse()[0]}"
    - "${vars.l.sortBy(x, -x)[0]}"
    - "${'a-b'.replace('-', '+').replace('a', 'c', 1)}"
    - "${math.greatest(1, 2) + size('abc')}"
    - "${vars.m.map(k, k).sort().join()}"
    - "${has(vars.m.a) ? vars.m['b'][1] : 0}"
    - "${ {'x': [1, 2]}.x[1] in vars.l }"
resources:
  - directory: "/${vars.out.map(x, string(x)).join('/')}"
"#,
    );
    assert_eq!(site.ids(), ["directory:/2/true/3-2/3/3/c+b/5/ab/3/true"]);
}
