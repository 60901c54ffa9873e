//! Filesystems of many sizes on devices that grow: after growing nothing is left to grow, and what is read from a superblock is what
//! the filesystem's own tools say.

use glrl::system::{Contents, LocalNode, Probe, Reading, Refused, Signature};
use serde_json::json;

use super::{
    alone,
    apart::Apart,
    converge,
    loops::{Loop, Mounted, SIZE, sh, sh_output},
    plan, resource,
};

fn signature(disk: &Loop) -> Signature {
    let node = LocalNode::live().expect("this machine");
    match node.block(&disk.device()).expect("a device") {
        Reading::Known(Some(block)) => match block.contents {
            Contents::Known(signature) => signature,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Steps that end within a block, within and just behind an allocation group, and at odd places.
const STEPS: [u64; 7] = [
    4096 + 512,
    15 << 20,
    16 << 20,
    (17 << 20) + 4096,
    70 << 20,
    128 << 20,
    (333 << 20) + 1536,
];

fn grows(fs_type: &str, size: u64, options: &[&str]) {
    let disk = Loop::new(size);
    let wish = resource(
        "filesystem",
        json!({"device": disk.path, "type": fs_type, "options": options}),
    )
    .expect("right");
    converge(&*wish).expect("made");
    // A fresh filesystem has nothing to grow, mounted or not.
    assert!(plan(&*wish).expect("a plan").warnings.is_empty(), "{fs_type} of {size}");
    let mounted = Mounted::of(&disk.path);
    assert!(
        plan(&*wish).expect("a plan").is_empty(),
        "{fs_type} of {size} wants to grow at once"
    );
    let mut now = size;
    for step in STEPS {
        now += step;
        disk.grow(now);
        converge(&*wish).unwrap_or_else(|error| panic!("{fs_type} of {size} to {now}: {error:#}"));
        let geometry = signature(&disk).geometry.expect("a size");
        // No more than a group's minimum is left unused.
        assert!(
            now - geometry.size() < 64 << 20,
            "{fs_type} of {size} at {now}: {geometry:?}"
        );
    }
    drop(mounted);
    drop(Mounted::of(&disk.path));
}

#[test]
fn what_has_grown_is_as_declared() {
    let _alone = alone();
    for size in [SIZE, SIZE + 4096, SIZE + (5 << 20) + 512, 1 << 30] {
        grows("xfs", size, &[]);
    }
    for size in [SIZE, SIZE + 512, SIZE + (3 << 20) + 4096] {
        grows("btrfs", size, &[]);
    }
}

#[test]
fn what_has_grown_is_as_declared_on_ext4() {
    let _alone = alone();
    if !may_grow_ext4() {
        // A container's root often may not; `node/` has whole machines.
        return;
    }
    for size in [64 << 20, (64 << 20) + 4096, (129 << 20) + 512, (257 << 20) + 8192] {
        grows("ext4", size, &[]);
    }
    grows("ext4", 100 << 20, &["-b", "1024"]);
    grows("ext4", 300 << 20, &["-O", "^resize_inode,meta_bg"]);
    grows("ext4", 300 << 20, &["-O", "^flex_bg"]);
}

/// The kernel wants `CAP_SYS_RESOURCE` for it (capabilities(7)), the 24th.
fn may_grow_ext4() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("procfs");
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .expect("capabilities");
    u64::from_str_radix(effective.trim(), 16).expect("a number") & 1 << 24 != 0
}

#[test]
fn an_unmounted_filesystem_says_that_it_can_grow() {
    let _alone = alone();
    for fs_type in ["xfs", "ext4", "btrfs"] {
        let disk = Loop::new(SIZE);
        let wish = resource("filesystem", json!({"device": disk.path, "type": fs_type})).expect("right");
        converge(&*wish).expect("made");
        disk.grow(SIZE + (128 << 20));
        let before = disk.hash();
        let plan = plan(&*wish).expect("a plan");
        assert!(plan.is_empty() && plan.warnings.len() == 1, "{fs_type}: {plan:?}");
        assert_eq!(disk.hash(), before);
        let kept = resource(
            "filesystem",
            json!({"device": disk.path, "type": fs_type, "grow": false}),
        )
        .expect("right");
        assert!(super::plan(&*kept).expect("a plan").warnings.is_empty());
    }
}

/// By the one run that mounts it; the next has nothing to do.
#[test]
fn an_unmounted_filesystem_grows_once_the_role_mounts_it() {
    let _alone = alone();
    let mut types = vec!["xfs", "btrfs"];
    types.extend(may_grow_ext4().then_some("ext4"));
    for fs_type in types {
        let disk = Loop::new(SIZE);
        let filesystem = json!({"device": disk.path, "type": fs_type});
        converge(&*resource("filesystem", filesystem).expect("right")).expect("made");
        let before = signature(&disk).geometry.expect("a size").size();
        disk.grow(SIZE + (128 << 20));
        let role = |options: &str| {
            format!(
                "  - mount: {{ path: $base/mnt, device: {0}, persist: false, options: [{options}] }}\n
  - filesystem: {{ device: {0}, type: {fs_type} }}\n",
                disk.path
            )
        };
        let apart = Apart::new();
        let base = apart.path().display().to_string();
        apart.role("grows", &role("noatime").replace("$base", &base));
        apart.role("read-only", &role("ro").replace("$base", &base));
        let ended = apart.sh(
            "glrl converge --role $base/read-only.yml; umount $base/mnt; glrl plan --role $base/grows.yml
            glrl converge --role $base/grows.yml; glrl plan --role $base/grows.yml --detailed-exitcode; umount $base/mnt",
        );
        let said = &ended.said;
        assert_eq!(ended.status, Some(0), "{fs_type}: {said}");
        assert_eq!(
            said.matches("can grow to 448MiB when it is mounted for writing")
                .count(),
            1,
            "{fs_type}: {said}"
        );
        assert!(said.contains("-> 448MiB"), "{fs_type}: {said}");
        let after = signature(&disk).geometry.expect("a size").size();
        assert!(after > before + (100 << 20), "{fs_type}: {before} {after}");
    }
}

/// The kernel refuses to grow an ext4 in which it has met an error: the run says so, and what is in it stays.
#[test]
fn a_filesystem_with_errors_is_not_grown() {
    let _alone = alone();
    let disk = Loop::new(SIZE);
    sh("mkfs.ext4", &["-q", &disk.path]);
    sh("debugfs", &["-w", "-R", "set_super_value state 2", &disk.path]);
    disk.grow(SIZE + (128 << 20));
    let before = signature(&disk).geometry;
    let apart = Apart::new();
    let role = format!(
        "  - mount: {{ path: {0}/mnt, device: {1}, persist: false }}\n  - filesystem: {{ device: {1}, type: ext4 }}\n",
        apart.path().display(),
        disk.path
    );
    let ended = apart.glrl("converge", &role);
    assert!(
        ended.status == Some(1) && ended.said.contains("resize2fs"),
        "{:?} {}",
        ended.status,
        ended.said
    );
    assert_eq!(signature(&disk).geometry, before);
}

#[test]
fn what_is_larger_than_its_device_is_refused() {
    let _alone = alone();
    for fs_type in ["xfs", "ext4", "btrfs", "swap"] {
        let disk = Loop::new(SIZE);
        let wish = match fs_type {
            "swap" => resource("swap", json!({"path": disk.path, "persist": false})),
            _ => resource("filesystem", json!({"device": disk.path, "type": fs_type})),
        }
        .expect("right");
        match fs_type {
            "swap" => sh("mkswap", &[&disk.path]),
            _ => drop(converge(&*wish).expect("made")),
        }
        disk.grow(SIZE - (64 << 20));
        let before = disk.hash();
        let error = plan(&*wish).expect_err("a cut device");
        assert!(error.is::<Refused>(), "{fs_type}: {error:#}");
        assert_eq!(disk.hash(), before);
    }
}

#[test]
fn superblocks_say_what_the_tools_say() {
    let _alone = alone();
    let disk = Loop::new(SIZE);
    for (program, arguments) in [
        ("mkfs.xfs", vec!["-q", "-L", "one"]),
        ("mkfs.ext4", vec!["-q", "-F", "-L", "two words"]),
        ("mkfs.ext3", vec!["-q", "-F"]),
        ("mkfs.ext2", vec!["-q", "-F"]),
        ("mkfs.btrfs", vec!["-q", "-f", "-L", "three"]),
    ] {
        disk.write(0, &vec![0; 1 << 20]);
        let mut arguments = arguments;
        arguments.push(&disk.path);
        sh(program, &arguments);
        // By blkid while nothing uses it, by the superblock alone while it is mounted.
        let asleep = signature(&disk);
        let mounted = Mounted::of(&disk.path);
        let awake = signature(&disk);
        assert_eq!(asleep, awake, "{program}");
        assert_eq!(Some(asleep.what.as_str()), program.strip_prefix("mkfs."));
        let tag = |name: &str| {
            sh_output("blkid", &["-p", "-o", "value", "-s", name, &disk.path])
                .trim_end()
                .to_owned()
        };
        assert_eq!(awake.uuid.as_deref(), Some(tag("UUID").as_str()), "{program}");
        let label = (awake.label.is_some()).then(|| tag("LABEL"));
        assert_eq!(awake.label, label, "{program}");
        drop(mounted);
    }
    disk.write(0, &vec![0; 1 << 20]);
    sh("mkswap", &["-L", "four", &disk.path]);
    let asleep = signature(&disk);
    sh("swapon", &[&disk.path]);
    let awake = signature(&disk);
    sh("swapoff", &[&disk.path]);
    assert_eq!(asleep, awake);
}
