//! What holds for what the node says of itself: see `src/fuzzing.rs`.
#![expect(clippy::missing_panics_doc, reason = "that is how a contract says no")]

use std::path::Path;

use super::{accounts::Accounts, exports, lvm, mounts, packages::Packages, swaps};
use crate::system::{octal, superblock};

/// Two texts with a line `==` between them.
fn two(text: &str) -> (&str, &str) {
    text.split_once("\n==\n").unwrap_or((text, ""))
}

/// A status file, and what an interrupted dpkg has noted. What is read in two parts is what is read in one, once more changes nothing, and
/// what has to be unpacked again is there.
pub fn dpkg(text: &str) {
    let (status, update) = two(text);
    let read = |parts: &[&str]| {
        let mut packages = Packages::default();
        for part in parts {
            packages.add(part.as_bytes());
        }
        packages.settle();
        packages
    };
    let packages = read(&[status, update]);
    assert_eq!(packages, read(&[&format!("{status}\n\n{update}")]));
    assert_eq!(packages, read(&[status, update, update]));
    for name in packages.to_reinstall() {
        assert!(
            !packages.is_whole(&name),
            "{name} is whole, and is to be unpacked again"
        );
    }
}

/// LVM's report: no number in it leads beyond what a number can be.
pub fn lvm(text: &str) {
    let Ok(lvm) = lvm::parse(text.as_bytes()) else { return };
    for group in &lvm.volume_groups {
        assert!(group.extents.checked_mul(group.extent_size).is_some(), "{group:?}");
        assert!(
            group.free_extents <= group.extents && group.extent_size > 0,
            "{group:?}"
        );
    }
    for volume in &lvm.logical_volumes {
        assert!(
            volume.tags.iter().all(|tag| !tag.is_empty()) && !volume.name.starts_with('['),
            "{volume:?}"
        );
    }
}

/// Tables of the kernel and of the node, by the first line: what a line says reads back when it is written as the kernel would.
pub fn tables(text: &str) {
    let (name, text) = text.split_once('\n').unwrap_or((text, ""));
    match name {
        "mountinfo" => {
            // The kernel writes no field that is empty, and none that could be the hyphen between the two parts.
            let is_field = |field: &str| !field.is_empty() && field != "-";
            for mount in text
                .lines()
                .filter(|line| line.split(' ').filter(|field| !is_field(field)).count() == 1)
                .filter_map(mounts::parse)
            {
                let path = |path: &Path| octal::encode(path.to_str().unwrap());
                let options: Vec<String> = mount.options.iter().map(|option| octal::encode(option)).collect();
                let line = format!(
                    "36 35 {} {} {} {} - {} {} rw",
                    mount.device,
                    path(&mount.root),
                    path(&mount.target),
                    options.join(","),
                    mount.fs_type,
                    octal::encode(&mount.source)
                );
                let mut again = mounts::parse(&line).unwrap_or_else(|| panic!("{line}"));
                again
                    .options
                    .retain(|option| option != "rw" || mount.options.contains(option));
                // An escaped comma parts two options.
                if !mount.options.iter().any(|option| option.contains(',')) {
                    assert_eq!(again, mount, "{line}");
                }
            }
        }
        "swaps" => {
            for swap in text.lines().filter_map(swaps::parse) {
                let line = format!(
                    "{} file 1 0 {}",
                    octal::encode(swap.path.to_str().unwrap()),
                    swap.priority
                );
                assert_eq!(
                    swaps::parse(&line).map(|swap| swap.priority),
                    Some(swap.priority),
                    "{line}"
                );
            }
        }
        "etab" => {
            for export in exports::parse(text) {
                let (path, client) = (octal::encode(&export.path), octal::encode(&export.client));
                let line = format!("{path}\t{client}({})", export.options.join(","));
                assert_eq!(exports::parse(&line), [export], "{line}");
            }
        }
        _ => {
            let (passwd, group) = two(text);
            let accounts = Accounts::parse(passwd, group);
            for user in accounts.users() {
                assert_eq!(accounts.user(&user.name), Some(user));
                assert!(
                    user.groups.is_sorted() && user.uid.is_some() && !user.name.contains([':', '\n']),
                    "{user:?}"
                );
                assert!(
                    user.groups.iter().all(|name| accounts.group(name).is_some()),
                    "{user:?}"
                );
            }
        }
    }
}

/// The head of a device, from pieces at the places that are looked at: what it says of its size can be computed with, and is the same whatever
/// is behind the head.
pub fn superblock(input: &[u8]) {
    const PIECES: [(usize, usize); 4] = [(0, 600), (1024, 600), (4080, 16), (64 << 10, 800)];
    let mut head = vec![0; superblock::HEAD];
    let mut rest = input;
    for (at, length) in PIECES {
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        head[at..at + piece.len()].copy_from_slice(piece);
        rest = behind;
    }
    for length in [0, 511, 1100, 4096, 66_000] {
        superblock::identify(&head[..length]);
    }
    let Some(signature) = superblock::identify(&head) else {
        return;
    };
    assert!(!signature.to_string().contains('\0'));
    let Some(geometry) = signature.geometry else { return };
    let size = geometry.size();
    for device in [0, 1, size, size.saturating_add(geometry.block), 1 << 40, u64::MAX] {
        if let Some(grown) = geometry.grown(device) {
            assert!(
                grown > size && grown <= device,
                "{geometry:?} grows to {grown} on {device}"
            );
        }
    }
}
