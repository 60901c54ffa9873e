//! Swap on real devices and in real files. Never in this machine's fstab.

use glrl::system::{LocalNode, Probe, Reading};
use serde_json::{Value, json};

use super::{
    alone, converge,
    loops::{Loop, Mounted, sh_output},
    plan, programs, resource,
};

const UUID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

/// Its priority, while the kernel swaps to it.
fn used(path: &str) -> Option<i32> {
    let Reading::Known(swaps) = LocalNode::live().expect("this machine").swaps().expect("/proc/swaps") else {
        panic!("unknown")
    };
    swaps
        .iter()
        .find(|swap| swap.path.to_str() == Some(path))
        .map(|swap| swap.priority)
}

/// Its use ends with the test.
struct Used<'a>(&'a str);

impl Drop for Used<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("swapoff").arg(self.0).output();
    }
}

fn done(properties: Value) -> Vec<String> {
    let wish = resource("swap", properties).expect("right");
    programs(&converge(&*wish).expect("done"))
}

#[test]
fn a_device_is_made_swap_and_used_and_let_go() {
    let _alone = alone();
    let disk = Loop::new(64 << 20);
    let _used = Used(&disk.path);
    let path = disk.path.as_str();
    done(json!({"path": path, "persist": false, "uuid": UUID, "label": "lab", "priority": 7}));
    assert_eq!(used(path), Some(7));
    assert!(sh_output("blkid", &["-p", path]).contains(UUID));

    let again = done(json!({"path": path, "persist": false, "priority": 9}));
    assert_eq!(
        again,
        [format!("swapoff {path}"), format!("swapon --priority 9 {path}")]
    );
    assert_eq!(used(path), Some(9));

    // What is in use is not made over, whatever the role consents to.
    let wipe = json!({"signature": "swap", "uuid": UUID});
    let other = resource(
        "swap",
        json!({"path": path, "persist": false, "label": "other", "wipe": wipe}),
    )
    .expect("right");
    assert!(plan(&*other).is_err());

    done(json!({"path": path, "persist": false, "state": "absent"}));
    assert_eq!(used(path), None);
    assert!(sh_output("blkid", &["-p", path]).contains("TYPE=\"swap\""));
    // A run that was killed after mkswap.
    assert_eq!(
        done(json!({"path": path, "persist": false})),
        [format!("swapon {path}")]
    );
}

#[test]
fn a_file_is_made_whole_or_not_at_all() {
    let _alone = alone();
    let disk = Loop::new(128 << 20);
    sh_output("mkfs.ext4", &["-q", &disk.path]);
    let mounted = Mounted::of(&disk.path);
    let path = mounted.path().join("swap").to_str().expect("UTF-8").to_owned();
    let _used = Used(&path);
    std::fs::write(format!("{path}.glrl-unfinished"), "what a killed run left").expect("a file");
    let properties = json!({"path": path, "size": "20MiB", "persist": false});
    done(properties.clone());
    assert!(used(&path).is_some());
    assert!(done(properties).is_empty());

    // More than there is room for leaves nothing.
    let large = mounted.path().join("large").to_str().expect("UTF-8").to_owned();
    let wish = resource("swap", json!({"path": large, "size": "1GiB", "persist": false})).expect("right");
    assert!(converge(&*wish).is_err());
    let left = mounted.path().read_dir().expect("a directory").flatten();
    let left = left
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("large"))
        .count();
    assert_eq!(left, 0);

    // A file of somebody's is not made swap: the kernel says so, and it stays as it is.
    let note = mounted.path().join("note").to_str().expect("UTF-8").to_owned();
    std::fs::write(&note, "keep me".repeat(1000)).expect("a file");
    let wish = resource("swap", json!({"path": note, "size": "1MiB", "persist": false})).expect("right");
    assert!(converge(&*wish).is_err());
    assert_eq!(
        std::fs::read_to_string(&note).expect("the file"),
        "keep me".repeat(1000)
    );
}
