//! Whether a device may be written over: it is proven empty, or the role names exactly what may be destroyed.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    system::{BlockDevice, Command, Contents, Effect, Op, Refused, Signature},
    value::DevicePath,
};

/// Consent to destroy what is on a device: a permission, not an order. With anything else on it, glrl refuses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wipe {
    /// What may be destroyed, as `blkid -p` names it: `ext4`, `gpt`. A physical volume of LVM never may, nor a table with partitions in it.
    pub(super) signature: String,
    /// Its UUID, as `blkid -p` shows it; left out only where it has none.
    pub(super) uuid: Option<String>,
}

/// What has to be done before a device may be written over: nothing where it is empty, erasing its signatures where the role
/// consents to that. All else is a refusal.
pub(super) fn clear(device: &DevicePath, block: &BlockDevice, consent: Option<&Wipe>) -> Result<Option<Op>> {
    let found = match &block.contents {
        Contents::Empty if block.read_only => return Err(read_only(device, "is empty")),
        Contents::Empty => return Ok(None),
        Contents::Unsure { why } => {
            return Err(Refused::because(
                format!("nobody can tell what is on {device}: {why}"),
                format!(
                    "look at it (blkid -p {device}; wipefs {device}; dmesg), and run again when it can be read and is empty"
                ),
            ));
        }
        Contents::Known(signature) => signature,
    };
    if let Some(user) = &block.in_use {
        return Err(Refused::because(
            format!("{device} carries {found} and is in use: {user}"),
            "declare another device, or take this one out of use",
        ));
    }
    if found.what == "LVM2_member" {
        return Err(Refused::because(
            format!("{device} carries {found}: what is on it only LVM can tell"),
            format!("declare another device, or take it out of LVM yourself (vgreduce, pvremove {device})"),
        ));
    }
    if found.partitions > 0 {
        return Err(Refused::because(
            format!("{device} carries {found}, and what is in there would be lost with the table"),
            format!(
                "declare another device; or look at what is in it (lsblk --fs {device}) and take it out of the table yourself (sfdisk --delete {device})"
            ),
        ));
    }
    let Some(consent) = consent else {
        return Err(Refused::because(
            format!("{device} is not empty: it carries {found}"),
            format!(
                "declare another device; or, to destroy what is on this one, `{}`",
                consent_for(found)
            ),
        ));
    };
    if consent.signature != found.what || consent.uuid != found.uuid {
        return Err(Refused::because(
            format!("{device} carries {found}, which is not what `wipe` consents to destroy"),
            "look at what is on the device before you change `wipe`",
        ));
    }
    if block.read_only {
        return Err(read_only(device, &format!("carries {found}")));
    }
    // Without --force, it leaves alone what the kernel has open.
    let erase = Command::new(["wipefs", "--all", device.as_str()]);
    Ok(Some(Op::Run(
        erase.makes([Effect::Contents(device.clone(), Contents::Empty)]),
    )))
}

fn read_only(device: &DevicePath, state: &str) -> anyhow::Error {
    Refused::because(
        format!("{device} {state}, and is read-only"),
        format!(
            "declare another device, or see why the kernel lets nobody write to this one (lsblk -o +RO {device}; dmesg)"
        ),
    )
}

/// Whether a role can consent to destroy this: it has to be all that would be lost.
pub(super) fn is_consentable(found: &Signature) -> bool {
    found.what != "LVM2_member" && found.partitions == 0
}

/// The property that would consent to destroying this.
pub(super) fn consent_for(found: &Signature) -> String {
    match &found.uuid {
        Some(uuid) => format!("wipe: {{signature: {}, uuid: \"{uuid}\"}}", found.what),
        None => format!("wipe: {{signature: {}}}", found.what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(contents: Contents) -> BlockDevice {
        BlockDevice {
            path: "/dev/vdb".into(),
            size: 1 << 30,
            read_only: false,
            in_use: None,
            contents,
        }
    }

    fn ext4() -> Contents {
        Contents::Known(Signature {
            what: "ext4".to_owned(),
            uuid: Some("0a1b".to_owned()),
            ..Signature::default()
        })
    }

    fn wipe(signature: &str, uuid: Option<&str>) -> Wipe {
        Wipe {
            signature: signature.to_owned(),
            uuid: uuid.map(str::to_owned),
        }
    }

    #[test]
    fn only_what_is_named_is_destroyed() {
        let device: DevicePath = "/dev/vdb".parse().unwrap();
        let refused =
            |block: &BlockDevice, consent: Option<&Wipe>| clear(&device, block, consent).unwrap_err().is::<Refused>();
        assert_eq!(clear(&device, &block(Contents::Empty), None).unwrap(), None);
        let right = wipe("ext4", Some("0a1b"));
        assert!(clear(&device, &block(ext4()), Some(&right)).unwrap().is_some());
        assert!(refused(&block(ext4()), None));
        for other in [
            wipe("xfs", Some("0a1b")),
            wipe("ext4", Some("0a1c")),
            wipe("ext4", None),
        ] {
            assert!(refused(&block(ext4()), Some(&other)), "{other:?}");
        }
        let used = BlockDevice {
            in_use: Some("mounted on /x".to_owned()),
            ..block(ext4())
        };
        assert!(refused(&used, Some(&right)));
        let unsure = Contents::Unsure {
            why: "an I/O error".to_owned(),
        };
        assert!(refused(&block(unsure), Some(&right)));
    }

    #[test]
    fn a_read_only_device_is_never_written() {
        let device: DevicePath = "/dev/vdb".parse().unwrap();
        for contents in [Contents::Empty, ext4()] {
            let block = BlockDevice {
                read_only: true,
                ..block(contents)
            };
            assert!(clear(&device, &block, Some(&wipe("ext4", Some("0a1b")))).is_err());
        }
    }

    #[test]
    fn a_table_is_destroyed_only_without_partitions() {
        let device: DevicePath = "/dev/vdb".parse().unwrap();
        for (partitions, may) in [(0, true), (1, false)] {
            let table = Signature {
                what: "gpt".to_owned(),
                uuid: Some("0a1b".to_owned()),
                partitions,
                ..Signature::default()
            };
            let cleared = clear(
                &device,
                &block(Contents::Known(table)),
                Some(&wipe("gpt", Some("0a1b"))),
            );
            assert_eq!(cleared.is_ok(), may, "{cleared:?}");
        }
    }
}
