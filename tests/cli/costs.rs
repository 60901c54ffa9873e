//! What a run that has nothing to do costs, by the system calls that strace(1) sees.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, process::Command};

/// No process is started, and what answers for many resources is read once.
#[test]
#[expect(clippy::disallowed_methods, reason = "the program itself is what is tested")]
fn a_run_without_changes_starts_no_process_and_reads_each_source_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("tree");
    let status = fs::read_to_string("/var/lib/dpkg/status").unwrap();
    for (path, text) in [
        ("var/lib/dpkg/status", status.as_str()),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"),
        ("etc/shadow", "root:*:20000:0:99999:7:::\n"),
        ("etc/group", "root:x:0:\ncrontab:x:100:\n"),
        ("etc/gshadow", "root:*::\n"),
        ("var/spool/cron/crontabs/none", ""),
        ("srv/none", ""),
        ("home/none", ""),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let mut role = "role: costs\nresources:\n".to_owned();
    for package in ["dpkg", "apt", "coreutils", "bash", "passwd"] {
        writeln!(role, "  - package: {package}").unwrap();
    }
    for index in 0..20 {
        writeln!(
            role,
            "  - file: {{ path: /srv/{index}, content: \"{index}\", owner: user{index} }}"
        )
        .unwrap();
        writeln!(role, "  - user: user{index}").unwrap();
        writeln!(role, "  - group: group{index}").unwrap();
        writeln!(
            role,
            "  - cron: {{ name: job{index}, schedule: \"0 2 * * *\", command: \"true\" }}"
        )
        .unwrap();
    }
    let file = directory.path().join("costs.yml");
    fs::write(&file, role).unwrap();
    let glrl = |trace: &Path| {
        let output = Command::new("strace")
            .args(["-f", "-e", "trace=execve,open,openat", "-o"])
            .arg(trace)
            .args([env!("CARGO_BIN_EXE_glrl"), "converge", "--role"])
            .arg(&file)
            .arg("--root")
            .arg(&root)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    let trace = directory.path().join("trace");
    glrl(&trace);
    let said = glrl(&trace);
    assert!(said.contains("changed 0, unchanged 85"), "{said}");

    let trace = fs::read_to_string(&trace).unwrap();
    let programs = trace.lines().filter(|line| line.contains("execve(")).count();
    assert_eq!(programs, 1, "more than glrl itself was started: {trace}");
    let mut opened = BTreeMap::<&str, usize>::new();
    let names = trace.lines().filter_map(|line| line.split('"').nth(1));
    for name in names.filter(|name| !name.starts_with("/proc/")) {
        *opened.entry(name.rsplit('/').next().unwrap_or(name)).or_default() += 1;
    }
    for source in ["status", "passwd", "group"] {
        assert_eq!(opened.get(source), Some(&1), "{source} was opened so often: {trace}");
    }
}
