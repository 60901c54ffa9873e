//! A node on which nothing stands in a resource's way: what it would change there is what it wants, and is shown where nobody can
//! know what it will find.

use std::{path::Path, sync::Arc};

use anyhow::Result;

use crate::{
    resource::{Change, Resource},
    system::{
        Active, BlockDevice, Bytes, Claim, Enablement, Entry, Export, FileType, Group, Guard, Lvm, Mount, Package,
        Probe, Reading, Swap, Unit, Usage, User, overlay::Bare,
    },
    value::{DevicePath, Mode, Owner, UnitName},
};

/// The changes that a resource wants: on the node as it would be if what is unknown brought nothing, else on a hypothetical one. None
/// where it has no say without a real node.
pub(super) fn wants(resource: &dyn Resource, unchanged: &dyn Probe) -> Vec<Change> {
    let own = resource.provides();
    let changes = |node: &dyn Probe| match resource.plan(node, false) {
        Ok(Reading::Known(plan)) => plan.changes,
        _ => Vec::new(),
    };
    let wants = changes(unchanged);
    if wants.is_empty() {
        changes(&Hypothetical { own: &own })
    } else {
        wants
    }
}

/// What the resource itself provides is absent; all it could rely on is there.
struct Hypothetical<'a> {
    own: &'a [Claim],
}

impl Hypothetical<'_> {
    fn own(&self, is: impl Fn(&Claim) -> bool) -> bool {
        self.own.iter().any(is)
    }
}

impl Probe for Hypothetical<'_> {
    fn entry(&self, path: &Path) -> Result<Reading<Option<Entry>>> {
        let own = self.own(|claim| matches!(claim, Claim::Path(own) | Claim::Made(own) if &**own == path));
        Ok(Reading::Known((!own).then_some(Entry {
            file_type: FileType::Directory,
            mode: Mode::DIRECTORY,
            owner: Owner::ROOT,
            group: Owner::ROOT,
        })))
    }

    fn contents(&self, path: &Path) -> Result<Reading<Option<Bytes>>> {
        Bare.contents(path)
    }

    fn list(&self, _: &Path) -> Result<Reading<Vec<std::ffi::OsString>>> {
        Ok(Reading::Known(Vec::new()))
    }

    fn user(&self, name: &str) -> Result<Reading<Option<User>>> {
        let own = self.own(|claim| matches!(claim, Claim::User(own) if own == name));
        Ok(Reading::Known((!own).then(|| User {
            name: name.to_owned(),
            uid: None,
            gid: None,
            comment: String::new(),
            home: String::new(),
            shell: String::new(),
            groups: Vec::new(),
        })))
    }

    fn group(&self, name: &str) -> Result<Reading<Option<Group>>> {
        let own = self.own(|claim| matches!(claim, Claim::Group(own) if own == name));
        Ok(Reading::Known((!own).then(|| Group {
            name: name.to_owned(),
            gid: None,
            members: Vec::new(),
        })))
    }

    fn package(&self, name: &str) -> Result<Reading<Option<Package>>> {
        Bare.package(name)
    }

    fn unit(&self, _: &UnitName) -> Result<Reading<Option<Unit>>> {
        Ok(Reading::Known(Some(Unit {
            active: Active::Inactive,
            enablement: Enablement::Disabled,
            ends: false,
        })))
    }

    fn mounts(&self) -> Result<Reading<Arc<Vec<Mount>>>> {
        Bare.mounts()
    }

    fn usage(&self, mount_point: &Path) -> Result<Reading<Usage>> {
        Bare.usage(mount_point)
    }

    fn block(&self, device: &DevicePath) -> Result<Reading<Option<BlockDevice>>> {
        Bare.block(device)
    }

    fn lvm(&self) -> Result<Reading<Arc<Lvm>>> {
        Bare.lvm()
    }

    fn swaps(&self) -> Result<Reading<Arc<Vec<Swap>>>> {
        Bare.swaps()
    }

    fn exports(&self) -> Result<Reading<Arc<Vec<Export>>>> {
        Bare.exports()
    }

    fn guard(&self, guard: &Guard) -> Result<Reading<bool>> {
        Bare.guard(guard)
    }
}
