//! The law of the overlay: after the same operations it answers as the real tree does.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use proptest::prelude::*;

use super::{Ancestry, Bare, Overlay};
use crate::{
    system::{
        BlockDevice, Command, Contents, Effect, Entry, FileType, LocalNode, Meta, Mount, Op, Probe, Reading, Signature,
        System,
    },
    value::{AbsPath, DevicePath, Id, Mode, Owner},
};

/// Few names, so that operations meet.
fn a_path() -> impl Strategy<Value = AbsPath> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "link", "deep"]), 1..4)
        .prop_map(|parts| format!("/{}", parts.join("/")).parse().unwrap())
}

fn a_meta() -> impl Strategy<Value = Meta> {
    (
        prop::option::of(prop::sample::select(vec!["0600", "0755", "4711", "2770"])),
        prop::option::of(0_u32..3),
    )
        .prop_map(|(mode, owner)| Meta {
            mode: mode.map(|mode| mode.parse().unwrap()),
            owner: owner.map(Owner::Id),
            group: owner.map(|id| Owner::Id(id + 10)),
        })
}

fn an_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (a_path(), prop::sample::select(vec!["", "one", "other\n"]), a_meta()).prop_map(|(path, text, meta)| {
            Op::WriteFile {
                path,
                contents: text.as_bytes().into(),
                meta,
                validate: None,
            }
        }),
        (a_path(), a_meta()).prop_map(|(path, meta)| Op::MakeDirectory { path, meta }),
        (a_path(), prop::sample::select(vec!["/a", "b", "../a", "/nowhere"])).prop_map(|(path, target)| Op::MakeLink {
            path,
            target: PathBuf::from(target)
        }),
        (a_path(), a_meta()).prop_map(|(path, meta)| Op::SetMeta { path, meta }),
        a_path().prop_map(|path| Op::Remove { path }),
    ]
}

/// A tree with something of each sort in it.
fn a_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |path: &str| tree.path().join(path);
    fs::DirBuilder::new().recursive(true).create(at("a/deep")).unwrap();
    fs::copy("/proc/self/comm", at("a/b")).unwrap();
    fs::set_permissions(at("a/b"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("/a", at("link")).unwrap();
    tree
}

/// All that is compared at a path; `None` where links go round in a circle. A link's mode means nothing.
type Seen = (Option<Entry>, Option<Vec<u8>>, Vec<std::ffi::OsString>);

fn seen(node: &dyn Probe, path: &Path) -> Option<Seen> {
    let mut entry = settled(node.entry(path))?;
    if let Some(Entry {
        file_type: FileType::Link { .. },
        mode,
        ..
    }) = &mut entry
    {
        *mode = Mode::of(0o777);
    }
    let contents = settled(node.contents(path))?.map(|bytes| bytes.to_vec());
    Some((entry, contents, settled(node.list(path))?))
}

fn settled<T>(answer: anyhow::Result<Reading<T>>) -> Option<T> {
    match answer.ok()? {
        Reading::Known(value) => Some(value),
        Reading::Unknown { after } => panic!("after {after}"),
    }
}

fn every_path() -> Vec<PathBuf> {
    let names = ["a", "b", "link", "deep"];
    let mut paths = vec![PathBuf::from("/")];
    for first in names {
        paths.push(Path::new("/").join(first));
        for second in names {
            paths.push(Path::new("/").join(first).join(second));
            paths.extend(
                names
                    .iter()
                    .map(|third| Path::new("/").join(first).join(second).join(third)),
            );
        }
    }
    paths
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_overlay_foresees_the_tree(ops in prop::collection::vec(an_op(), 1..8)) {
        let (before, after) = (a_tree(), a_tree());
        let base = LocalNode::offline(before.path()).unwrap();
        let real = LocalNode::offline(after.path()).unwrap();
        let overlay = Overlay::new(&base);
        for op in &ops {
            // What cannot be done is not planned by any provider.
            if real.execute(op).is_ok() {
                overlay.execute(op).unwrap();
            }
            for path in every_path() {
                prop_assert_eq!(seen(&overlay, &path), seen(&real, &path), "{} after {:?}", path.display(), op);
            }
        }
    }
}

#[test]
fn a_link_keeps_nothing_of_what_it_replaces() {
    let (before, after) = (a_tree(), a_tree());
    let base = LocalNode::offline(before.path()).unwrap();
    let real = LocalNode::offline(after.path()).unwrap();
    let overlay = Overlay::new(&base);
    let path: AbsPath = "/deep".parse().unwrap();
    let meta = Meta {
        group: Some(Owner::Id(10)),
        ..Meta::default()
    };
    let write = Op::WriteFile {
        path: path.clone(),
        contents: b"".as_slice().into(),
        meta,
        validate: None,
    };
    let link = Op::MakeLink {
        path: path.clone(),
        target: "/a".into(),
    };
    for op in [write, link] {
        real.execute(&op).unwrap();
        overlay.execute(&op).unwrap();
        assert_eq!(seen(&overlay, &path), seen(&real, &path), "after {op:?}");
    }
}

fn author() -> Id {
    Id::new("mount", "/data")
}

fn disk(path: &str) -> BlockDevice {
    BlockDevice {
        path: path.into(),
        size: 2 << 30,
        read_only: false,
        in_use: None,
        contents: Contents::Empty,
    }
}

fn mount(target: &str) -> Mount {
    Mount {
        source: "/dev/vg/data".to_owned(),
        root: "/".into(),
        target: target.into(),
        fs_type: "xfs".to_owned(),
        options: Vec::new(),
        device: String::new(),
    }
}

#[test]
fn a_new_filesystem_hides_what_was_there_and_holds_nothing() {
    let tree = a_tree();
    let base = LocalNode::offline(tree.path()).unwrap();
    let overlay = Overlay::new(&base);
    overlay.layer.write().unwrap().mounts = Some(Vec::new().into());
    overlay
        .layer
        .write()
        .unwrap()
        .blocks
        .insert("/dev/vg/data".into(), super::Planned::Known(disk("/dev/vg/data")));
    let xfs = Signature {
        what: "xfs".to_owned(),
        ..Signature::default()
    };
    let made = Effect::Contents("/dev/vg/data".parse().unwrap(), Contents::Known(xfs));
    let mounted = Effect::Mounted(mount("/a"));
    overlay
        .apply(&author(), &Op::Run(Command::new(["mkfs"]).makes([made, mounted])))
        .unwrap();
    assert_eq!(overlay.entry(Path::new("/a/b")).unwrap(), Reading::Known(None));
    assert!(matches!(
        overlay.entry(Path::new("/a")).unwrap(),
        Reading::Known(Some(_))
    ));
    assert_eq!(overlay.list(Path::new("/a")).unwrap(), Reading::Known(Vec::new()));
    overlay
        .execute(&Op::MakeDirectory {
            path: "/a/new".parse().unwrap(),
            meta: Meta::default(),
        })
        .unwrap();
    assert_eq!(
        overlay.list(Path::new("/a")).unwrap(),
        Reading::Known(vec!["new".into()])
    );

    let unmounted = Op::Run(Command::new(["umount"]).makes([Effect::Unmounted("/a".into())]));
    overlay.apply(&author(), &unmounted).unwrap();
    assert_eq!(
        overlay.entry(Path::new("/a/new")).unwrap(),
        Reading::Unknown { after: author() }
    );
}

#[test]
fn a_filesystem_with_a_past_is_unknown_below() {
    let overlay = Overlay::new(&Bare);
    let mounted = Effect::Mounted(mount("/srv"));
    overlay
        .apply(&author(), &Op::Run(Command::new(["mount"]).makes([mounted])))
        .unwrap();
    assert_eq!(
        overlay.contents(Path::new("/srv/x")).unwrap(),
        Reading::Unknown { after: author() }
    );
    let Reading::Known(mounts) = overlay.mounts().unwrap() else {
        panic!()
    };
    assert_eq!(mounts.len(), 1);
}

#[test]
fn volumes_of_a_planned_group_are_planned_devices() {
    let overlay = Overlay::new(&Bare);
    let device: DevicePath = "/dev/vdb".parse().unwrap();
    overlay
        .layer
        .write()
        .unwrap()
        .blocks
        .insert("/dev/vdb".into(), super::Planned::Known(disk("/dev/vdb")));
    let group = Effect::PhysicalVolume {
        device: device.clone(),
        volume_group: "vg".to_owned(),
        extent_size: 4 << 20,
        extents: 511,
    };
    let volume = Effect::LogicalVolume {
        volume_group: "vg".to_owned(),
        name: "data".to_owned(),
        size: 400 * (4 << 20),
        layout: crate::system::Layout::Linear,
        takes: 400,
    };
    overlay
        .execute(&Op::Run(Command::new(["vgcreate"]).makes([group])))
        .unwrap();
    overlay
        .execute(&Op::Run(Command::new(["lvcreate"]).makes([volume])))
        .unwrap();
    let Reading::Known(lvm) = overlay.lvm().unwrap() else {
        panic!()
    };
    let group = lvm.volume_group("vg").unwrap();
    assert_eq!((group.extents, group.free_extents), (511, 111));
    let Reading::Known(Some(disk)) = overlay.block(&device).unwrap() else {
        panic!()
    };
    assert!(matches!(disk.contents, Contents::Known(signature) if signature.what == "LVM2_member"));
    let Reading::Known(Some(data)) = overlay.block(&DevicePath::of_volume("vg", "data")).unwrap() else {
        panic!()
    };
    assert_eq!((data.contents, data.size), (Contents::Empty, 400 * (4 << 20)));
}

#[test]
fn what_is_absent_may_come_with_a_package_only_where_packages_write() {
    let overlay = Overlay::new(&Bare);
    let package = Id::new("package", "thing");
    overlay
        .apply(
            &package,
            &Op::Install {
                packages: vec!["thing".to_owned()],
            },
        )
        .unwrap();
    let waits = Ancestry {
        installs: Some(package.clone()),
        ..Ancestry::default()
    };
    let unknown = Reading::Unknown { after: package };
    assert_eq!(
        overlay.view(&waits).entry(Path::new("/etc/thing.conf")).unwrap(),
        unknown
    );
    assert_eq!(
        overlay.view(&waits).entry(Path::new("/srv/thing")).unwrap(),
        Reading::Known(None)
    );
    assert_eq!(
        overlay.entry(Path::new("/etc/thing.conf")).unwrap(),
        Reading::Known(None),
        "it does not wait for it"
    );
    assert_eq!(
        overlay.entry(Path::new("/etc/thing.d/x")).unwrap(),
        unknown,
        "else it had no directory"
    );
    assert!(matches!(
        overlay.unit(&"thing".parse().unwrap()).unwrap(),
        Reading::Unknown { .. }
    ));
    assert!(matches!(
        overlay.view(&waits).user("thing").unwrap(),
        Reading::Unknown { .. }
    ));
    assert_eq!(overlay.user("thing").unwrap(), Reading::Known(None));
}
