//! The programs that say what is on a device: when one fails, talks nonsense, lies or is missing, nothing is done, and the cause is told.

use super::{
    alone,
    apart::Apart,
    groups::Group,
    loops::{Loop, sh},
};

const WISHES: [&str; 5] = ["volume_group", "logical_volume", "filesystem", "mount", "swap"];

/// How a program is not itself, and what is said about it: by lvm, blkid and wipefs.
const FAILURES: [(&str, Option<&str>, [&str; 3]); 4] = [
    (
        "fails",
        Some("echo a cosmic ray >&2; exit 5"),
        ["a cosmic ray", "a cosmic ray", "a cosmic ray"],
    ),
    (
        "talks nonsense",
        Some("printf '{\"report\": [{'"),
        ["not the JSON", "gives no type", "reading what wipefs says"],
    ),
    (
        "says nothing",
        Some(":"),
        ["not the JSON", "gives no type", "wipefs says nothing"],
    ),
    (
        "is missing",
        None,
        ["install lvm2", "blkid is not installed", "wipefs is not installed"],
    ),
];

/// Which of them a wish asks; the other cells of the table must be none the worse.
fn asks(wish: &str, program: &str) -> bool {
    match wish {
        "volume_group" => true,
        "logical_volume" => program == "lvm",
        _ => program != "lvm",
    }
}

#[test]
fn a_program_that_is_not_itself_is_told_and_nothing_is_done() {
    let _alone = alone();
    let (empty, filled, volume) = (Loop::new(64 << 20), Loop::new(64 << 20), Loop::new(64 << 20));
    sh("mkfs.ext4", &["-q", &filled.path]);
    let group = Group("glrlstandins");
    sh("vgcreate", &["--quiet", group.0, &volume.path]);
    let target = tempfile::tempdir().expect("a directory");
    let target = target.path().display();
    let properties = |wish: &str| match wish {
        "volume_group" => format!("{{ name: glrlother, devices: [{}] }}", empty.path),
        "logical_volume" => format!("{{ name: new, volume_group: {}, size: 20MiB }}", group.0),
        "filesystem" => format!("{{ device: {}, type: ext4 }}", empty.path),
        "mount" => format!("{{ path: {target}, device: {}, persist: false }}", filled.path),
        "swap" => format!("{{ path: {}, persist: false }}", empty.path),
        _ => panic!("no wish {wish}"),
    };
    let contents = || [&empty, &filled, &volume].map(Loop::hash);
    let before = contents();
    let mut wrong = Vec::new();
    for (n, program) in ["lvm", "blkid", "wipefs"].into_iter().enumerate() {
        for (how, script, causes) in FAILURES {
            let apart = Apart::new().program(program, script);
            for wish in WISHES {
                let resources = format!("  - {wish}: {}\n", properties(wish));
                let asked = asks(wish, program);
                let ended = apart.glrl(if asked { "converge" } else { "plan" }, &resources);
                let right = if asked {
                    ended.status == Some(3) && ended.said.contains(causes[n])
                } else {
                    ended.status == Some(0)
                };
                if !right {
                    wrong.push(format!("{wish}, {program} {how}: {:?} {}", ended.status, ended.said));
                }
            }
            assert_eq!(
                contents(),
                before,
                "{program} {how}, and something was written: {wrong:?}"
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// One of the two that have to agree says that there is nothing, where there is something.
#[test]
fn a_program_that_lies_is_found_out() {
    let _alone = alone();
    let disk = Loop::new(64 << 20);
    sh("mkfs.ext4", &["-q", &disk.path]);
    let before = disk.hash();
    let resources = format!("  - filesystem: {{ device: {}, type: btrfs }}\n", disk.path);
    for (program, lie) in [("blkid", "exit 2"), ("wipefs", "echo '{\"signatures\": []}'")] {
        let ended = Apart::new().program(program, Some(lie)).glrl("converge", &resources);
        assert!(
            ended.status == Some(3) && ended.said.contains("ext4"),
            "{program}: {}",
            ended.said
        );
        assert_eq!(disk.hash(), before, "{program}");
    }
}

/// On a node that was installed anew the disk carries all and the programs are missing: what is there is known after their package.
#[test]
fn a_program_that_a_package_brings_is_waited_for() {
    let _alone = alone();
    let (filled, volume) = (Loop::new(64 << 20), Loop::new(64 << 20));
    sh("mkfs.ext4", &["-q", &filled.path]);
    let group = Group("glrlreinstalled");
    sh("vgcreate", &["--quiet", group.0, &volume.path]);
    for (program, resource) in [
        (
            "lvm",
            format!("volume_group: {{ name: {}, devices: [{}] }}", group.0, volume.path),
        ),
        (
            "lvm",
            format!(
                "logical_volume: {{ name: new, volume_group: {}, size: 20MiB }}",
                group.0
            ),
        ),
        (
            "blkid",
            format!("filesystem: {{ device: {}, type: ext4 }}", filled.path),
        ),
        ("wipefs", format!("swap: {{ path: {}, persist: false }}", filled.path)),
    ] {
        let apart = Apart::new().program(program, None);
        // Of a package that is not installed here, nor anywhere.
        let with = format!("  - package: glrl-brings-it\n  - {resource}\n    needs: [package:glrl-brings-it]\n");
        let ended = apart.glrl("plan", &with);
        assert!(
            ended.status == Some(0) && ended.said.contains("after package:glrl-brings-it"),
            "{program}, {resource}: {:?} {}",
            ended.status,
            ended.said
        );
        let ended = apart.glrl("plan", &format!("  - {resource}\n"));
        assert_eq!(ended.status, Some(3), "{program}, {resource}: {}", ended.said);
    }
}
