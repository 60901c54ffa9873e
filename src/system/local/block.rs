//! What is on a block device.

use anyhow::{Result, bail};

use crate::{
    system::{BlockDevice, Mount},
    value::DevicePath,
};

pub(super) fn read(_device: &DevicePath, _mounts: &[Mount]) -> Result<Option<BlockDevice>> {
    bail!("not built yet")
}
