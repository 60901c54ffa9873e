//! Every type of filesystem, made with a declared label and UUID: both are there afterwards, and another wish is refused.

use glrl::system::Refused;
use serde_json::json;

use super::{
    alone, converge,
    loops::{Loop, Mounted, SIZE, sh_output},
    plan, resource,
};

#[test]
fn a_filesystem_has_the_declared_label_and_uuid() {
    let _alone = alone();
    let long = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";
    for (fs_type, label, uuid, options) in [
        ("xfs", "data set", long, json!(["-K"])),
        ("ext4", "data set", long, json!(["-m", "1"])),
        (
            "btrfs",
            "a label that is longer than others may be",
            long,
            json!(["--metadata=dup"]),
        ),
        ("vfat", "EFI DATA", "1A2B-3C4D", json!(["-F", "32"])),
    ] {
        let disk = Loop::new(SIZE);
        let wish = |label: &str| {
            let properties =
                json!({"device": disk.path, "type": fs_type, "label": label, "uuid": uuid, "options": options});
            resource("filesystem", properties).expect("right")
        };
        converge(&*wish(label)).unwrap_or_else(|error| panic!("{fs_type}: {error:#}"));
        let tag = |name| {
            sh_output("blkid", &["-p", "-o", "value", "-s", name, &disk.path])
                .trim()
                .to_owned()
        };
        assert_eq!(
            (tag("TYPE"), tag("LABEL"), tag("UUID")),
            (fs_type.to_owned(), label.to_owned(), uuid.to_owned())
        );

        disk.grow(SIZE + (8 << 20));
        // Not every kernel here mounts vfat.
        let mounted = (fs_type != "vfat").then(|| Mounted::of(&disk.path));
        let now = plan(&*wish(label)).unwrap_or_else(|error| panic!("{fs_type}: {error:#}"));
        assert!(
            mounted.is_some() || (now.is_empty() && now.warnings.is_empty()),
            "vfat does not grow: {now:?}"
        );
        let error = plan(&*wish("OTHER")).expect_err("another label");
        assert!(error.is::<Refused>(), "{fs_type}: {error:#}");
    }
}
