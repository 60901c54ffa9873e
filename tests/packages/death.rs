//! dpkg and apt that die, and what they leave: the next run heals it.

use super::on_a_copy;

/// dpkg, killed once its journal says so.
const KILL: &str = r#"
kill_in() { "$@" >/dev/null 2>&1 & p=$!; for i in $(seq 20000); do grep -qs half-installed /var/lib/dpkg/updates/* 2>/dev/null && { kill -9 $p; break; }; kill -0 $p 2>/dev/null || break; done; wait $p 2>/dev/null; }
mark() { perl -0pi -e "s/(Package: $1\nStatus: )[a-z]+ [a-z]+ [a-z-]+/\${1}$2/" /var/lib/dpkg/status; }
"#;

#[track_caller]
fn heals(script: &str, last: &str) {
    let text = on_a_copy(&format!("{KILL}\n{script}"));
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines.contains(&"exit 0") && lines.iter().rev().find(|line| !line.is_empty()) == Some(&last),
        "{text}"
    );
    assert!(!text.contains("exit 1"), "{text}");
}

#[test]
fn a_package_that_dpkg_was_killed_over_is_installed_again() {
    for state in [
        "install reinstreq half-installed",
        "install reinstreq half-configured",
        "deinstall reinstreq half-installed",
        "purge reinstreq half-installed",
        "install ok half-configured",
        "install ok unpacked",
    ] {
        heals(
            &format!(
                "deb one 1.0; index; have one; mark one '{state}'; role <<< '  - package: one'; converge; plan; is one"
            ),
            "install ok installed 1.0",
        );
        heals(
            &format!(
                "deb one 1.0; index; have one; mark one '{state}'; role <<< '  - package: {{name: one, state: absent}}'; converge; plan; is one | cut -d' ' -f3"
            ),
            "none",
        );
    }
}

/// dpkg was to run a package's trigger yet when it ended: both that package and the one that waits for it are finished.
#[test]
fn pending_triggers_are_run() {
    for declared in ["one", "two"] {
        heals(
            &format!(
                "deb one 1.0 '' 'echo $1 >> /root/ran' 'interest glrl-test'; deb two 1.0 '' 'dpkg-trigger glrl-test'; index; have one\n\
                 dpkg --no-triggers -i $R/two_1.0_all.deb; is one | grep -q triggers-pending && is two | grep -q triggers-awaited || echo 'not pending: exit 1'\n\
                 role <<< '  - package: {declared}'; converge; plan; grep -q triggered /root/ran || echo 'not run: exit 1'; is one; is two"
            ),
            "install ok installed 1.0",
        );
    }
}

#[test]
fn a_neighbour_in_such_a_state_keeps_nothing_from_being_installed() {
    for lists in [
        "",
        ": > /var/lib/apt/lists/_root_repo_._Packages; rm -f /var/cache/apt/*.bin;",
    ] {
        heals(
            &format!(
                "deb one 1.0; deb two 1.0; index; have one; mark one 'install reinstreq half-installed'; {lists} role <<< '  - package: two'; converge; plan; is one | grep -q 'install ok installed' || echo 'one: exit 1'; is two"
            ),
            "install ok installed 1.0",
        );
    }
}

#[test]
fn a_neighbour_that_cannot_be_configured_makes_no_other_fail() {
    heals(
        "deb bad 1.0 '' 'exit 1'; deb two 1.0; index; have bad; is bad; role <<< '  - package: two'; converge; plan; is two",
        "install ok installed 1.0",
    );
}

#[test]
fn empty_lists_are_fetched_again() {
    heals(
        "deb one 1.0; index; for list in /var/lib/apt/lists/*_Packages*; do : > $list; done; rm -f /var/cache/apt/*.bin\n\
         role <<< '  - package: one'; converge; plan; is one",
        "install ok installed 1.0",
    );
}

/// SIGKILL of glrl, and SIGHUP of its terminal, end no apt: it comes to its end, and the next run waits for it.
#[test]
fn what_ends_glrl_ends_no_apt() {
    for (signal, wait) in [("KILL", "0.2"), ("TERM", "0"), ("HUP", "0")] {
        heals(
            &format!(
                "deb slow 1.0 '' 'echo begun; echo begun >> /root/begun; sleep 3; echo half; echo half >&2; touch /root/ended'; index\n\
                 role <<< '  - package: slow'; glrl converge --role /root/role.yml >/dev/null 2>&1 & p=$!\n\
                 for i in $(seq 600); do [ -e /root/begun ] && break; sleep 0.1; done; kill -{signal} $p; kill -{signal} -- -$p 2>/dev/null; sleep {wait}\n\
                 converge; [ -e /root/ended ] && [ $(wc -l < /root/begun) = 1 ] || echo 'cut short: exit 1'; plan; is slow"
            ),
            "install ok installed 1.0",
        );
    }
}
