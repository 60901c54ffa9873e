//! Everything a disk can carry against everything a role can want of it, each with its outcome written down; and after every refusal
//! the disk is what it was, to the byte.

use std::fmt::Write;

use glrl::system::Refused;
use serde_json::{Value, json};

use super::{alone, contents::cases, loops::Loop, plan, resource};

/// What a role wants of the device.
fn wishes(device: &str) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("PV", "volume_group", json!({"name": "glrltest", "devices": [device]})),
        ("xfs", "filesystem", json!({"device": device, "type": "xfs"})),
        ("ext4", "filesystem", json!({"device": device, "type": "ext4"})),
        (
            "labelled ext4",
            "filesystem",
            json!({"device": device, "type": "ext4", "label": "mine"}),
        ),
        (
            "consent to a PV",
            "filesystem",
            json!({"device": device, "type": "xfs", "wipe": {"signature": "LVM2_member", "uuid": physical_volume(device)}}),
        ),
        (
            "consent to other",
            "filesystem",
            json!({"device": device, "type": "btrfs", "wipe": {"signature": "jfs", "uuid": "1"}}),
        ),
        (
            "mount",
            "mount",
            json!({"path": "/glrl-test/mnt", "device": device, "persist": false}),
        ),
    ]
}

/// The UUID of a physical volume, empty if it is none.
fn physical_volume(device: &str) -> String {
    let output = std::process::Command::new("blkid")
        .args(["-p", "-o", "value", "-s", "UUID", device])
        .output();
    String::from_utf8_lossy(&output.expect("blkid").stdout)
        .trim()
        .to_owned()
}

#[test]
fn every_content_against_every_wish() {
    let _alone = alone();
    let mut table = String::new();
    for case in cases() {
        let disk = Loop::with(case.size, case.options);
        let guard = (case.make)(&disk);
        writeln!(table, "{}", case.name).expect("a string");
        for (name, kind, properties) in wishes(&disk.path) {
            let before = disk.hash();
            let wish = resource(kind, properties).expect("a right resource");
            let outcome = match plan(&*wish) {
                Ok(plan) if plan.is_empty() => "as declared".to_owned(),
                Ok(plan) => format!("{}: {}", plan.action, super::programs(&plan).join("; ")),
                Err(error) => match error.downcast_ref::<Refused>() {
                    Some(refused) => format!("REFUSED: {}", refused.what),
                    None => format!("error: {error:#}"),
                },
            };
            assert_eq!(disk.hash(), before, "{} was changed by planning {name}", case.name);
            writeln!(table, "    {name:<16} {outcome}").expect("a string");
        }
        drop(guard);
    }
    insta::with_settings!({filters => vec![
        (r"/dev/loop\d+", "/dev/loopN"),
        (r"\bloop\d+", "loopN"),
        (r"/tmp/\.tmp\w+", "/tmp/DIR"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID"),
        (r"uuid \w{6}(-\w{4}){5}-\w{6}", "uuid PV-UUID"),
        (r"uuid [0-9A-F]{4}-[0-9A-F]{4}", "uuid VFAT-ID"),
        (r"uuid [0-9a-f]{8}\)", "uuid ID)"),
    ]}, {
        insta::assert_snapshot!(table);
    });
}

/// Consent that names what is there erases that, and nothing that is named otherwise.
#[test]
fn what_is_named_is_destroyed() {
    let _alone = alone();
    for name in ["ext4", "swap", "GPT without partitions", "LUKS", "vfat"] {
        let case = cases().into_iter().find(|case| case.name == name).expect("a case");
        let disk = Loop::new(case.size);
        (case.make)(&disk);
        let node = glrl::system::LocalNode::live().expect("this machine");
        let found = glrl::system::Probe::block(&node, &disk.device()).expect("a device");
        let glrl::system::Reading::Known(Some(block)) = found else {
            panic!("no device")
        };
        let glrl::system::Contents::Known(signature) = block.contents else {
            panic!("{name}: {:?}", block.contents)
        };
        let wish = |uuid: &str| {
            let wipe = json!({"signature": signature.what, "uuid": uuid});
            resource("filesystem", json!({"device": disk.path, "type": "xfs", "wipe": wipe})).expect("a right resource")
        };
        let before = disk.hash();
        let error = plan(&*wish("00000000-0000-0000-0000-000000000000")).expect_err("another uuid");
        assert!(error.is::<Refused>() && disk.hash() == before, "{name}: {error:#}");
        super::converge(&*wish(&signature.uuid.clone().unwrap_or_default()))
            .unwrap_or_else(|error| panic!("{name}: {error:#}"));
    }
}
