//! What can be mounted.

use std::{fmt, str::FromStr};

use super::{AbsPath, DevicePath, string_value};

/// What a mount mounts, as fstab(5) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A block device by its path, or by what names its filesystem or partition (`UUID=…`, `LABEL=…`, `PARTUUID=…`, `PARTLABEL=…`).
    Device {
        /// As it is written.
        text: String,
        /// The path that it stands for.
        device: DevicePath,
    },
    /// A directory that another machine exports: `host:/path`.
    Network(String),
    /// A directory of this machine, which is mounted a second time.
    Directory(AbsPath),
    /// No device at all: `tmpfs`, `proc`.
    Named(String),
}

impl MountSource {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Device { text, .. } | Self::Network(text) | Self::Named(text) => text,
            Self::Directory(path) => path.as_str(),
        }
    }
}

impl FromStr for MountSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.contains(char::is_control) {
            return Err(format!(
                "'{text}' cannot be mounted: write a device, UUID=…, LABEL=…, host:/path, or a directory"
            ));
        }
        for by in ["UUID", "LABEL", "PARTUUID", "PARTLABEL"] {
            let Some(value) = text.strip_prefix(by).and_then(|rest| rest.strip_prefix('=')) else {
                continue;
            };
            if value.is_empty() || value.contains(['"', '\'', ' ', '\t']) && by == "UUID" {
                return Err(format!("'{text}' names no device: write {by}=…, without quotes"));
            }
            return Ok(Self::Device {
                text: text.to_owned(),
                device: DevicePath::by(&by.to_lowercase(), value)?,
            });
        }
        if text.starts_with("/dev/") {
            return Ok(Self::Device {
                text: text.to_owned(),
                device: text.parse()?,
            });
        }
        if let Some((host, path)) = text.split_once(":/") {
            if host.is_empty() || host.contains([' ', '/', ',']) {
                return Err(format!("'{text}' names no host: write host:/path"));
            }
            // One spelling for one place, as the kernel shows it.
            let path = path.trim_end_matches('/');
            return Ok(Self::Network(format!("{host}:/{path}")));
        }
        if text.starts_with('/') {
            return Ok(Self::Directory(text.parse()?));
        }
        Ok(Self::Named(text.to_owned()))
    }
}

impl fmt::Display for MountSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

string_value!(
    MountSource,
    "What is mounted: a device's path, UUID=…, LABEL=…, PARTUUID=…, PARTLABEL=…, host:/path, or a directory.",
    "^.+$",
    ["/dev/mysql/data", "backup:/backup"]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_by_its_shape() {
        assert!(matches!("/dev/mysql/data".parse(), Ok(MountSource::Device { .. })));
        let Ok(MountSource::Device { device, .. }) = "UUID=0a1b".parse() else {
            panic!()
        };
        assert_eq!(device.as_str(), "/dev/disk/by-uuid/0a1b");
        for (text, path) in [
            ("LABEL=my data", "/dev/disk/by-label/my\\x20data"),
            ("LABEL=a/b", "/dev/disk/by-label/a\\x2fb"),
            ("PARTUUID=0a1b-02", "/dev/disk/by-partuuid/0a1b-02"),
            ("PARTLABEL=data", "/dev/disk/by-partlabel/data"),
        ] {
            let Ok(MountSource::Device { device, .. }) = text.parse() else {
                panic!("{text}")
            };
            assert_eq!(device.as_str(), path);
        }
        assert_eq!(
            "backup:/srv/".parse(),
            Ok(MountSource::Network("backup:/srv".to_owned()))
        );
        assert_eq!(
            "[fe80::1]:/".parse(),
            Ok(MountSource::Network("[fe80::1]:/".to_owned()))
        );
        assert_eq!("tmpfs".parse(), Ok(MountSource::Named("tmpfs".to_owned())));
        let directory: Result<MountSource, _> = "/srv//data/".parse();
        assert_eq!(directory, "/srv/data".parse().map(MountSource::Directory));
        for wrong in [
            "",
            "/srv/../etc",
            "LABEL=",
            "UUID=",
            "UUID=\"x\"",
            ":/x",
            "a b:/x",
            "/dev/../etc",
        ] {
            assert!(wrong.parse::<MountSource>().is_err(), "{wrong}");
        }
    }
}
