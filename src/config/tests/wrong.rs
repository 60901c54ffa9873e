//! What is said of roles with mistakes.

use std::path::Path;

use super::{Site, plain};
use crate::config::{Request, SampleFacts, load};

/// Every file of `tests/cases/wrong` is a role with mistakes; what is said of it is a snapshot. A first line `# set: NAME=VALUE`
/// is an argument of `--set`, `with/` holds roles to include.
#[test]
fn wrong_roles() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/wrong");
    let names = crate::system::texts::list(&directory).expect("the repository is readable");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(&directory);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // A new kind touches no snapshot.
    settings.add_filter(r"there are: package, [^)]*", "there are: KINDS");
    let names: Vec<_> = names.iter().filter_map(|name| name.strip_suffix(".yml")).collect();
    assert!(names.len() >= 35, "{}", names.len());
    for name in names {
        let path = directory.join(format!("{name}.yml"));
        let text = crate::system::texts::read(&path)
            .expect("a case is readable")
            .unwrap_or_default();
        let failure = load(&Request {
            roles_directories: vec![directory.join("with"), directory.clone()],
            set: text
                .lines()
                .filter_map(|line| line.strip_prefix("# set: "))
                .map(str::to_owned)
                .collect(),
            ..Request::new([path.display().to_string()], &SampleFacts)
        });
        let failure = failure.err().unwrap_or_else(|| panic!("{name}.yml has no mistake"));
        let said = plain(&failure).replace(&format!("{}/", directory.display()), "");
        settings.bind(|| insta::assert_snapshot!(name, said));
    }
}

#[test]
fn errors_of_one_resource_come_together() {
    let site = Site::role(
        "resources:\n  - directory: { pth: /srv, mode: 0755, owner: [x] }\n    whn: true\n  - directory:\n  - drectory: /x\n",
    );
    insta::assert_snapshot!(site.errors());
}
