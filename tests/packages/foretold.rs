//! What the plan knows of a transaction: what converge would refuse, or could not do.

use super::on_a_copy;

/// Plans, converges, and plans again; each of these must be among what is said, and the exit statuses as they are given.
#[track_caller]
fn expect(script: &str, exits: &[i32], said: &[&str]) {
    let text = on_a_copy(script);
    let found: Vec<i32> = text
        .lines()
        .filter_map(|line| line.strip_prefix("exit ")?.parse().ok())
        .collect();
    assert_eq!(found, exits, "{text}");
    for expected in said {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_name_that_apt_does_not_know_fails_in_the_plan() {
    expect(
        "deb one 1.0; index; role <<< '  - package: no-such-package\n  - package: bash:m68k\n  - package: {name: one, version: \"2.0\"}'; plan; converge",
        &[1, 1],
        &[
            "apt knows no package no-such-package",
            "dpkg --add-architecture m68k",
            "Version '2.0' for 'one' was not found",
        ],
    );
}

#[test]
fn a_repository_that_comes_first_may_know_it() {
    let script = r#"
deb one 1.0; index; mkdir /root/other; R=/root/other; deb two 1.0; (cd $R; dpkg-deb -f two_1.0_all.deb; printf 'Filename: ./two_1.0_all.deb\nSize: %s\nSHA256: %s\n\n' $(stat -c %s two*) $(sha256sum two* | cut -d' ' -f1)) > $R/Packages
role <<'Y'
  - file: { path: /etc/apt/sources.list.d/other.list, content: "deb [trusted=yes] file:/root/other ./\n" }
  - package: two
    needs: file:/etc/apt/sources.list.d/other.list
Y
plan; converge; plan; is two"#;
    expect(script, &[0, 0, 0], &["install ok installed 1.0"]);
}

#[test]
fn a_name_that_others_provide_is_no_package() {
    for (providers, named) in [("one", "as one"), ("one two", "name one of them: two, one")] {
        for there in ["", "have one;"] {
            let debs: String = providers
                .split(' ')
                .map(|name| format!("deb {name} 1.0 'Provides: virtual\\n';"))
                .collect();
            let text = on_a_copy(&format!(
                "{debs} index; {there} role <<< '  - package: virtual'; plan; converge; is one"
            ));
            assert_eq!(text.matches("exit 1").count(), 2, "{text}");
            assert!(
                text.contains("only others that provide it: name one of them"),
                "{named} {text}"
            );
            assert_eq!(
                text.contains("installed 1.0"),
                !there.is_empty(),
                "nothing is installed in its place: {text}"
            );
        }
    }
}

#[test]
fn what_would_go_with_it_is_refused_in_the_plan() {
    expect(
        "deb dep 1.0; deb user 1.0 'Depends: dep\\n'; deb enemy 1.0 'Conflicts: dep\\n'; index; have dep user\n\
         role <<< '  - package: enemy'; plan; converge\n\
         role <<< '  - package: user\n  - package: {name: dep, state: absent}'; plan; converge\n\
         role <<< '  - package: {name: user, state: absent}\n  - package: {name: dep, state: absent}\n  - package: enemy'; plan; converge; plan; is enemy",
        &[3, 3, 3, 3, 0, 0, 0],
        &[
            "installing enemy would also remove user, dep",
            "removing dep would also remove user",
            "install ok installed 1.0",
        ],
    );
}

#[test]
fn two_that_exclude_each_other_are_found_in_one_plan() {
    expect(
        "deb aa 1.0; deb bb 1.0 'Conflicts: aa\\n'; index; role <<< '  - package: aa\n  - package: bb'; plan",
        &[1],
        &["its dependencies cannot be met", "Conflicts: aa"],
    );
}

#[test]
fn an_older_version_is_a_downgrade_and_wants_consent() {
    expect(
        "deb pin 1:1.5-1; deb pin 2.0-1; index; have pin=1:1.5-1\n\
         role <<< '  - package: {name: pin, version: \"2.0-1\"}'; plan; converge; is pin\n\
         role <<< '  - package: {name: pin, version: \"2.0-1\", downgrade: true}'; plan; converge; plan; is pin",
        &[3, 3, 0, 0, 0],
        &[
            "would be downgraded to 2.0-1",
            "this is a downgrade",
            "installed 1:1.5-1",
            "installed 2.0-1",
        ],
    );
}

#[test]
fn planning_writes_nothing_of_apts() {
    let script = "deb one 1.0; deb two 1.0; index; have two; rm -f /var/cache/apt/*.bin; role <<< '  - package: one\n  - package: {name: two, state: absent}'\n\
                  state() { find /var/cache/apt /var/lib/apt /var/lib/dpkg /var/log -printf '%p %s %T@\\n' | sort | sha256sum; }\n\
                  a=$(state); plan; b=$(state); [ \"$a\" = \"$b\" ] && echo unwritten";
    expect(script, &[0], &["unwritten", "2 to change"]);
}

#[test]
fn a_purge_takes_the_conffiles_too_also_those_that_are_left() {
    let conffile = "mkdir -p /root/c/DEBIAN /root/c/etc; echo x > /root/c/etc/conf.test; echo /etc/conf.test > /root/c/DEBIAN/conffiles; \
                    printf 'Package: conf\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n' > /root/c/DEBIAN/control; \
                    dpkg-deb --root-owner-group -Znone -b /root/c $R/conf_1.0_all.deb >/dev/null; index; have conf;";
    for before in ["", "apt-get remove -y -qq conf >/dev/null 2>&1;"] {
        expect(
            &format!(
                "{conffile} {before} role <<< '  - package: {{name: conf, state: purged}}'; plan; converge; plan; ls /etc/conf.test; is conf"
            ),
            &[0, 0, 0],
            &["1 to change", "0 to change", "No such file", "none"],
        );
    }
}
