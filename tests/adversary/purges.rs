//! What was reported about purges: each case with what is right.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

use super::{
    ground::{EVE, Ground},
    reported::{converges, ends, names, run},
};

fn purged(ground: &Ground) {
    ground.directory("srv/www", EVE);
    ground.file("srv/www/index.html", "old\n", 0o644, EVE);
    ground.beside("files/site/index.html", "hello\n");
    ground.role("  - directory: { path: /srv/www, source: site, purge: true }\n");
}

/// `cases/bugs/04-purge-not-utf8`
#[test]
fn names_that_are_no_text_are_purged_and_shown() {
    let ground = Ground::empty();
    purged(&ground);
    for name in [&b"latin\xe9"[..], b"\xff\xfe", b"new\nline", b"esc\x1b[2J"] {
        fs::write(ground.at("srv/www").join(OsStr::from_bytes(name)), "x").expect("a file");
    }
    let deep = ground.at("srv/www").join(OsStr::from_bytes(b"d\xe9"));
    fs::create_dir(&deep).expect("a directory");
    fs::write(deep.join(OsStr::from_bytes(b"\xe9")), "x").expect("a file");
    let plan = ends(&ground, "plan", 0);
    for shown in ["latin\\xe9", "\\xff\\xfe", "d\\xe9/\\xe9", "index.html"] {
        assert!(plan.contains(shown), "{shown}: {plan}");
    }
    assert!(!plan.contains('\x1b'), "{plan:?}");
    ends(&ground, "plan", 0);
    converges(&ground);
    assert_eq!(names(&ground, "srv/www"), ["index.html"]);
}

/// `cases/attacks/16-purge-root`
#[test]
fn glrl_is_no_stray_and_the_root_is_not_purged() {
    let ground = Ground::empty();
    purged(&ground);
    ground.role("  - directory: { path: /, source: site, purge: true }\n");
    let said = ends(&ground, "plan", 65);
    assert!(said.contains("`/` holds all files, and is not purged"), "{said}");
    // The root under another name.
    ground.directory("mnt/all", 0);
    ground.role("  - directory: { path: /mnt/all, source: site, purge: true }\n");
    run("mount", &["--bind", ".", "mnt/all"], &ground);
    let said = [ground.run("plan"), ground.run("converge")];
    run("umount", &["-l", "mnt/all"], &ground);
    for output in said {
        assert!(
            super::reported::said(&output).contains("/mnt/all is the root of all files, and is not purged"),
            "{output:?}"
        );
    }
    // The state of a machine whose disk this is.
    ground.file("var/lib/glrl/lock", "", 0o600, 0);
    ground.file("var/lib/glrl/runs/r/events.ndjson", "", 0o600, 0);
    ground.file("var/lib/other", "", 0o600, 0);
    ground.role(
        "  - directory: { path: /var, source: site, purge: true }\n  - file: { path: /.glrl/lock, state: absent }\n",
    );
    let said = ends(&ground, "converge", 3);
    assert!(said.contains("/.glrl/lock is of glrl's own state"), "{said}");
    assert_eq!(names(&ground, "var"), ["index.html", "lib"]);
    assert_eq!(names(&ground, "var/lib"), ["glrl"]);
    assert_eq!(names(&ground, "var/lib/glrl"), ["lock", "runs"]);
    assert!(ground.at("var/lib/glrl/runs/r/events.ndjson").exists());
}

/// `cases/attacks/18-nested-purge`
#[test]
fn a_deep_tree_is_purged() {
    for depth in [1_800, 5_000] {
        let ground = Ground::empty();
        purged(&ground);
        let mut at = fs::File::open(ground.at("srv/www")).expect("a directory");
        for _ in 0..depth {
            nix::sys::stat::mkdirat(&at, "d", nix::sys::stat::Mode::S_IRWXU).expect("a directory");
            let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_DIRECTORY;
            at = nix::fcntl::openat(&at, "d", flags, nix::sys::stat::Mode::empty())
                .expect("a directory")
                .into();
        }
        let said = ends(&ground, "plan", 0);
        let more = format!("purged, with {} more below it", depth - 256);
        assert!(said.contains(&more), "{depth}: {}", &said[said.len() - 900..]);
        converges(&ground);
        assert_eq!(names(&ground, "srv/www"), ["index.html"]);
    }
}

/// What any user can put into a directory of uploads.
#[test]
fn pipes_and_sockets_are_purged() {
    let ground = Ground::empty();
    purged(&ground);
    nix::unistd::mkfifo(&ground.at("srv/www/pipe"), nix::sys::stat::Mode::S_IRUSR).expect("a fifo");
    std::os::unix::net::UnixListener::bind(ground.at("srv/www/socket")).expect("a socket");
    converges(&ground);
    assert_eq!(names(&ground, "srv/www"), ["index.html"]);
}
