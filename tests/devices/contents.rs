//! What a disk can carry.

use super::loops::{Loop, Mounted, SIZE, sh};

/// Something on a device, made by the tools that make it in the world.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) make: fn(&Loop) -> Option<Guard>,
    /// Options for losetup(8), and a size, where it needs others.
    pub(super) options: &'static [&'static str],
    pub(super) size: u64,
}

/// What has to stay as it is while a case is looked at.
pub(super) enum Guard {
    Mounted(#[expect(dead_code, reason = "it is held")] Mounted),
    Swap(String),
    Partition(String),
    Group(&'static str),
}

impl Drop for Guard {
    fn drop(&mut self) {
        match self {
            Self::Mounted(_) => {}
            Self::Swap(device) => sh("swapoff", &[device]),
            Self::Partition(device) => sh("partx", &["--delete", device]),
            Self::Group(name) => sh("vgremove", &["--yes", "--quiet", name]),
        }
    }
}

const fn case(name: &'static str, make: fn(&Loop) -> Option<Guard>) -> Case {
    Case {
        name,
        make,
        options: &[],
        size: SIZE,
    }
}

#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn cases() -> Vec<Case> {
    vec![
        case("empty", |_| None),
        case("noise without a signature", |disk| {
            let noise: Vec<u8> = (0..1u32 << 18)
                .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
                .collect();
            disk.write(0, &noise);
            None
        }),
        case("xfs", |disk| {
            sh("mkfs.xfs", &["-q", &disk.path]);
            None
        }),
        case("xfs with a dirty log", |disk| {
            sh("mkfs.xfs", &["-q", &disk.path]);
            let mounted = Mounted::of(&disk.path);
            std::fs::write(mounted.path().join("precious"), "data").expect("written");
            // As after a power cut: the log is on the disk, and nothing else is.
            sh(
                "xfs_io",
                &["-x", "-c", "shutdown -f", mounted.path().to_str().expect("UTF-8")],
            );
            None
        }),
        case("xfs, mounted", |disk| {
            sh("mkfs.xfs", &["-q", &disk.path]);
            Some(Guard::Mounted(Mounted::of(&disk.path)))
        }),
        case("ext4", |disk| {
            sh("mkfs.ext4", &["-q", "-L", "precious", &disk.path]);
            None
        }),
        case("ext3", |disk| {
            sh("mkfs.ext3", &["-q", &disk.path]);
            None
        }),
        case("btrfs", |disk| {
            sh("mkfs.btrfs", &["-q", &disk.path]);
            None
        }),
        case("vfat", |disk| {
            sh("mkfs.vfat", &[&disk.path]);
            None
        }),
        case("swap", |disk| {
            sh("mkswap", &[&disk.path]);
            None
        }),
        case("swap, in use", |disk| {
            disk.write(0, &vec![0; 1 << 20]);
            sh("mkswap", &[&disk.path]);
            sh("swapon", &[&disk.path]);
            Some(Guard::Swap(disk.path.clone()))
        }),
        case("MBR", |disk| {
            sh(
                "sh",
                &[
                    "-c",
                    &format!("echo 'label: dos\n,,L' | sfdisk --quiet --no-reread {}", disk.path),
                ],
            );
            None
        }),
        case("GPT without partitions", |disk| {
            sh("sgdisk", &["--clear", &disk.path]);
            None
        }),
        case("GPT", |disk| {
            sh("sgdisk", &["--new", "1:0:0", &disk.path]);
            None
        }),
        case("GPT, with a partition that the kernel has", |disk| {
            sh("sgdisk", &["--new", "1:0:0", &disk.path]);
            sh("partx", &["--add", &disk.path]);
            Some(Guard::Partition(disk.path.clone()))
        }),
        case("zeroed head, backup GPT", |disk| {
            sh("sgdisk", &["--new", "1:0:0", &disk.path]);
            disk.write(0, &vec![0; 1 << 20]);
            None
        }),
        case("LUKS", |disk| {
            let format =
                "printf secret | cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 --disable-locks";
            sh("sh", &["-c", &format!("{format} {} -", disk.path)]);
            None
        }),
        case("md member", |disk| {
            // Version 0.90 of md's superblock (md_p.h), which stands at the end; this machine's kernel has no md.
            let mut superblock = vec![0; 4096];
            superblock[..4].copy_from_slice(&0xa92b_4efc_u32.to_le_bytes());
            superblock[8..12].copy_from_slice(&90_u32.to_le_bytes());
            superblock[20..24].copy_from_slice(&0x1234_5678_u32.to_le_bytes());
            disk.write((SIZE & !0xffff) - 0x10000, &superblock);
            None
        }),
        case("ext4 and btrfs at once", |disk| {
            sh("mkfs.btrfs", &["-q", &disk.path]);
            let btrfs = disk.read(64 << 10, 4096);
            sh("mkfs.ext4", &["-q", "-F", &disk.path]);
            disk.write(64 << 10, &btrfs);
            None
        }),
        case("PV of no group", |disk| {
            sh("pvcreate", &["--quiet", &disk.path]);
            None
        }),
        case("PV of this group", |disk| {
            sh("vgcreate", &["--quiet", "glrltest", &disk.path]);
            Some(Guard::Group("glrltest"))
        }),
        case("PV of another group", |disk| {
            sh("vgcreate", &["--quiet", "glrlother", &disk.path]);
            Some(Guard::Group("glrlother"))
        }),
        Case {
            options: &["--read-only"],
            ..case("empty, read-only", |_| None)
        },
        Case {
            size: 0,
            ..case("no size", |_| None)
        },
        Case {
            size: 1 << 20,
            ..case("too small for anything", |_| None)
        },
    ]
}
