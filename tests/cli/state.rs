//! Runs that end early, and trees whose state must not get in a role's way.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::tree::Tree;

/// Two resources that are done, one that is tried for ten minutes, one that has no turn.
const SLOW: &str = "role: this\nresources:\n  - file: { path: /etc/one, content: one }\n  \
                    - file: { path: /etc/two, content: two, validate: [\"false\", \"{}\"] }\n    retry: { times: 600, delay: 1s }\n  \
                    - file: { path: /etc/three, content: three }\n";

fn with_role(text: &str) -> Tree {
    let tree = Tree::new();
    write(&tree, "roles/this.yml", text);
    tree
}

#[expect(clippy::disallowed_methods, reason = "it makes what is tested")]
fn write(tree: &Tree, path: &str, text: &str) {
    fs::write(tree.path().join(path), text).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it makes what is tested")]
fn plan_and_converge_agree_in_an_empty_tree() {
    let tree =
        with_role("role: this\nresources:\n  - directory: /var\n  - directory: { path: /var/lib, mode: \"0750\" }\n");
    fs::create_dir(tree.path().join("empty")).unwrap();
    let plan = tree.glrl(&["plan", "--role", "this", "--root", "empty"]);
    assert!(
        String::from_utf8_lossy(&plan.stdout).contains("2 to change"),
        "{plan:?}"
    );
    let converge = tree.glrl(&["converge", "--role", "this", "--root", "empty"]);
    let said = String::from_utf8_lossy(&converge.stdout).into_owned();
    assert!(
        said.contains("changed 2, unchanged 0") && !said.contains("drift"),
        "{said}"
    );
}

/// groupadd(8) and useradd(8) take no relative root.
#[test]
fn accounts_are_made_in_a_relative_root() {
    let tree = with_role("role: this\nresources:\n  - group: { name: glrltest, gid: 4711 }\n");
    for (path, text) in [
        ("etc/group", "root:x:0:\n"),
        ("etc/passwd", ""),
        ("etc/gshadow", "root:*::\n"),
    ] {
        write(&tree, &format!("tree/{path}"), text);
    }
    let output = tree.glrl(&["converge", "--role", "this", "--root", "tree"]);
    assert!(output.status.success(), "{output:?}");
    let group = fs::File::open(tree.path().join("tree/etc/group")).unwrap();
    assert!(std::io::read_to_string(group).unwrap().contains("glrltest:x:4711:"));
}

/// Starts the slow run, sends these signals once it waits, and returns its status and all that it said on standard output.
fn interrupted(tree: &Tree, nohup: bool, signals: &[Signal]) -> (Option<i32>, String) {
    let mut glrl = tree.command(&["converge", "--role", "this", "--root", "tree"]);
    if nohup {
        let args: Vec<_> = glrl.get_args().map(ToOwned::to_owned).collect();
        let program = glrl.get_program().to_owned();
        glrl = tree.program("nohup");
        glrl.arg(program).args(args);
    }
    let mut child = glrl.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("try 1 of") {
        line.clear();
        assert!(err.read_line(&mut line).unwrap() > 0, "it ended before it waited");
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    for signal in signals {
        kill(pid, *signal).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_signal_ends_a_run_with_its_counts() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let tree = with_role(SLOW);
        let (status, said) = interrupted(&tree, false, &[signal]);
        assert_eq!(status, Some(130), "{signal}: {said}");
        assert!(
            said.contains("changed 1, unchanged 0, failed 0, 2 not reached in "),
            "{signal}: {said}"
        );
    }
}

/// A second signal would end it at once, without its counts.
#[test]
fn nohup_is_obeyed() {
    let tree = with_role(SLOW);
    let (status, said) = interrupted(&tree, true, &[Signal::SIGHUP, Signal::SIGTERM]);
    assert_eq!(status, Some(130), "{said}");
    assert!(said.contains("2 not reached"), "{said}");
}

/// The program that a killed run had started is waited for. The secret that it has left beside a file goes, also when no role speaks
/// of the file any more.
#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let tree = with_role(
        "role: this\nresources:\n  - file: { path: /etc/one, content: hunter2, validate: [sh, -c, touch $0.begun; sleep 3; touch $0.done, \"{}\"] }\n",
    );
    write(&tree, "tree/etc/.other.glrl", "not glrl's");
    let mut child = tree
        .command(&["converge", "--role", "this", "--root", "tree"])
        .spawn()
        .unwrap();
    let named = |end: &str| {
        let mut names = fs::read_dir(tree.path().join("tree/etc"))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        names.find(|path| path.to_string_lossy().ends_with(end))
    };
    let begun = loop {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        match named(".glrl.begun") {
            Some(begun) => break begun,
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    };
    let left = begun.with_extension("");
    assert_ne!(
        left.file_name().unwrap(),
        ".one.glrl",
        "it has a name that anybody can guess"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(left.exists());

    write(
        &tree,
        "roles/this.yml",
        "role: this\nresources:\n  - file: { path: /etc/two, content: two }\n",
    );
    let output = tree.glrl(&["converge", "--role", "this", "--root", "tree"]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("which is waited for"),
        "{output:?}"
    );
    assert!(named(".glrl.done").is_some(), "it was not waited for");
    assert!(!left.exists() && !tree.path().join("tree/.glrl/temporaries.json").exists());
    assert!(tree.path().join("tree/etc/.other.glrl").exists());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it makes what is tested")]
fn long_names_are_written() {
    let long = "n".repeat(255);
    let tree = with_role(&format!(
        "role: this\nresources:\n  - file: {{ path: /etc/{long}, content: x }}\n  - link: {{ path: /srv/{long}, target: x }}\n"
    ));
    fs::create_dir(tree.path().join("tree/srv")).unwrap();
    let output = tree.glrl(&["converge", "--role", "this", "--root", "tree"]);
    assert!(output.status.success(), "{output:?}");
}

/// Where no byte can be written (here by `RLIMIT_FSIZE`), what is as declared is still found so, and what goes still goes.
#[test]
fn a_full_disk_stops_only_what_has_to_write() {
    let tree = with_role(
        "role: this\nresources:\n  - file: { path: /etc/one, content: one }\n  - file: { path: /etc/two, state: absent }\n",
    );
    assert!(
        tree.glrl(&["converge", "--role", "this", "--root", "tree"])
            .status
            .success()
    );
    write(&tree, "tree/etc/two", "two");
    for counts in ["changed 1, unchanged 1", "changed 0, unchanged 2"] {
        let full = "trap '' XFSZ; ulimit -f 0; exec \"$0\" converge --role this --root tree";
        let mut glrl = tree.program("sh");
        let output = glrl.args(["-c", full, env!("CARGO_BIN_EXE_glrl")]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && said.contains(counts), "{output:?}");
    }
}
