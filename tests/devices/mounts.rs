//! Real mounts, outside of fstab.

use glrl::system::Refused;
use serde_json::json;

use super::{
    alone,
    apart::Apart,
    converge,
    loops::{Loop, SIZE, sh, sh_output},
    plan, resource,
};

/// Unmounts when the test ends.
struct Target(tempfile::TempDir);

impl Target {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self) -> String {
        format!("{}/sub/mnt", self.0.path().display())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .args(["--quiet", "--recursive", &self.path()])
            .status();
    }
}

fn options(path: &str) -> String {
    sh_output("findmnt", &["--noheadings", "--output", "OPTIONS", path])
}

#[test]
fn a_mount_follows_its_options() {
    let _alone = alone();
    for fs_type in ["xfs", "ext4", "btrfs"] {
        let disk = Loop::new(SIZE);
        converge(&*resource("filesystem", json!({"device": disk.path, "type": fs_type})).expect("right"))
            .expect("made");
        let target = Target::new();
        let path = target.path();
        let wish = |options: &[&str]| {
            let properties = json!({"path": path, "device": disk.path, "persist": false, "options": options});
            resource("mount", properties).expect("right")
        };
        for (given, shown) in [
            (&[][..], "rw,relatime"),
            (&["noatime"][..], "rw,noatime"),
            (&["ro", "nosuid", "nodev"][..], "ro,nosuid,nodev,relatime"),
            (&["defaults"][..], "rw,relatime"),
            (&["noexec", "nodiratime", "strictatime"][..], "rw,noexec,nodiratime"),
        ] {
            converge(&*wish(given)).unwrap_or_else(|error| panic!("{fs_type} {given:?}: {error:#}"));
            assert!(
                options(&path).starts_with(shown),
                "{fs_type} {given:?}: {}",
                options(&path)
            );
            assert!(plan(&*wish(given)).expect("a plan").is_empty());
        }
        let absent = json!({"path": path, "device": disk.path, "state": "absent"});
        let absent = resource("mount", absent).expect("right");
        // fstab of this machine does not have it, so only the mount goes.
        converge(&*absent).expect("unmounted");
        assert!(plan(&*absent).expect("a plan").is_empty());
    }
}

/// What a remount of XFS says yes to and does not do takes another mount; so it is with options that go.
#[test]
fn xfs_follows_options_that_a_remount_ignores() {
    let _alone = alone();
    let disk = Loop::new(SIZE);
    converge(&*resource("filesystem", json!({"device": disk.path, "type": "xfs"})).expect("right")).expect("made");
    let target = Target::new();
    let path = target.path();
    for (given, shown) in [
        (&["logbufs=4"][..], &["logbufs=4", "relatime"][..]),
        (
            &["logbufs=4", "inode32", "noatime"],
            &["logbufs=4", "inode32", "noatime"],
        ),
        (
            &["logbsize=64k", "logbufs=8", "noquota"],
            &["logbsize=64k", "logbufs=8", "relatime"],
        ),
        (&["allocsize=1m", "ro"], &["allocsize=1024k", "ro"]),
        (&["inode64"], &["inode64", "rw"]),
    ] {
        let properties = json!({"path": path, "device": disk.path, "persist": false, "options": given});
        let wish = resource("mount", properties).expect("right");
        converge(&*wish).unwrap_or_else(|error| panic!("{given:?}: {error:#}"));
        let live = options(&path);
        for option in shown {
            assert!(live.trim().split(',').any(|live| live == *option), "{given:?}: {live}");
        }
    }
}

/// With fstab, which is as it was, to the byte, after a run that could not do what it was to do, as is what is mounted.
#[test]
fn what_cannot_be_mounted_otherwise_stays_as_it_is() {
    let _alone = alone();
    let disk = Loop::new(SIZE);
    sh("mkfs.xfs", &["-q", &disk.path]);
    let apart = Apart::new();
    let role = |name: &str, options: &str| {
        let properties = format!(
            "path: {}/mnt, device: {}, options: [{options}]",
            apart.path().display(),
            disk.path
        );
        apart.role(name, &format!("  - mount: {{ {properties} }}\n"));
    };
    role("first", "largeio");
    role("other", "logbufs=4, noatime");
    role("wrong", "logbufs=99");
    let apart = apart.before(
        "cp -a /etc $base/etc; mount --bind $base/etc /etc; printf '# mine\\n\\t/dev/x  /x xfs' > /etc/fstab
        keep() { cat /etc/fstab > $base/$1; findmnt --noheadings $base/mnt >> $base/$1; }
        same() { keep after; cmp $base/before $base/after; }
        glrl converge --role $base/first.yml; keep before",
    );
    for (how, told, script) in [
        (
            "busy",
            "sleep (pid ",
            "(cd $base/mnt; exec sleep 60) & sleep 0.2; glrl converge --role $base/other.yml || status=$?; kill $!",
        ),
        (
            "busy below",
            "tmpfs is mounted on",
            "mkdir $base/mnt/in; mount -t tmpfs tmpfs $base/mnt/in; glrl converge --role $base/other.yml || status=$?",
        ),
        (
            "wrong",
            "failed (exit status: 32)",
            "glrl converge --role $base/wrong.yml || status=$?",
        ),
    ] {
        let ended = apart.sh(&format!("{script}; test $status = 1; same; echo all the same"));
        assert!(
            ended.said.contains("all the same") && ended.said.contains(told),
            "{how}: {}",
            ended.said
        );
    }
    // And what goes is gone, though the kernel does not show that it ever was.
    let ended = apart.sh(
        "mount -o remount,ro $base/mnt; glrl converge --role $base/other.yml; findmnt $base/mnt | grep noatime | grep logbufs=4 | grep -v largeio
        glrl converge --role $base/other.yml --detailed-exitcode; head -c 20 /etc/fstab",
    );
    assert!(
        ended.status == Some(0) && ended.said.ends_with("# mine /dev/x /x x"),
        "{:?} {}",
        ended.status,
        ended.said
    );
}

/// On a filesystem with options of its own, whose mounts propagate as those of a machine that systemd has booted.
#[test]
fn a_directory_is_mounted_a_second_time() {
    let _alone = alone();
    let apart = Apart::new();
    let base = apart.path().display().to_string();
    let role = |name: &str, options: &str, state: &str| {
        let mount = format!("path: {base}/tree/dst, device: {base}/tree/src/, options: [{options}], state: {state}");
        apart.role(
            name,
            &format!("  - mount: {{ {mount} }}\n  - directory: {base}/tree/src\n"),
        );
    };
    role("plain", "bind", "mounted");
    role("read-only", "bind, ro", "mounted");
    role("no-exec", "bind, noexec, nofail", "mounted");
    role("deep", "rbind", "mounted");
    role("loose", "bind", "mounted, persist: false");
    role("loose-deep", "rbind", "mounted, persist: false");
    role("gone", "bind", "absent");
    role("deep-gone", "rbind", "absent");
    let apart = apart.before(
        "test -d $base/etc || cp -a /etc $base/etc; mount --bind $base/etc /etc; printf '# mine' > /etc/fstab
        mkdir -p $base/tree; mount -t tmpfs -o noatime,nosuid tmpfs $base/tree; mount --make-rshared $base/tree; cd $base/tree
        glrl() { command glrl \"$1\" --role $base/$2.yml --detailed-exitcode $3; }
        not() { if \"$@\"; then exit 8; fi; }
        makes() { glrl converge $1 && exit 9 || test $? = 2; glrl plan $1; }
        shown() { findmnt --noheadings --output FSROOT,OPTIONS $base/tree/dst | tail -1; }
        once() { test $(grep -c \" $base/tree/dst \" /proc/self/mountinfo) = 1; test $(grep -c tree/dst /etc/fstab) = 1; }",
    );
    for (how, script) in [
        (
            "plain",
            "makes plain; once; shown | grep -E '^/src +rw,nosuid,noatime'; echo data > src/f; test $(cat dst/f) = data
            grep -x \"$base/tree/src $base/tree/dst none bind 0 0\" /etc/fstab; grep -x '# mine' /etc/fstab",
        ),
        (
            "read-only and back",
            "makes read-only; once; not touch dst/x; touch src/x; makes plain; once; touch dst/x; shown | grep rw,nosuid,noatime",
        ),
        (
            "as a boot mounts it",
            "makes no-exec; shown | grep noexec; umount dst; mount $base/tree/dst; shown | grep noexec; glrl plan no-exec; once
            umount dst; makes no-exec; once",
        ),
        ("gone", "makes plain; makes gone; not mountpoint dst; not grep dst /etc/fstab; test -d src; glrl plan gone"),
        (
            "what is mounted below comes along, and stays where it was",
            "mkdir -p src/in; mount -t tmpfs inner src/in; touch src/in/f; makes plain; not test -e dst/in/f
            makes deep; once; test -e dst/in/f; makes plain; not test -e dst/in/f
            makes deep; makes deep-gone; not mountpoint dst; test -e src/in/f
            umount src/in; makes plain; mount -t tmpfs later src/in; mountpoint dst/in; makes gone; not mountpoint dst; mountpoint src/in",
        ),
        (
            "without a line in fstab",
            "mkdir -p src/in; mount -t tmpfs inner src/in; touch src/in/f; makes loose; not test -e dst/in/f
            makes loose-deep; test -e dst/in/f; makes loose; not test -e dst/in/f; not grep tree/dst /etc/fstab
            umount src/in; mount -t tmpfs later src/in; mountpoint dst/in; glrl plan loose; glrl plan loose-deep",
        ),
        (
            "what others mounted below",
            "makes deep; mount --make-private dst; mkdir dst/own; mount -t tmpfs own dst/own; glrl converge deep-gone || test $? = 3
            mountpoint dst/own; umount dst/own; makes deep-gone",
        ),
        (
            "another directory",
            "mkdir other dst; mount --bind other dst; glrl plan plain > said 2>&1 || test $? = 3; grep -F 'tmpfs[/other] is mounted on' said
            umount dst; rmdir other; mkdir src; mount --bind src dst; rmdir src; glrl plan plain || test $? = 3; makes gone",
        ),
    ] {
        let ended = apart.sh(&format!("{script}; echo all the same"));
        let is_right = ended.status == Some(0) && ended.said.contains("all the same");
        assert!(is_right, "{how}: {:?} {}", ended.status, ended.said);
    }
}

#[test]
fn nothing_is_mounted_over() {
    let _alone = alone();
    let (disk, other) = (Loop::new(SIZE), Loop::new(SIZE));
    for disk in [&disk, &other] {
        sh("mkfs.xfs", &["-q", &disk.path]);
    }
    let target = Target::new();
    let path = target.path();
    let wish = |device: &str, hide: bool| {
        resource(
            "mount",
            json!({"path": path, "device": device, "persist": false, "hide": hide}),
        )
        .expect("right")
    };
    std::fs::create_dir_all(&path).expect("a directory");
    std::fs::write(format!("{path}/precious"), "data").expect("a file");
    let error = plan(&*wish(&disk.path, false)).expect_err("files");
    assert!(
        error.is::<Refused>() && error.to_string().contains("precious"),
        "{error:#}"
    );
    converge(&*wish(&disk.path, true)).expect("hidden");
    let error = plan(&*wish(&other.path, true)).expect_err("another mount");
    assert!(
        error.is::<Refused>() && error.to_string().contains(&disk.path),
        "{error:#}"
    );
    assert!(plan(&*wish(&disk.path, false)).expect("a plan").is_empty());
}

#[test]
fn who_keeps_it_busy_is_named() {
    let _alone = alone();
    let disk = Loop::new(SIZE);
    sh("mkfs.xfs", &["-q", &disk.path]);
    let target = Target::new();
    let path = target.path();
    let properties = json!({"path": path, "device": disk.path, "persist": false});
    converge(&*resource("mount", properties).expect("right")).expect("mounted");
    let mut sleeper = std::process::Command::new("sleep")
        .arg("60")
        .current_dir(&path)
        .spawn()
        .expect("a process");
    let absent = resource("mount", json!({"path": path, "device": disk.path, "state": "absent"})).expect("right");
    let error = format!("{:#}", converge(&*absent).expect_err("busy"));
    let pid = sleeper.id();
    sleeper.kill().and_then(|()| sleeper.wait()).expect("ended");
    assert!(error.contains(&format!("sleep (pid {pid})")), "{error}");
    converge(&*absent).expect("unmounted");
}

/// Below `--root` too, where mounts are nobody's business but may be there.
#[test]
fn a_purge_stops_at_a_mount() {
    let _alone = alone();
    let target = Target::new();
    let path = target.path();
    let file = |name: &str, text: &str| {
        let path = target.0.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    file("files/site/index.html", "hello");
    file(
        "roles/site.yml",
        "role: site\nresources:\n  - directory: { path: /sub, source: site, purge: true }\n",
    );
    std::fs::create_dir_all(&path).expect("a directory");
    sh("mount", &["-t", "tmpfs", "tmpfs", &path]);
    file("sub/mnt/data", "precious");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_glrl"))
        .args(["converge", "--role", "site", "--roles-dir"])
        .arg(target.0.path().join("roles"))
        .arg("--root")
        .arg(target.0.path())
        .output()
        .expect("glrl runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("a filesystem is mounted at /sub/mnt"), "{said}");
    assert_eq!(
        std::fs::read_to_string(format!("{path}/data")).expect("a file"),
        "precious"
    );
}
