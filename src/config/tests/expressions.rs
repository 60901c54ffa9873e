//! Expressions, and the facts that they ask for.

use serde_json::Value;

use super::{Site, plain};
use crate::config::{Facts, Request, SampleFacts, load};

#[test]
fn expressions_keep_types_and_render_in_text() {
    let site = Site::role(
        r#"
inputs: { n: { type: int, default: 3 }, on: { type: bool, default: true }, none: { type: int, optional: true } }
vars:
  list: "${[1, inputs.n]}"
  text: n=${inputs.n} on=${inputs.on} $${kept} ${vars.list.map(i, string(i)).join('-')} ${'}'}
  nested: { a: ["${inputs.n * 2}"], b: "${inputs.none}", "k-${inputs.n}": 1 }
  default: "${inputs.none != null ? inputs.none : 7}"
  size: "${size(vars.list)}"
  sorted: "${['b', 'a'].sort()}"
  matched: "${'db12'.matches('^db[0-9]+$')}"
resources:
  - directory: /${vars.text}
  - directory: "/${vars.nested.a[0]}/${vars.default}/${vars.size}/${vars.nested['k-3']}/${vars.sorted[0]}/${vars.matched}"
"#,
    );
    assert_eq!(
        site.ids(),
        ["directory:/n=3 on=true ${kept} 1-3 }", "directory:/6/7/2/1/a/true"]
    );
}

#[test]
fn facts_are_read_once_and_only_if_asked_for() {
    struct Counting(std::sync::Mutex<Vec<String>>);
    impl Facts for Counting {
        fn get(&self, name: &str) -> anyhow::Result<Value> {
            self.0.lock().expect("nobody panicked").push(name.to_owned());
            anyhow::ensure!(name != "memory", "it is away");
            SampleFacts.get(name)
        }
    }
    let site = Site::role(
        "resources:\n  - directory: /${facts.os.id}\n  - directory: \"/${facts.os.id + facts.arch}\"\n    when: ${facts.memory > 1}\n",
    );
    let facts = Counting(std::sync::Mutex::default());
    let failure = load(&Request {
        roles_directories: vec![site.directory.path().join("roles")],
        ..Request::new(["demo"], &facts)
    })
    .expect_err("a fact fails");
    assert!(
        plain(&failure).contains("the fact 'memory' cannot be read: it is away"),
        "{}",
        plain(&failure)
    );
    assert_eq!(*facts.0.lock().expect("nobody panicked"), ["os", "memory", "arch"]);
}
