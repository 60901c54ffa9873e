//! What is packed comes out of the unpacker, and of tar(1), as it was.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use glrl_node::system::programs::Program;

use crate::{
    fixtures,
    model::{interrupt::Interrupt, owner::Owner, recipient::Recipient},
    settings::ArchiveSettings,
    store::{
        archive::{attributes::Owners, pack::pack, unpack::unpack},
        files::List,
    },
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

fn packed(root: &Path, to: &Path) -> crate::store::archive::pack::Packed {
    packed_for(root, to, &[])
}

fn packed_for(root: &Path, to: &Path, recipients: &[Recipient]) -> crate::store::archive::pack::Packed {
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
        fixtures::key(directory.path(), "key"),
        fixtures::key(directory.path(), "other"),
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

fn list(packed: &crate::store::archive::pack::Packed) -> List {
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
        Some((&into, Owners::new(owner, None, Path::new("")))),
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
    let into_it = Some((into.as_path(), Owners::new(owner, None, Path::new(""))));
    let found = unpack(decoder, &list(&packed), into_it, Path::new("/x"), &mut |_, _| Ok(())).unwrap();
    assert_eq!((found.wrong.as_slice(), found.intact), ([].as_slice(), 1));
    let mode = |path: &str| fs::metadata(into.join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("schema"), mode("schema/t.ibd")), (0o750, 0o640));
}

/// Access control lists and extended attributes, as tar knows them too; a value with a line feed among them.
#[test]
fn lists_and_attributes_come_back() {
    // A tmpfs may have no attributes of users.
    let directory = tempfile::tempdir_in(std::env::current_exe().unwrap().parent().unwrap()).unwrap();
    let [root, into, by_tar, archive] = ["root", "into", "by_tar", "archive"].map(|name| directory.path().join(name));
    for made in [&root, &root.join("schema"), &into, &by_tar] {
        fs::create_dir(made).unwrap();
    }
    for file in ["schema/t.ibd", "sparse"] {
        fs::write(root.join(file), "rows").unwrap();
    }
    File::options()
        .write(true)
        .open(root.join("sparse"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    let list = |entries: &[(u16, u16, u32)]| {
        let entries = entries.iter().flat_map(|(tag, bits, number)| {
            [
                tag.to_le_bytes().to_vec(),
                bits.to_le_bytes().to_vec(),
                number.to_le_bytes().to_vec(),
            ]
            .concat()
        });
        [2_u32.to_le_bytes().to_vec(), entries.collect()].concat()
    };
    let none = u32::MAX;
    let of_file = list(&[
        (1, 6, none),
        (2, 4, 4711),
        (4, 4, none),
        (8, 6, 815),
        (16, 6, none),
        (32, 0, none),
    ]);
    let of_directory = list(&[(1, 7, none), (2, 5, 4711), (4, 5, none), (16, 5, none), (32, 0, none)]);
    let wanted: Vec<(&str, &str, &[u8])> = vec![
        ("schema/t.ibd", "user.note", b"one\ntwo\n\xff\0"),
        ("sparse", "user.plain", b"x"),
        ("schema/t.ibd", "system.posix_acl_access", &of_file),
        ("schema", "system.posix_acl_default", &of_directory),
    ];
    for (path, name, value) in &wanted {
        xattr::set(root.join(path), name, value).unwrap();
    }
    if nix::unistd::geteuid().is_root() {
        // What gives rights by itself is not taken, and named.
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        xattr::set(root.join("sparse"), "security.capability", &capability).unwrap();
    }
    let packed = packed(&root, &archive);
    if nix::unistd::geteuid().is_root() {
        assert_eq!(packed.without, ["sparse"]);
    }
    let owner = Owner {
        uid: nix::unistd::getuid().as_raw(),
        gid: nix::unistd::getgid().as_raw(),
    };
    let decoder = zstd::Decoder::new(File::open(&archive).unwrap()).unwrap();
    let owners = Owners::new(owner, None, Path::new("schema"));
    let found = unpack(
        decoder,
        &crate::store::archive::tests::list(&packed),
        Some((&into, owners)),
        Path::new("/x"),
        &mut |_, _| Ok(()),
    )
    .unwrap();
    assert_eq!(
        (found.wrong.as_slice(), found.warnings.as_slice()),
        ([].as_slice(), [].as_slice())
    );
    let plain = directory.path().join("plain.tar");
    zstd::stream::copy_decode(File::open(&archive).unwrap(), File::create(&plain).unwrap()).unwrap();
    Program::new("tar")
        .args(["-x", "--numeric-owner", "--xattrs", "--acls", "-f"])
        .args([&plain])
        .args(["-C"])
        .args([&by_tar])
        .stdout()
        .unwrap();
    for (path, name, value) in &wanted {
        for place in [&into, &by_tar] {
            let found = xattr::get(place.join(path), name).unwrap();
            assert_eq!(
                found.as_deref(),
                Some(*value),
                "{name} of {}",
                place.join(path).display()
            );
        }
    }
    assert_eq!(xattr::get(into.join("sparse"), "security.capability").unwrap(), None);
}

/// The account's files are this node's account's, and nobody else's are. Only root can give files away.
#[test]
fn only_what_was_the_servers_is_given_to_the_server() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let [root, archive] = ["root", "archive"].map(|name| directory.path().join(name));
    let files = [
        ("data/mysql/user.frm", 112, 118, 0o660),
        ("data/roots", 0, 0, 0o640),
        ("data/roots_of_group", 0, 118, 0o640),
        ("data/of_root_group", 112, 0, 0o600),
        ("www", 33, 33, 0o444),
        ("number", 27, 27, 0o600),
        ("closed", 33, 33, 0o000),
    ];
    fs::create_dir_all(root.join("data/mysql")).unwrap();
    let own = |path: &str, uid, gid, mode| {
        std::os::unix::fs::chown(root.join(path), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    for (path, uid, gid, mode) in files {
        fs::write(root.join(path), "x").unwrap();
        own(path, uid, gid, mode);
    }
    own("data/mysql", 112, 118, 0o500);
    own("data", 0, 118, 0o1750);
    own("", 33, 0, 0o711);
    symlink("mysql", root.join("data/link")).unwrap();
    std::os::unix::fs::lchown(root.join("data/link"), Some(112), Some(118)).unwrap();
    let packed = packed(&root, &archive);
    let here = Owner { uid: 27, gid: 28 };
    // As the manifest says it, and as it is learnt from the archive.
    for was in [Some(Owner { uid: 112, gid: 118 }), None] {
        let into = tempfile::tempdir().unwrap();
        let owners = Owners::new(here, was, Path::new("data"));
        let decoder = zstd::Decoder::new(File::open(&archive).unwrap()).unwrap();
        let found = unpack(
            decoder,
            &list(&packed),
            Some((into.path(), owners)),
            Path::new("/x"),
            &mut |_, _| Ok(()),
        );
        let found = found.unwrap();
        assert_eq!(found.wrong, Vec::<String>::new());
        let said = &found.warnings[..];
        assert!(
            said.len() == 1
                && said[0].starts_with("the number 27 was another account's")
                && said[0].contains("1 file of that number, among them number;"),
            "{said:?}"
        );
        found
            .root
            .unwrap()
            .give(into.path(), false, &found.owners.unwrap())
            .unwrap();
        let numbers = |path: &str| {
            let meta = fs::symlink_metadata(into.path().join(path)).unwrap();
            (meta.uid(), meta.gid(), meta.mode() & 0o7777)
        };
        for (path, numbers_here) in [
            ("data/mysql/user.frm", (27, 28, 0o660)),
            ("data/roots", (0, 0, 0o640)),
            ("data/roots_of_group", (0, 28, 0o640)),
            ("data/of_root_group", (27, 0, 0o600)),
            ("www", (33, 33, 0o444)),
            ("number", (27, 27, 0o600)),
            ("closed", (33, 33, 0o000)),
            ("data/mysql", (27, 28, 0o500)),
            ("data", (0, 28, 0o1750)),
            ("", (33, 0, 0o711)),
            ("data/link", (27, 28, 0o777)),
        ] {
            assert_eq!(numbers(path), numbers_here, "{path} {was:?}");
        }
    }
}
