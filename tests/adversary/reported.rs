//! What was reported about paths: each case with what is right.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use super::ground::{EVE, Ground};

pub(super) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs glrl, which has to end with this status, and returns what it says.
pub(super) fn ends(ground: &Ground, command: &str, status: i32) -> String {
    let output = ground.run(command);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(status), "{command}: {said}");
    said
}

/// Converges, and plans nothing more.
pub(super) fn converges(ground: &Ground) -> String {
    let said = ends(ground, "converge", 0);
    let plan = ends(ground, "plan", 0);
    assert!(plan.contains("0 to change"), "{plan}");
    said
}

pub(super) fn text(ground: &Ground, path: &str) -> String {
    fs::read_to_string(ground.at(path)).expect("a text")
}

pub(super) fn run(program: &str, args: &[&str], ground: &Ground) {
    let status = Command::new(program).args(args).current_dir(ground.tree()).status();
    assert!(status.expect("it runs").success(), "{program} {args:?}");
}

/// The list of acl(5) in which the owner and user 1234 may read and write, the group and all others nothing.
fn list(mask: u8) -> Vec<u8> {
    let entry = |tag: u8, bits: u8, id: u32| [&[tag, 0, bits, 0][..], &id.to_le_bytes()].concat();
    let entries = [
        entry(1, 6, u32::MAX),
        entry(2, 6, 1234),
        entry(4, 0, u32::MAX),
        entry(16, mask, u32::MAX),
        entry(32, 0, u32::MAX),
    ];
    [&2_u32.to_le_bytes()[..], &entries.concat()].concat()
}

/// `cases/bugs/01-acl-lost`
#[test]
fn lists_and_attributes_go_along_with_a_file() {
    const LIST: &str = "system.posix_acl_access";
    let ground = Ground::empty();
    ground.directory("srv/www", 0);
    ground.beside("templates/t.hbs", "new\n");
    ground.beside("files/site/s", "new\n");
    ground.role(
        "  - file: { path: /etc/file, content: \"new\\n\" }
  - file: { path: /etc/moded, content: \"new\\n\", mode: \"0640\" }
  - file: { path: /etc/plain, content: \"new\\n\" }
  - line: { path: /etc/line, line: two }
  - template: { path: /etc/template, source: t.hbs }
  - directory: { path: /srv/www, source: site }
",
    );
    let listed = ["etc/file", "etc/moded", "etc/line", "etc/template", "srv/www/s"];
    for path in listed {
        ground.file(path, "one\n", 0o600, 0);
        xattr::set(ground.at(path), LIST, &list(6)).expect("a list");
        xattr::set(ground.at(path), "user.note", b"keep").expect("an attribute");
        xattr::set(ground.at(path), "trusted.note", b"keep").expect("an attribute");
    }
    ground.file("etc/plain", "one\n", 0o640, 0);
    // What is new in the directory would get one.
    xattr::set(ground.at("etc"), "system.posix_acl_default", &list(6)).expect("a list");
    converges(&ground);
    for path in listed {
        assert!(text(&ground, path).contains(if path == "etc/line" { "two" } else { "new" }));
        let mask = if path == "etc/moded" { 4 } else { 6 };
        assert_eq!(xattr::get(ground.at(path), LIST).unwrap(), Some(list(mask)), "{path}");
        for name in ["user.note", "trusted.note"] {
            assert_eq!(
                xattr::get(ground.at(path), name).unwrap().as_deref(),
                Some(&b"keep"[..]),
                "{path}"
            );
        }
    }
    assert_eq!(xattr::get(ground.at("etc/plain"), LIST).unwrap(), None);
    assert_eq!(ground.at("etc/plain").metadata().unwrap().mode() & 0o777, 0o640);
}

/// `cases/bugs/02-hard-link`
#[test]
fn other_names_of_a_file_are_told() {
    let ground = Ground::empty();
    ground.role(
        "  - file: { path: /etc/a, content: \"new\\n\" }
  - line: { path: /etc/c, line: x }
  - file: { path: /etc/e, mode: \"0600\" }
  - file: { path: /etc/g, state: absent }
",
    );
    for (name, other) in [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h")] {
        ground.file(&format!("etc/{name}"), "old\n", 0o644, 0);
        fs::hard_link(ground.at(&format!("etc/{name}")), ground.at(&format!("etc/{other}"))).expect("a link");
    }
    let plan = ends(&ground, "plan", 0);
    for told in [
        "/etc/a has 2 names (hard links): the others keep what it held",
        "/etc/c has 2 names (hard links): the others keep what it held",
        "/etc/e has 2 names (hard links): it changes under all of them",
        "/etc/g has 2 names (hard links): the others stay",
    ] {
        assert!(plan.replace("\n      ", " ").contains(told), "{told}: {plan}");
    }
    converges(&ground);
    assert_eq!(
        (text(&ground, "etc/b"), text(&ground, "etc/d")),
        ("old\n".to_owned(), "old\n".to_owned())
    );
    assert_eq!(ground.at("etc/f").metadata().unwrap().mode() & 0o777, 0o600);
}

/// A program whose owner changes is a new file: see `laws::what_a_change_of_the_owner_takes_away_survives_a_kill`.
#[test]
fn a_program_whose_owner_changes_is_another_file() {
    let ground = Ground::empty();
    ground.file("opt/tool", "#!/bin/sh\n", 0o4755, 0);
    ground.file("srv/grows/tool", "#!/bin/sh\n", 0o4755, 0);
    fs::hard_link(ground.at("opt/tool"), ground.at("opt/other")).expect("a link");
    ground.role(&format!(
        "  - file: {{ path: /opt/tool, owner: \"{EVE}\" }}
  - file: {{ path: /srv/grows/tool, owner: \"{EVE}\" }}
"
    ));
    run("chattr", &["+a", "srv/grows"], &ground);
    let plan = ends(&ground, "plan", 3).replace("\n      ", " ");
    ends(&ground, "converge", 3);
    run("chattr", &["-a", "srv/grows"], &ground);
    for told in [
        "/opt/tool has 2 names (hard links): the others stay as they are",
        "/srv/grows is append-only (chattr +a)",
    ] {
        assert!(plan.contains(told), "{told}: {plan}");
    }
    converges(&ground);
    for (path, owner) in [("opt/tool", EVE), ("opt/other", 0), ("srv/grows/tool", EVE)] {
        let about = ground.at(path).metadata().expect("it is there");
        assert_eq!((about.uid(), about.mode() & 0o7777), (owner, 0o4755), "{path}");
    }
}

/// What root made in a user's directory, the user can give another name, also with all that is in it.
#[test]
fn a_directory_that_a_user_moved_to_a_declared_name_stays_roots() {
    let ground = Ground::empty();
    ground.directory("home/eve", EVE);
    for (name, mode) in [
        ("backup", 0o700),
        ("conf", 0o755),
        ("old", 0o700),
        ("empty", 0o700),
        ("public", 0o755),
    ] {
        ground.directory(&format!("home/eve/{name}"), 0);
        fs::set_permissions(ground.at(&format!("home/eve/{name}")), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    for name in ["backup/key", "conf/key", "old/key", "public/key"] {
        ground.file(
            &format!("home/eve/{name}"),
            "secret\n",
            if name.starts_with("conf") { 0o600 } else { 0o644 },
            0,
        );
    }
    ground.role(&format!(
        "  - directory: {{ path: /home/eve/.ssh, owner: \"{EVE}\", mode: \"0700\" }}
  - file: {{ path: /home/eve/.ssh/authorized_keys, content: x }}
  - file: {{ path: /home/eve/.config/key, owner: \"{EVE}\" }}
  - directory: {{ path: /home/eve/open, mode: \"0755\" }}
  - directory: {{ path: /home/eve/made, owner: \"{EVE}\" }}
  - directory: {{ path: /home/eve/public, owner: \"{EVE}\" }}
"
    ));
    for (from, to) in [
        ("backup", ".ssh"),
        ("conf", ".config"),
        ("old", "open"),
        ("empty", "made"),
    ] {
        fs::rename(ground.at("home/eve").join(from), ground.at("home/eve").join(to)).expect("her directory");
    }
    for said in [ends(&ground, "plan", 3), ends(&ground, "converge", 3)] {
        let said = said.replace("\n      ", " ");
        for told in [
            "/home/eve/.ssh is root's, and its directory, or one above it, is uid 12345's: it may be another directory under this name",
            "/home/eve/.config/key is root's, and its directory, or one above it, is uid 12345's: it may be another file",
            "/home/eve/open is root's, and its directory",
        ] {
            assert!(said.contains(told), "{told}: {said}");
        }
    }
    for (path, owner, mode) in [
        (".ssh", 0, 0o700),
        (".ssh/key", 0, 0o644),
        (".config/key", 0, 0o600),
        ("open", 0, 0o700),
        ("made", EVE, 0o700),
        ("public", EVE, 0o755),
    ] {
        let about = ground.at("home/eve").join(path).metadata().expect("it is there");
        assert_eq!((about.uid(), about.mode() & 0o7777), (owner, mode), "{path}");
    }
    assert!(!ground.at("home/eve/.ssh/authorized_keys").exists());
}

pub(super) fn names(ground: &Ground, path: &str) -> Vec<OsString> {
    let mut names: Vec<OsString> = fs::read_dir(ground.at(path))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    names
}

/// A directory that glrl looks into without a purge.
#[test]
fn names_that_are_no_text_do_not_get_in_the_way() {
    let ground = Ground::empty();
    ground.directory("srv/old", 0);
    fs::write(ground.at("srv/old").join(OsStr::from_bytes(b"\xe9")), "x").expect("a file");
    ground.role("  - directory: { path: /srv/old, state: absent }\n");
    let said = ends(&ground, "plan", 3);
    assert!(said.contains("/srv/old holds 1 entries and is not removed"), "{said}");
}

/// `cases/bugs/05-immutable`
#[test]
fn what_chattr_forbids_is_planned_as_such() {
    let ground = Ground::empty();
    for path in [
        "etc/resolv.conf",
        "etc/audit.log",
        "etc/gone",
        "srv/fixed/f",
        "srv/grows/f",
        "srv/www/stray",
    ] {
        ground.file(path, "old\n", 0o644, 0);
    }
    ground.beside("files/site/index.html", "hello\n");
    ground.role(
        "  - file: { path: /etc/resolv.conf, content: \"new\\n\" }
  - file: { path: /etc/audit.log, mode: \"0600\" }
  - file: { path: /etc/gone, state: absent }
  - file: { path: /srv/fixed/new, content: x }
  - file: { path: /srv/grows/f, content: x }
  - file: { path: /srv/grows/new, content: x }
  - directory: { path: /srv/www, source: site, purge: true }
",
    );
    let fixed = ["etc/resolv.conf", "etc/gone", "srv/fixed", "srv/www/stray"];
    run("chattr", &[&["+i"], &fixed[..]].concat(), &ground);
    run("chattr", &["+a", "etc/audit.log", "srv/grows"], &ground);
    let (plan, converge) = (ends(&ground, "plan", 3), ends(&ground, "converge", 3));
    run("chattr", &[&["-i"], &fixed[..]].concat(), &ground);
    run("chattr", &["-a", "etc/audit.log", "srv/grows"], &ground);
    for said in [plan, converge] {
        for told in [
            "/etc/resolv.conf is immutable (chattr +i)",
            "chattr -i /etc/resolv.conf",
            "/etc/audit.log is append-only (chattr +a)",
            "/etc/gone is immutable (chattr +i)",
            "/srv/fixed is immutable (chattr +i)",
            "/srv/grows is append-only (chattr +a)",
            "/srv/www/stray is immutable (chattr +i)",
        ] {
            assert!(said.contains(told), "{told}: {said}");
        }
    }
    assert_eq!(text(&ground, "srv/grows/new"), "x", "what is new can be put there");
    converges(&ground);
}

/// `cases/attacks/05-temp-forgotten`
#[test]
fn a_temporary_file_that_stays_is_not_forgotten() {
    let ground = Ground::empty();
    ground.directory("d", 0);
    ground.role("  - file: { path: /d/f, content: s, validate: [sh, -c, touch $0.begun; sleep 5, \"{}\"] }\n");
    let role = ground.tree().with_file_name("beside/roles/this.yml");
    let mut glrl = super::glrl();
    glrl.args(["converge", "--role"])
        .arg(role)
        .arg("--root")
        .arg(ground.tree());
    let mut child = glrl.stdout(Stdio::null()).spawn().expect("glrl runs");
    let begun = loop {
        match names(&ground, "d")
            .into_iter()
            .find(|name| name.to_string_lossy().ends_with(".begun"))
        {
            Some(begun) => break begun,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    child.kill().expect("a child");
    child.wait().expect("a child");
    let left = format!("d/{}", begun.to_string_lossy().trim_end_matches(".begun"));
    assert!(ground.at(&left).exists());
    ground.role("  - directory: /d\n");
    run("chattr", &["+i", &left], &ground);
    let said = [ends(&ground, "converge", 0), ends(&ground, "converge", 0)];
    run("chattr", &["-i", &left], &ground);
    for said in said {
        assert!(
            said.contains("a temporary file is left") && said.contains(&left),
            "{said}"
        );
    }
    assert!(ground.at(&left).exists());
    converges(&ground);
    assert!(!ground.at(&left).exists() && !ground.at(".glrl/temporaries.json").exists());
}

/// `cases/attacks/07-sparse-abort`
#[test]
fn a_file_that_is_too_large_is_an_error_of_its_resource() {
    let ground = Ground::empty();
    ground.directory("home/eve", EVE);
    for (name, bytes) in [(".profile", 15 << 40), (".vimrc", 300 << 20)] {
        fs::File::create(ground.at("home/eve").join(name))
            .and_then(|file| file.set_len(bytes))
            .expect("a file");
    }
    ground.role(
        "  - line: { path: /home/eve/.profile, line: \"umask 027\" }
  - file: { path: /home/eve/.vimrc, content: x }
  - file: { path: /etc/motd, content: hi }
",
    );
    let said = ends(&ground, "converge", 1);
    assert!(
        said.contains("/home/eve/.profile holds 15TiB, and glrl reads no file of more than 256MiB"),
        "{said}"
    );
    assert!(said.contains("/home/eve/.vimrc holds 300MiB"), "{said}");
    assert_eq!(text(&ground, "etc/motd"), "hi");
}

/// `cases/attacks/09-parent-link`
#[test]
fn a_link_that_others_can_bend_is_not_followed() {
    let ground = Ground::empty();
    ground.directory("etc/cron.d", 0);
    for directory in ["home/eve", "home/eve/dotfiles", "srv/tmp"] {
        ground.directory(directory, EVE);
    }
    ground.directory("srv/data", 0);
    ground.link("home/eve/.config", "/etc/cron.d", EVE);
    ground.link("home/eve/.vim", "dotfiles", EVE);
    ground.link("home/eve/.by-root", "/etc/cron.d", 0);
    ground.link("srv/by-eve", "/etc/cron.d", EVE);
    ground.link("srv/current", "data", 0);
    for (path, holds) in [
        ("/home/eve/.config", false),
        ("/home/eve/.by-root", false),
        ("/srv/by-eve", false),
        ("/home/eve/.vim", true),
        ("/srv/current", true),
    ] {
        // Alone, and behind another resource: the plan knows it from the node, or from what it makes of it.
        for (number, first) in ["", "  - file: { path: /etc/first, content: x }\n"]
            .into_iter()
            .enumerate()
        {
            ground.role(&format!(
                "{first}  - file: {{ path: {path}/app{number}, content: x, owner: \"{EVE}\" }}\n"
            ));
            if holds {
                converges(&ground);
                continue;
            }
            for command in ["plan", "converge"] {
                let said = ends(&ground, command, 3);
                assert!(
                    said.contains(&format!(
                        "{path} is a link to /etc/cron.d, which is root's, and uid {EVE} can lead it anywhere"
                    )),
                    "{said}"
                );
            }
        }
    }
    assert_eq!(names(&ground, "etc/cron.d"), Vec::<OsString>::new());
    assert_eq!(
        names(&ground, "home/eve/dotfiles").len() + names(&ground, "srv/data").len(),
        4
    );
    fs::remove_file(ground.at("home/eve/.config")).expect("a link");
    ground.directory("home/eve/.config", EVE);
    ground.role(&format!(
        "  - file: {{ path: /home/eve/.config/app, content: x, owner: \"{EVE}\" }}\n"
    ));
    converges(&ground);
}

/// With `fs.protected_hardlinks` off anybody can give another's file a name.
#[test]
fn a_hard_link_to_anothers_file_is_no_way_round() {
    let ground = Ground::empty();
    ground.directory("home/eve", EVE);
    ground.file("etc/shadow", "secret\n", 0o640, 0);
    for name in ["note", ".profile", "conf"] {
        fs::hard_link(ground.at("etc/shadow"), ground.at(&format!("home/eve/{name}"))).expect("a link");
    }
    let before = ground.outside();
    ground.role(&format!(
        "  - file: {{ path: /home/eve/note, owner: \"{EVE}\", mode: \"0644\" }}
  - line: {{ path: /home/eve/.profile, line: umask 027 }}
  - file: {{ path: /home/eve/conf, content: \"secret\\n\", owner: \"{EVE}\" }}
"
    ));
    for command in ["plan", "converge"] {
        let said = ends(&ground, command, 3);
        for name in ["note", ".profile"] {
            assert!(said.contains(&format!("/home/eve/{name} is root's and has")), "{said}");
        }
    }
    assert_eq!(
        super::ground::differences(&before, &ground.outside()),
        Vec::<String>::new()
    );
    let conf = ground.at("home/eve/conf").metadata().unwrap();
    assert_eq!(
        (conf.uid(), conf.nlink()),
        (EVE, 1),
        "a file of its own takes its place"
    );
    // The user's own names are the user's business.
    ground.file("home/eve/note", "", 0o600, EVE);
    fs::remove_file(ground.at("home/eve/note")).expect("a file");
    fs::remove_file(ground.at("home/eve/.profile")).expect("a file");
    ground.file("home/eve/note", "", 0o600, EVE);
    ground.file("home/eve/.profile", "", 0o600, EVE);
    fs::hard_link(ground.at("home/eve/note"), ground.at("home/eve/too")).expect("a link");
    converges(&ground);
}

/// `cases/attacks/17-protect`
#[test]
fn what_a_protected_directory_holds_is_protected() {
    let ground = Ground::empty();
    ground.directory("srv", 0);
    ground.role("  - directory: /srv/data\n    protect: true\n");
    ends(&ground, "converge", 0);
    ground.file("srv/data/p", "precious\n", 0o644, 0);
    ground.beside("files/site/index.html", "hello\n");
    for resource in [
        "directory: { path: /srv/data, source: site, purge: true }",
        "file: { path: /srv/data/p, state: absent }",
        "directory: { path: /srv, source: site, purge: true }",
    ] {
        ground.beside("roles/other.yml", &format!("role: other\nresources:\n  - {resource}\n"));
        for command in ["plan", "converge"] {
            let output = ground.role_run("other", command);
            let said = said(&output);
            assert_eq!(output.status.code(), Some(3), "{said}");
            assert!(said.contains("directory:/srv/data is protected"), "{said}");
        }
        assert_eq!(text(&ground, "srv/data/p"), "precious\n");
    }
    ground.role("  - directory: { path: /srv/data, source: site, purge: true }\n    protect: true\n");
    converges(&ground);
    assert_eq!(names(&ground, "srv/data"), ["index.html"]);
}

/// `cases/attacks/20-temp-name-collision`
#[test]
fn no_users_file_has_the_name_of_a_temporary_one() {
    let ground = Ground::empty();
    ground.file("srv/.a.glrl", "the user's own\n", 0o644, 0);
    ground.file("srv/a", "old\n", 0o644, 0);
    ground.link("srv/l", "x", 0);
    ground.file("srv/.l.glrl", "the user's own\n", 0o644, 0);
    ground.role("  - file: { path: /srv/a, content: \"x\\n\" }\n  - link: { path: /srv/l, target: \"y\" }\n");
    converges(&ground);
    assert_eq!(
        text(&ground, "srv/.a.glrl") + &text(&ground, "srv/.l.glrl"),
        "the user's own\nthe user's own\n"
    );
    ground.role("  - file: { path: /srv/.b.glrl, content: \"y\\n\" }\n  - file: { path: /srv/b, content: \"x\\n\" }\n");
    converges(&ground);
    assert_eq!(names(&ground, "srv"), [".a.glrl", ".b.glrl", ".l.glrl", "a", "b", "l"]);
}

/// What is another user's once its directory is, in one run and as planned.
#[test]
fn a_tree_changes_its_owner() {
    let ground = Ground::empty();
    ground.directory("srv", 0);
    for file in ["index.html", "css/site.css", "css/deep/more.css"] {
        ground.beside(&format!("files/site/{file}"), "hello\n");
    }
    let role = |owner: u32| {
        format!(
            "  - directory: {{ path: /srv/app, source: site, owner: \"{owner}\", mode: \"0750\", file_mode: \"0640\" }}
  - file: {{ path: /srv/app/conf, content: x, owner: \"{owner}\", mode: \"0600\" }}
"
        )
    };
    for owner in [0, EVE, 0] {
        ground.role(&role(owner));
        let said = converges(&ground);
        assert!(said.contains("changed 2") && !said.contains("drift"), "{said}");
        for path in [
            "srv/app",
            "srv/app/css/deep",
            "srv/app/css/deep/more.css",
            "srv/app/conf",
        ] {
            assert_eq!(ground.at(path).metadata().unwrap().uid(), owner, "{path}");
        }
    }
}
