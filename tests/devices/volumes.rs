//! Logical volumes as LVM's metadata have them: where device-mapper is missing, LVM still lays out volumes that are not activated.

use std::process::Command;

use glrl::system::{Layout, LocalNode, Lvm, Op, Probe, Reading};
use serde_json::json;

use super::{alone, converge, groups::Group, loops::Loop, plan, resource};

/// Runs what a plan would run, without a kernel that would activate the volume. Says whether LVM did it.
fn lay_out(ops: &[Op]) -> bool {
    let [Op::Run(command)] = ops else { panic!("{ops:?}") };
    let mut words = command.argv.iter().map(String::as_str);
    let program = words.next().expect("a program");
    let mut lvm = Command::new(program);
    lvm.args(["--driverloaded", "n"]);
    if program == "lvcreate" {
        lvm.args(["--activate", "n"]);
    }
    let mut after = "";
    for word in words {
        // What is not active cannot be written to.
        lvm.arg(if matches!(after, "--zero" | "--wipesignatures") {
            "n"
        } else {
            word
        });
        after = word;
    }
    lvm.output().expect("LVM").status.success()
}

fn lvm() -> Lvm {
    match LocalNode::live().expect("this machine").lvm().expect("LVM") {
        Reading::Known(lvm) => (*lvm).clone(),
        Reading::Unknown { after } => panic!("known after {after}"),
    }
}

/// Every size that may not fit, on groups of several shapes: where the plan says that there is room LVM finds it, and where it says no there is none.
#[test]
fn striped_volumes_are_laid_out_as_foreseen() {
    let _alone = alone();
    for (disks, stripes) in [
        (&[5, 5][..], 2),
        (&[9, 4], 2),
        (&[7, 3, 3], 2),
        (&[6, 5, 4], 2),
        (&[6, 5, 4], 3),
        (&[8, 2, 2, 2], 3),
    ] {
        let disks: Vec<Loop> = disks
            .iter()
            .map(|extents| Loop::new((extents + 1) * (4 << 20)))
            .collect();
        let devices: Vec<&str> = disks.iter().map(|disk| disk.path.as_str()).collect();
        let group = Group("glrltest");
        converge(&*resource("volume_group", json!({"name": "glrltest", "devices": devices})).expect("right"))
            .expect("made");
        let all = lvm().volume_group("glrltest").expect("the group").free_extents;
        for extents in ((all / 2).next_multiple_of(stripes)..=all).step_by(usize::try_from(stripes).expect("few")) {
            let shape = format!("{extents} of {all} extents on {} disks, {stripes} stripes", disks.len());
            let wish = |extents: u64| {
                let size = format!("{}MiB", extents * 4);
                let properties = json!({"name": "a", "volume_group": "glrltest", "size": size, "stripes": stripes, "stripe_size": "16KiB"});
                resource("logical_volume", properties).expect("right")
            };
            let Ok(made) = plan(&*wish(extents)) else {
                let size = (extents * 4).to_string() + "m";
                let done = Command::new("lvcreate")
                    .args([
                        "--driverloaded",
                        "n",
                        "--activate",
                        "n",
                        "--zero",
                        "n",
                        "--wipesignatures",
                        "n",
                    ])
                    .args([
                        "--type",
                        "striped",
                        "--stripes",
                        &stripes.to_string(),
                        "--size",
                        &size,
                        "--name",
                        "a",
                        "glrltest",
                    ])
                    .output();
                assert!(!done.expect("LVM").status.success(), "there was room: {shape}");
                continue;
            };
            assert!(lay_out(&made.ops), "there was no room: {shape}");
            let found = lvm();
            let volume = found.logical_volume("glrltest", "a").expect("the volume");
            assert_eq!(
                (volume.size, &volume.layout),
                (
                    extents * (4 << 20),
                    &Layout::Striped {
                        stripes,
                        stripe_size: 16 << 10
                    }
                ),
                "{shape}"
            );
            assert_eq!(
                found.volume_group("glrltest").expect("the group").free_extents,
                all - extents,
                "{shape}"
            );
            assert!(plan(&*wish(extents)).expect("a plan").is_empty(), "{shape}");

            if let Ok(grown) = plan(&*wish(extents + stripes)) {
                assert!(lay_out(&grown.ops), "there was no room to grow: {shape}");
                assert!(plan(&*wish(extents + stripes)).expect("a plan").is_empty(), "{shape}");
            }
            let removed = Command::new("lvremove")
                .args(["--driverloaded", "n", "--yes", "glrltest/a"])
                .output();
            assert!(removed.expect("LVM").status.success());
        }
        drop(group);
    }
}
