//! Validated values. Each is parsed once, at the edge, and trusted from there on.

mod account;
pub mod budget;
mod device;
mod duration;
mod id;
mod job_name;
mod lvm_name;
mod mode;
mod mount_source;
mod nfs_client;
pub mod owner;
mod package;
mod path;
mod schedule;
pub mod secret;
mod size;
pub mod text;
mod unit;
mod volume_size;

pub use account::AccountName;
pub use device::DevicePath;
pub use duration::Duration;
pub use id::Id;
pub use job_name::JobName;
pub use lvm_name::{GroupName, VolumeName};
pub use mode::Mode;
pub use mount_source::MountSource;
pub use nfs_client::{NfsClient, one_spelling};
pub use owner::Owner;
pub use package::{PackageName, PackageVersion};
pub use path::AbsPath;
pub use schedule::Schedule;
pub use size::Size;
pub use unit::UnitName;
pub use volume_size::VolumeSize;

/// A value that is written as one string: the serde, `Display` and JSON Schema sides of a newtype whose
/// `FromStr` and `Display` are its only syntax.
macro_rules! string_value {
    ($type:ty, $description:literal, $pattern:literal, [$($example:literal),+]) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "title": stringify!($type),
                    "type": "string",
                    "description": $description,
                    "pattern": $pattern,
                    "examples": [$($example),+],
                })
            }
        }
    };
}
pub(crate) use string_value;
