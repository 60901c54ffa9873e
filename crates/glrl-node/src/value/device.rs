//! Names of block devices.

use std::{fmt, ops::Deref, path::Path, str::FromStr};

use super::{AbsPath, string_value};

/// A block device's path below `/dev`, as the role names it: `/dev/sdb`, `/dev/disk/by-id/…`, `/dev/mysql/data`.
/// What the name stands for is the probe's to find out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePath(AbsPath);

impl DevicePath {
    /// The device of a logical volume: `/dev/VG/LV`, a link that udev and LVM keep stable (lvm(8)).
    pub fn of_volume(volume_group: &str, volume: &str) -> Self {
        let text = format!("/dev/{volume_group}/{volume}");
        Self(
            text.parse()
                .unwrap_or_else(|_| unreachable!("names of volumes hold no '..'")),
        )
    }

    /// The link that udev makes for what is on a device, or for a partition: `/dev/disk/by-label/my\x20data`. `by`: uuid, label, partuuid,
    /// partlabel.
    pub fn by(by: &str, value: &str) -> Result<Self, String> {
        let mut name = String::new();
        for char in value.chars() {
            // As udev writes what it does not take into a name (libblkid's blkid_encode_string).
            if char.is_alphanumeric() || "#+-.:=@_".contains(char) {
                name.push(char);
            } else {
                let mut bytes = [0; 4];
                for byte in char.encode_utf8(&mut bytes).bytes() {
                    name += &format!("\\x{byte:02x}");
                }
            }
        }
        format!("/dev/disk/by-{by}/{name}").parse()
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the kernel hands out this name by the order in which it finds disks, so that it may be another's at the next boot.
    pub fn is_unstable(&self) -> bool {
        let name = self.as_str().strip_prefix("/dev/").unwrap_or_default();
        !name.contains('/')
            && [
                "sd", "hd", "vd", "xvd", "nvme", "mmcblk", "dm-", "md", "loop", "nbd", "sr",
            ]
            .iter()
            .any(|prefix| name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()))
    }
}

impl FromStr for DevicePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path: AbsPath = text.parse()?;
        if path.starts_with("/dev") && path.as_os_str() != "/dev" {
            return Ok(Self(path));
        }
        Err(format!(
            "'{text}' is not a device: write a path below /dev, best one of /dev/disk/by-id/"
        ))
    }
}

impl Deref for DevicePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for DevicePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for DevicePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

string_value!(
    DevicePath,
    "A block device's path below /dev.",
    "^/dev/.",
    ["/dev/disk/by-id/virtio-data", "/dev/sdb"]
);
