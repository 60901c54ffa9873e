//! What is packed comes out of the unpacker, and of tar(1), as it was.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use super::{Owner, pack, unpack::unpack};
use crate::{
    backup::{Recipient, config::ArchiveSettings, files::List, interrupt::Interrupt, made_up},
    system::programs::Program,
};

/// A tree with all that a datadir may hold, and more holes than one sparse header takes.
fn tree(root: &Path) {
    fs::create_dir_all(root.join("schema")).unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join("lost+found")).unwrap();
    fs::write(root.join("schema/small"), "small").unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("x".repeat(150)), "a name that takes two headers").unwrap();
    let noise: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(root.join("large"), noise).unwrap();
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len(256 << 20).unwrap();
    for extent in 0..60_u64 {
        sparse.write_all_at(&[7; 9000], extent * (4 << 20) + 5).unwrap();
    }
    File::create(root.join("hole")).unwrap().set_len(5 << 20).unwrap();
    symlink("../nothing", root.join("schema/link")).unwrap();
    std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
}

fn packed(root: &Path, to: &Path) -> super::Packed {
    packed_for(root, to, &[])
}

fn packed_for(root: &Path, to: &Path, recipients: &[Recipient]) -> super::Packed {
    let mut file = File::create(to).unwrap();
    let settings = ArchiveSettings {
        level: 1,
        threads: Some(2),
    };
    let left_out = |path: &Path| path == Path::new("lost+found");
    pack(
        root,
        left_out,
        &mut file,
        &settings,
        recipients,
        &Interrupt::default(),
        &mut |_, _, _| Ok(()),
    )
    .unwrap()
}

/// Those who know the format, and not glrl, get at it.
#[test]
fn age_decrypts_it() {
    let directory = tempfile::tempdir().unwrap();
    let (root, archive, opened) = (
        directory.path().join("root"),
        directory.path().join("archive"),
        directory.path().join("opened"),
    );
    tree(&root);
    let (key, other) = (
        made_up::key(directory.path(), "key"),
        made_up::key(directory.path(), "other"),
    );
    let recipients = [key.recipients.clone(), other.recipients].concat();
    let sealed = packed_for(&root, &archive, &recipients);
    assert_eq!(sealed.digests.bytes, fs::metadata(&archive).unwrap().len());
    Program::new("age")
        .args(["-d", "-i"])
        .args([&**key.identity_file.as_ref().unwrap()])
        .args(["-o"])
        .args([&opened, &archive])
        .stdout()
        .unwrap();
    packed(&root, &archive);
    assert!(same(&opened, &archive));
}

fn list(packed: &super::Packed) -> List {
    packed
        .files
        .iter()
        .map(|file| (file.path.clone(), file.clone()))
        .collect()
}

/// Whether two files are one in contents; holes of both stay unread only if they are none.
fn same(a: &Path, b: &Path) -> bool {
    Program::new("cmp").args([a, b]).output().unwrap().status.success()
}

#[test]
fn what_is_packed_is_unpacked() {
    let directory = tempfile::tempdir().unwrap();
    let (root, into, archive) = (
        directory.path().join("root"),
        directory.path().join("into"),
        directory.path().join("archive"),
    );
    tree(&root);
    let packed = packed(&root, &archive);
    assert_eq!(packed.left_out, ["lost+found", "socket"]);
    assert_eq!(packed.digests.bytes, fs::metadata(&archive).unwrap().len());
    // Sixty pieces of 9,000 bytes in blocks of 4 KiB, not 256 MiB.
    assert!(packed.stored < 13_000_000 + 60 * 16_384, "{}", packed.stored);

    fs::create_dir(&into).unwrap();
    let owner = Owner {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
    };
    let decoder = zstd::Decoder::new(File::open(&archive).unwrap()).unwrap();
    let found = unpack(
        decoder,
        &list(&packed),
        Some((&into, owner)),
        Path::new("/x"),
        &mut |_, _| Ok(()),
    )
    .unwrap();
    assert_eq!((found.wrong.as_slice(), found.intact), ([].as_slice(), 6));
    for file in &packed.files {
        assert!(same(&root.join(&file.path), &into.join(&file.path)), "{}", file.path);
    }
    assert!(fs::metadata(into.join("sparse")).unwrap().blocks() * 512 < 100 << 20);
    assert!(into.join("empty").is_dir());
    assert_eq!(
        fs::read_link(into.join("schema/link")).unwrap(),
        Path::new("../nothing")
    );
}

#[test]
fn tar_reads_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let (root, into, archive) = (
        directory.path().join("root"),
        directory.path().join("into"),
        directory.path().join("archive"),
    );
    tree(&root);
    let packed = packed(&root, &archive);
    fs::create_dir(&into).unwrap();
    let plain = directory.path().join("plain.tar");
    zstd::stream::copy_decode(File::open(&archive).unwrap(), File::create(&plain).unwrap()).unwrap();
    Program::new("tar")
        .args(["-x", "-f"])
        .args([&plain])
        .args(["-C"])
        .args([&into])
        .stdout()
        .unwrap();
    for file in &packed.files {
        assert!(same(&root.join(&file.path), &into.join(&file.path)), "{}", file.path);
    }
}

#[test]
fn the_same_tree_gives_the_same_archive() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    tree(&root);
    let one = packed(&root, &directory.path().join("1"));
    let two = packed(&root, &directory.path().join("2"));
    assert_eq!(one.digests, two.digests);
}

/// Some have a datadir's group passed on by setgid directories. What is unpacked may not have such a bit, so nothing is packed with one.
#[test]
fn what_is_setgid_comes_out_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let [root, into, archive] = ["root", "into", "archive"].map(|name| directory.path().join(name));
    fs::create_dir_all(root.join("schema")).unwrap();
    fs::write(root.join("schema/t.ibd"), "rows").unwrap();
    for (path, mode) in [("schema/t.ibd", 0o6640), ("schema", 0o2750), ("", 0o2755)] {
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    let packed = packed(&root, &archive);
    fs::create_dir(&into).unwrap();
    let owner = Owner {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
    };
    let decoder = zstd::Decoder::new(File::open(&archive).unwrap()).unwrap();
    let into_it = Some((into.as_path(), owner));
    let found = unpack(decoder, &list(&packed), into_it, Path::new("/x"), &mut |_, _| Ok(())).unwrap();
    assert_eq!((found.wrong.as_slice(), found.intact), ([].as_slice(), 1));
    let mode = |path: &str| fs::metadata(into.join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("schema"), mode("schema/t.ibd")), (0o750, 0o640));
}
