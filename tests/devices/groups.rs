//! Volume groups on real devices: LVM's metadata needs no device-mapper.

use glrl::system::{LocalNode, Probe, Reading, Refused};
use serde_json::json;

use super::{
    alone, converge,
    loops::{Loop, sh},
    plan, resource,
};

/// A group that is gone with the test.
pub(super) struct Group(pub(super) &'static str);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::process::Command::new("vgremove")
            .args(["--yes", "--quiet", self.0])
            .status();
    }
}

fn extents(group: &str) -> Option<u64> {
    let Reading::Known(lvm) = LocalNode::live().expect("this machine").lvm().expect("LVM") else {
        panic!("unknown")
    };
    lvm.volume_group(group).map(|group| group.extents)
}

#[test]
fn a_group_is_made_grows_and_takes_in_disks() {
    let _alone = alone();
    // Odd sizes: the number of extents has to be predicted exactly.
    let disks = [
        Loop::new((100 << 20) + 512 * 3),
        Loop::new((64 << 20) - 512),
        Loop::new(36 << 20),
    ];
    let group = Group("glrltest");
    let wish = |count: usize| {
        let devices: Vec<&str> = disks[..count].iter().map(|disk| disk.path.as_str()).collect();
        resource("volume_group", json!({"name": "glrltest", "devices": devices})).expect("right")
    };
    let plan_of = |count| plan(&*wish(count)).expect("a plan");
    converge(&*wish(2)).expect("made");
    assert_eq!(extents("glrltest"), Some(24 + 15));
    assert!(plan_of(2).is_empty());

    // One that is not named is kept, and told about.
    let fewer = plan_of(1);
    assert!(
        fewer.is_empty() && fewer.warnings.iter().any(|warning| warning.contains(&disks[1].path)),
        "{fewer:?}"
    );

    converge(&*wish(3)).expect("taken in");
    assert_eq!(extents("glrltest"), Some(24 + 15 + 8));
    disks[0].grow(200 << 20);
    converge(&*wish(3)).expect("grown");
    assert_eq!(extents("glrltest"), Some(49 + 15 + 8));

    // Less than an extent more is nothing more.
    disks[0].grow((201 << 20) - 4096);
    assert!(plan_of(3).is_empty());
    drop(group);
}

#[test]
fn a_killed_run_is_taken_up() {
    let _alone = alone();
    let disk = Loop::new(100 << 20);
    let group = Group("glrltest");
    // What vgcreate leaves between its two steps.
    sh("pvcreate", &["--quiet", &disk.path]);
    let wish = resource("volume_group", json!({"name": "glrltest", "devices": [disk.path]})).expect("right");
    converge(&*wish).expect("made");
    assert_eq!(extents("glrltest"), Some(24));
    drop(group);
}

#[test]
fn extents_of_any_size_are_foreseen() {
    let _alone = alone();
    for (size, extent, expected) in [
        ((100 << 20) + 512, "1MiB", 99),
        (65 << 20, "64MiB", 1),
        ((65 << 20) + 4096, "8MiB", 8),
        ((33 << 20) - 512, "512KiB", 63),
    ] {
        let disk = Loop::new(size);
        let group = Group("glrltest");
        let properties = json!({"name": "glrltest", "devices": [disk.path], "extent_size": extent});
        let wish = resource("volume_group", properties).expect("right");
        converge(&*wish).unwrap_or_else(|error| panic!("{extent}: {error:#}"));
        assert_eq!(extents("glrltest"), Some(expected), "{extent}");
        drop(group);
    }
}

#[test]
fn a_group_with_a_missing_or_a_cut_disk_is_told_about() {
    let _alone = alone();
    let disks = [Loop::new(100 << 20), Loop::new(100 << 20)];
    let group = Group("glrltest");
    let paths = [disks[0].path.as_str(), disks[1].path.as_str()];
    let both = resource("volume_group", json!({"name": "glrltest", "devices": paths})).expect("right");
    converge(&*both).expect("made");
    disks[0].grow(60 << 20);
    // Whether the cut disk is declared or not, and for a volume that might be given what is cut off.
    let other = resource("volume_group", json!({"name": "glrltest", "devices": [paths[1]]})).expect("right");
    let volume = json!({"name": "new", "volume_group": "glrltest", "size": "8MiB"});
    let volume = resource("logical_volume", volume).expect("right");
    for wish in [&both, &other, &volume] {
        let error = plan(&**wish).expect_err("a cut disk");
        assert!(error.is::<Refused>(), "{error:#}");
    }
    disks[0].grow(100 << 20);

    let driverless = [
        "--driverloaded",
        "n",
        "--activate",
        "n",
        "--zero",
        "n",
        "--wipesignatures",
        "n",
    ];
    sh(
        "lvcreate",
        &[
            &driverless[..],
            &["--quiet", "--extents", "2", "--name", "old", "glrltest", paths[0]],
        ]
        .concat(),
    );
    sh(
        "lvcreate",
        &[
            &driverless[..],
            &["--quiet", "--extents", "2", "--name", "gone", "glrltest", paths[1]],
        ]
        .concat(),
    );
    let label = disks[1].read(0, 1 << 20);
    disks[1].write(0, &vec![0; 1 << 20]);
    // LVM changes nothing in such a group: neither the volumes that grow or come nor the group itself.
    let third = Loop::new(100 << 20);
    let more = resource(
        "volume_group",
        json!({"name": "glrltest", "devices": [paths[0], third.path]}),
    )
    .expect("right");
    let volume = |name: &str, size: &str| {
        let properties = json!({"name": name, "volume_group": "glrltest", "size": size});
        resource("logical_volume", properties).expect("right")
    };
    for wish in [&more, &volume("old", "16MiB"), &volume("new", "8MiB")] {
        let error = plan(&**wish).expect_err("a missing disk");
        let way_out = error
            .downcast_ref::<Refused>()
            .map(|refused| refused.hint.clone())
            .unwrap_or_default();
        assert!(
            way_out.contains("vgreduce --removemissing glrltest"),
            "{error:#}: {way_out}"
        );
    }
    let one = resource("volume_group", json!({"name": "glrltest", "devices": [paths[0]]})).expect("right");
    let plan = plan(&*one).expect("a plan");
    assert!(
        plan.is_empty() && plan.warnings.iter().any(|warning| warning.contains("missing")),
        "{plan:?}"
    );
    // The way out, for what was on the disk is lost here.
    sh("vgreduce", &["--quiet", "--removemissing", "--force", "glrltest"]);
    assert!(super::plan(&*volume("old", "16MiB")).is_ok() && super::plan(&*volume("new", "8MiB")).is_ok());
    assert_eq!(disks[1].read(0, 1 << 20), vec![0; 1 << 20]);
    drop((group, label));
}
