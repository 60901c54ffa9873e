//! The programs that make filesystems: what each is told, and which of its options a role may give.

use super::{Change, Plan};
use crate::{
    system::{Command, Effect, Geometry, Op},
    value::{DevicePath, Size},
};

/// What an option list may hold for one program, as getopt(3) writes it: letters, with a colon where a value follows. Letters that
/// force, that only pretend, that name another device, or that have a property of their own are left out.
struct Rules {
    program: &'static str,
    letters: &'static str,
    long: &'static [&'static str],
    label: &'static str,
    longest_label: usize,
}

/// The filesystems that glrl makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FsType {
    /// XFS: grows while mounted, never shrinks.
    Xfs,
    /// ext4: grows while mounted.
    Ext4,
    /// btrfs on one device: grows while mounted.
    Btrfs,
    /// FAT, as firmware wants it. It does not grow.
    Vfat,
}

impl FsType {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Self::Xfs, Self::Ext4, Self::Btrfs, Self::Vfat];
        all.into_iter().find(|one| one.name() == name)
    }

    /// As blkid and mount name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Ext4 => "ext4",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
        }
    }

    fn rules(self) -> Rules {
        match self {
            Self::Xfs => Rules {
                program: "mkfs.xfs",
                letters: "b:d:i:l:m:n:Kr:s:q",
                long: &[],
                label: "-L",
                longest_label: 12,
            },
            Self::Ext4 => Rules {
                program: "mkfs.ext4",
                letters: "b:C:D:E:g:G:i:I:J:jm:M:N:O:r:t:T:Kqv",
                long: &[],
                label: "-L",
                longest_label: 16,
            },
            Self::Btrfs => Rules {
                program: "mkfs.btrfs",
                letters: "b:d:m:n:s:O:R:MKqv",
                long: &[
                    "--byte-count=",
                    "--checksum=",
                    "--csum=",
                    "--data=",
                    "--features=",
                    "--metadata=",
                    "--mixed",
                    "--nodesize=",
                    "--nodiscard",
                    "--runtime-features=",
                    "--sectorsize=",
                ],
                label: "-L",
                longest_label: 255,
            },
            Self::Vfat => Rules {
                program: "mkfs.vfat",
                letters: "ab:D:f:F:g:h:M:r:R:s:S:v",
                long: &[],
                label: "-n",
                longest_label: 11,
            },
        }
    }

    /// Bytes that a device has to have, as far as the programs have a limit that matters: mkfs.xfs of xfsprogs 6.0 ("smaller filesystems are
    /// not supported"), mkfs.btrfs of btrfs-progs 6.2, whose default profiles take more than others.
    pub(super) fn least(self, options: &[String]) -> u64 {
        match self {
            Self::Xfs => 300 << 20,
            Self::Btrfs if options.is_empty() => 109 << 20,
            Self::Btrfs => 16 << 20,
            Self::Ext4 | Self::Vfat => 0,
        }
    }

    /// What is wrong with these options; nothing if they may be given.
    pub(super) fn check_options(self, options: &[String]) -> Result<(), String> {
        let rules = self.rules();
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            if option.starts_with("--") {
                let known = rules.long.iter().any(|long| match long.strip_suffix('=') {
                    Some(name) => option.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')),
                    None => option == long,
                });
                if !known {
                    return Err(self.refused(option));
                }
            } else if let Some(letters) = option.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                self.check_letters(option, letters, &mut rest)?;
            } else {
                return Err(format!(
                    "'{option}' is no option of {}: the device is glrl's to name",
                    rules.program
                ));
            }
        }
        match options.iter().find(|option| option.contains('/')) {
            Some(option) => Err(format!("'{option}' names a path, which {} may write to", rules.program)),
            None => Ok(()),
        }
    }

    /// A word of single-letter options: `-Kq`, `-bsize=4096`, or `-b` with its value in the next word.
    fn check_letters<'a>(
        self,
        option: &str,
        letters: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<(), String> {
        let known = self.rules().letters;
        for (at, letter) in letters.char_indices() {
            let place = known.find(letter).filter(|_| letter != ':');
            let Some(place) = place else {
                return Err(self.refused(option));
            };
            if known[place + 1..].starts_with(':') {
                if letters[at + 1..].is_empty() && rest.next().is_none() {
                    return Err(format!("'{option}' lacks its value"));
                }
                return Ok(());
            }
        }
        Ok(())
    }

    fn refused(self, option: &str) -> String {
        format!(
            "'{option}' is no option for {} that a role can give: it is unknown, would force something, or is a property of its own",
            self.rules().program
        )
    }

    /// What is wrong with a label.
    pub(super) fn check_label(self, label: &str) -> Result<(), String> {
        let longest = self.rules().longest_label;
        if label.is_empty() || label.len() > longest || label.chars().any(|char| char.is_control() || char == '/') {
            return Err(format!(
                "'{label}' is not a label for {}: 1 to {longest} bytes of text",
                self.name()
            ));
        }
        if self == Self::Vfat && label != label.to_uppercase() {
            return Err(format!("'{label}' is not a label for vfat: write it in capitals"));
        }
        Ok(())
    }

    /// What is wrong with a UUID.
    pub(super) fn check_uuid(self, uuid: &str) -> Result<(), String> {
        let (lengths, example): (&[usize], _) = match self {
            Self::Vfat => (&[4, 4], "1A2B-3C4D"),
            _ => (&[8, 4, 4, 4, 12], "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        };
        let hex = |b: u8| match self {
            Self::Vfat => b.is_ascii_digit() || (b'A'..=b'F').contains(&b),
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        };
        let parts: Vec<&str> = uuid.split('-').collect();
        let right = parts.iter().map(|part| part.len()).eq(lengths.iter().copied())
            && parts.iter().all(|part| part.bytes().all(hex));
        if right {
            Ok(())
        } else {
            Err(format!(
                "'{uuid}' is not the UUID of a {} filesystem: write it as blkid shows it, as in {example}",
                self.name()
            ))
        }
    }

    /// The whole command. None of these programs is ever told to force anything.
    pub(super) fn make(
        self,
        device: &DevicePath,
        label: Option<&str>,
        uuid: Option<&str>,
        options: &[String],
    ) -> Vec<String> {
        let rules = self.rules();
        let mut argv = vec![rules.program.to_owned()];
        // A whole disk gets FAT as other disks do, and no table of partitions around it (mkfs.vfat(8), dosfstools 4.2).
        argv.push(if self == Self::Vfat { "--mbr=n" } else { "-q" }.to_owned());
        if let Some(label) = label {
            argv.extend([rules.label.to_owned(), label.to_owned()]);
        }
        match (self, uuid) {
            (_, None) => {}
            (Self::Xfs, Some(uuid)) => argv.extend(["-m".to_owned(), format!("uuid={uuid}")]),
            (Self::Ext4 | Self::Btrfs, Some(uuid)) => argv.extend(["-U".to_owned(), uuid.to_owned()]),
            (Self::Vfat, Some(uuid)) => argv.extend(["-i".to_owned(), uuid.replace('-', "")]),
        }
        argv.extend(options.iter().cloned());
        argv.push(device.to_string());
        argv
    }

    /// The plan with what grows it to its device, mounted as it is by then; without, if it cannot grow.
    pub(super) fn grow(self, plan: Plan, device: &DevicePath, now: &Geometry, size: u64, mount_point: &str) -> Plan {
        let argv: &[&str] = match self {
            Self::Xfs => &["xfs_growfs", "-d", mount_point],
            Self::Ext4 => &["resize2fs", device.as_str()],
            Self::Btrfs => &["btrfs", "filesystem", "resize", "max", mount_point],
            Self::Vfat => return if plan.is_empty() { Plan::none() } else { plan },
        };
        let grow = Command::new(argv.iter().copied()).makes([Effect::Grown(device.clone())]);
        plan.change(Change::of("size", Size::bytes(now.size()), Size::bytes(size)))
            .op(Op::Run(grow))
    }
}

/// What can grow and is not mounted for writing.
pub(super) fn can_grow_later(what: &str, device: &DevicePath, size: u64) -> String {
    format!(
        "the {what} on {device} can grow to {} when it is mounted for writing: run again then",
        Size::bytes(size)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fs_type: FsType, options: &[&str]) -> Result<(), String> {
        fs_type.check_options(&options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_can_be_forced() {
        let forced: [(FsType, &[&str]); 22] = [
            (FsType::Xfs, &["-f"]),
            (FsType::Xfs, &["-Kf"]),
            (FsType::Xfs, &["-qf"]),
            (FsType::Xfs, &["-K", "-f"]),
            (FsType::Xfs, &["/dev/sdc"]),
            (FsType::Xfs, &["-K", "sdc"]),
            (FsType::Xfs, &["-N"]),
            (FsType::Xfs, &["-dname=/dev/sdc"]),
            (FsType::Xfs, &["-l", "logdev=/dev/sdc"]),
            (FsType::Xfs, &["--", "sdc"]),
            (FsType::Xfs, &["-", "sdc"]),
            (FsType::Ext4, &["-F"]),
            (FsType::Ext4, &["-qFF"]),
            (FsType::Ext4, &["-n"]),
            (FsType::Ext4, &["-S"]),
            (FsType::Ext4, &["-b"]),
            (FsType::Btrfs, &["-f"]),
            (FsType::Btrfs, &["--force"]),
            (FsType::Btrfs, &["--forc"]),
            (FsType::Btrfs, &["--rootdir=x"]),
            (FsType::Vfat, &["-I"]),
            (FsType::Vfat, &["-C"]),
        ];
        for (fs_type, options) in forced {
            assert!(check(fs_type, options).is_err(), "{fs_type:?} {options:?}");
        }
    }

    #[test]
    fn what_shapes_a_filesystem_can_be_said() {
        let shaped: [(FsType, &[&str]); 6] = [
            (FsType::Xfs, &["-m", "reflink=1,finobt=1", "-Kq", "-bsize=4096"]),
            (FsType::Xfs, &["-i", "maxpct=25", "-d", "su=64k,sw=4"]),
            (FsType::Ext4, &["-E", "lazy_itable_init=0", "-m0", "-O", "^has_journal"]),
            (FsType::Btrfs, &["--features=no-holes", "--mixed", "-m", "dup"]),
            (FsType::Vfat, &["-F", "32", "-s1"]),
            (FsType::Xfs, &[]),
        ];
        for (fs_type, options) in shaped {
            assert_eq!(check(fs_type, options), Ok(()), "{options:?}");
        }
    }

    #[test]
    fn uuids_are_written_as_blkid_does() {
        assert_eq!(FsType::Vfat.check_uuid("1A2B-3C4D"), Ok(()));
        assert_eq!(FsType::Xfs.check_uuid("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"), Ok(()));
        for wrong in [
            "",
            "1a2b-3c4d",
            "0A1B2C3D-4e5f-6071-8293-a4b5c6d7e8f9",
            "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        ] {
            assert!(
                FsType::Vfat.check_uuid(wrong).is_err() && FsType::Xfs.check_uuid(wrong).is_err(),
                "{wrong}"
            );
        }
    }
}
