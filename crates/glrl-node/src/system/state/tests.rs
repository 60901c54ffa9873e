//! Where the state directory is made, and that nothing leads out of its tree.

#![expect(clippy::disallowed_methods, reason = "tests make what they look at")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn only_the_directory_itself_is_for_root_alone() {
    let root = tempfile::tempdir().unwrap();
    let state = StateDir::inside(root.path(), Path::new("/var/lib/glrl")).unwrap();
    state.journal("run").unwrap();
    for (path, wanted) in [
        ("var", 0o755),
        ("var/lib", 0o755),
        ("var/lib/glrl", 0o700),
        ("var/lib/glrl/runs", 0o700),
        ("var/lib/glrl/runs/run", 0o700),
        ("var/lib/glrl/runs/run/events.ndjson", 0o600),
    ] {
        assert_eq!(mode(&root.path().join(path)), wanted, "{path}");
    }
}

#[test]
fn a_link_does_not_lead_out_of_the_tree() {
    let outside = tempfile::tempdir().unwrap();
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("srv")).unwrap();
    symlink(outside.path(), root.path().join("var")).unwrap();
    // The link's target is looked for below the root, and is not there.
    assert!(
        StateDir::if_any(root.path(), Path::new("/var/lib/glrl"))
            .unwrap()
            .is_none()
    );
    assert!(StateDir::inside(root.path(), Path::new("/var/lib/glrl")).is_err());

    fs::remove_file(root.path().join("var")).unwrap();
    symlink("/srv", root.path().join("var")).unwrap();
    let state = StateDir::inside(root.path(), Path::new("/var/glrl")).unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, root.path().join("srv/glrl/lock")).unwrap();
    assert!(state.lock(Duration::ZERO, |_| ()).is_err());
    state.write("pending.json", b"{}").unwrap();
    state.journal("run").unwrap();

    assert!(root.path().join("srv/glrl/pending.json").is_file());
    assert!(root.path().join("srv/glrl/runs/run").is_dir());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn what_is_in_the_way_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("var"), "").unwrap();
    let error = StateDir::inside(root.path(), Path::new("/var/lib/glrl")).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "opening the state directory /var/lib/glrl: /var is in the way, and is no directory: move it away"
    );
}

/// Not the name it has in the directory: nobody would know which directory.
#[test]
fn errors_name_the_whole_path() {
    let root = tempfile::tempdir().unwrap();
    let state = StateDir::inside(root.path(), Path::new("/var/lib/glrl")).unwrap();
    let name = "n".repeat(256);
    let error = state.read(&name).unwrap_err();
    assert!(
        format!("{error:#}").starts_with(&format!("opening /var/lib/glrl/{name}: ")),
        "{error:#}"
    );
}

#[test]
fn whatever_is_in_the_lock_stops_no_run() {
    let root = tempfile::tempdir().unwrap();
    let state = StateDir::inside(root.path(), Path::new("/glrl")).unwrap();
    for left in [b"process \xff\xfe".to_vec(), vec![0; 100_000], b"\n\n".to_vec()] {
        fs::write(root.path().join("glrl/lock"), left).unwrap();
        let held = state.lock(Duration::ZERO, |_| {}).unwrap();
        let name = fs::read(root.path().join("glrl/lock")).unwrap();
        assert_eq!(name, survivors::OWN.as_bytes());
        drop(held);
    }
}
