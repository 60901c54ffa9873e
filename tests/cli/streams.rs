//! What happens when nobody reads, or nothing can be written.

use std::process::Stdio;

use super::tree::Tree;

const CONVERGE: [&str; 6] = ["converge", "--role", "site", "--root", "tree", "--json"];

#[test]
fn a_fact_that_cannot_be_read_does_not_hide_the_others() {
    let tree = Tree::new();
    for (args, others) in [
        (&["facts", "--root", "tree"][..], "facts.cpus"),
        (&["facts", "--root", "tree", "--json"], "\"cpus\":"),
    ] {
        let output = tree.glrl(args);
        assert!(String::from_utf8_lossy(&output.stdout).contains(others), "{output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).starts_with("error: the fact 'os' cannot be read\n"),
            "{output:?}"
        );
        assert!(!output.status.success());
    }
}

/// `glrl schema | head -1`, where head is done before glrl is.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    for args in [
        &["schema"][..],
        &["--help"],
        &["plan", "--role", "site", "--root", "tree", "-v"],
    ] {
        let tree = Tree::new();
        let mut child = tree
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn a_converge_goes_on_when_its_reader_goes_away() {
    let tree = Tree::new();
    let mut child = tree.command(&CONVERGE).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(
        tree.path().join("tree/srv/current").is_symlink(),
        "the last resource is there"
    );
}

#[test]
fn what_cannot_be_written_is_said() {
    let tree = Tree::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = tree.command(&["schema"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("error: cannot write to standard output"), "{said}");
}

/// Two runs at once: the second one is told who holds the lock.
#[test]
fn one_run_at_a_time() {
    let tree = Tree::new();
    assert!(tree.glrl(&CONVERGE).status.success());
    let lock = tree.path().join("tree/.glrl/lock");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(lock).unwrap();
    file.lock().unwrap();
    let output = tree.glrl(&CONVERGE);
    assert_eq!(output.status.code(), Some(11), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("another run is under way") && said.contains("--wait"),
        "{said}"
    );
}
