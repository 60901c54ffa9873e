//! What a file has beside its contents: owner, mode, access control lists, extended attributes. In the archive they are PAX records with the
//! names that GNU tar gives them, so that `tar --xattrs --acls` reads them; in memory lists are as the kernel has them.
//!
//! Taken are lists, `user.*` and `trusted.*`. Not taken is what gives rights by itself, or is this machine's own: capabilities, setuid and setgid
//! (`Packed::without`), and labels of security modules. Sources: acl(5), xattr(7), `linux/posix_acl_xattr.h`; GNU tar, `xheader.c`.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use crate::model::{
    manifest::{Account, Manifest},
    owner::Owner,
};

/// The kernel's names for lists, and tar's.
const LISTS: [(&str, &str); 2] = [
    ("system.posix_acl_access", "SCHILY.acl.access"),
    ("system.posix_acl_default", "SCHILY.acl.default"),
];
const ATTRIBUTE: &str = "SCHILY.xattr.";
/// The same in hexadecimal digits, beside it: who reads records line by line loses a value with a line feed.
const HEXADECIMAL: &str = "GLRL.xattr.";
const CAPABILITY: &str = "security.capability";

/// Records of extended attributes, by name.
pub(crate) type Records = Vec<(String, Vec<u8>)>;

/// Reads a file's lists and attributes, and whether it has a capability.
pub(crate) fn read(path: &Path) -> io::Result<(Records, bool)> {
    let mut names = match xattr::list(path) {
        Ok(names) => names.filter_map(|name| name.into_string().ok()).collect::<Vec<_>>(),
        // The filesystem has none.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok((Vec::new(), false)),
        Err(error) => return Err(error),
    };
    names.sort_unstable();
    let mut records = Vec::new();
    for name in &names {
        let list = LISTS.iter().find(|(kernels, _)| kernels == name);
        let is_taken = name.starts_with("user.") || name.starts_with("trusted.");
        if list.is_none() && !is_taken {
            continue;
        }
        let Some(value) = xattr::get(path, name)? else { continue };
        if let Some((_, tars)) = list {
            records.push(((*tars).to_owned(), to_text(&value)?.into_bytes()));
            continue;
        }
        if value.contains(&b'\n') {
            let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            records.push((format!("{HEXADECIMAL}{name}"), digits.into_bytes()));
        }
        records.push((format!("{ATTRIBUTE}{name}"), value));
    }
    Ok((records, names.iter().any(|name| name == CAPABILITY)))
}

/// A file's attributes, as they were archived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
    pub(crate) records: Records,
}

impl Attributes {
    /// Returns those of a directory of which the archive says nothing.
    pub(crate) fn plain(owner: Owner, mode: u32) -> Self {
        Self {
            uid: owner.uid,
            gid: owner.gid,
            mode,
            records: Vec::new(),
        }
    }

    /// Reads an entry's.
    pub(crate) fn of(entry: &mut tar::Entry<'_, impl io::Read>) -> Self {
        let header = entry.header();
        let number = |number: io::Result<u64>| number.ok().and_then(|number| u32::try_from(number).ok());
        let mut attributes = Self {
            // Nobody's, where it cannot be read.
            uid: number(header.uid()).unwrap_or(NOBODY),
            gid: number(header.gid()).unwrap_or(NOBODY),
            mode: header.mode().unwrap_or_default() & 0o1777,
            records: Vec::new(),
        };
        let Ok(Some(records)) = entry.pax_extensions() else {
            return attributes;
        };
        let mut whole: Records = Vec::new();
        for record in records.flatten() {
            let (Ok(name), value) = (record.key(), record.value_bytes()) else {
                continue;
            };
            if let Some(name) = name.strip_prefix(HEXADECIMAL) {
                whole.extend(bytes(value).map(|value| (format!("{ATTRIBUTE}{name}"), value)));
            } else if name.starts_with(ATTRIBUTE) || LISTS.iter().any(|(_, tars)| *tars == name) {
                attributes.records.push((name.to_owned(), value.to_vec()));
            }
        }
        for (name, value) in whole {
            attributes.records.retain(|(other, _)| *other != name);
            attributes.records.push((name, value));
        }
        attributes
    }

    /// Gives them to what was unpacked. Returns what could not be set. A link has an owner and no more.
    pub(crate) fn give(&self, path: &Path, is_link: bool, owners: &Owners) -> io::Result<Vec<String>> {
        if owners.chown {
            let owner = owners.map(self.uid, self.gid);
            lchown(path, Some(owner.uid), Some(owner.gid))?;
        }
        if is_link {
            return Ok(Vec::new());
        }
        let mut mode = self.mode;
        if !owners.chown {
            // Who is not root has to come in again.
            mode |= if path.is_dir() { 0o700 } else { 0o600 };
        }
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        let mut unset = Vec::new();
        for (name, value) in &self.records {
            let set = match LISTS.iter().find(|(_, tars)| tars == name) {
                Some((kernels, _)) => from_text(&String::from_utf8_lossy(value), owners)
                    .and_then(|list| xattr::set(path, kernels, &list))
                    .inspect_err(|_| {
                        // With a list, the group's bits are the mask: without it, they would be the group's.
                        let _ = fs::set_permissions(path, Permissions::from_mode(mode & !0o070));
                    }),
                None => xattr::set(path, name.trim_start_matches(ATTRIBUTE), value),
            };
            if let Err(error) = set {
                unset.push(format!("{name} of {}: {error}", path.display()));
            }
        }
        Ok(unset)
    }
}

/// Whose the files shall be. What was the original server's account's is this node's account's, which may have another number. All else
/// keeps its number.
#[derive(Debug, Clone)]
pub(crate) struct Owners {
    /// This node's account.
    account: Owner,
    /// The original's, where it is known.
    was: Option<Owner>,
    /// Where the server's files are in the volume.
    datadir: PathBuf,
    /// Only root can give files away.
    chown: bool,
}

const NOBODY: u32 = 65534;

impl Owners {
    /// Whose the files of a backup shall be, where this is the server's account.
    pub(crate) fn of(manifest: &Manifest, account: Owner) -> Self {
        let was = manifest.account.map(|Account { uid, gid }| Owner { uid, gid });
        Self::new(account, was, &manifest.volume.datadir)
    }

    pub(crate) fn new(account: Owner, was: Option<Owner>, datadir: &Path) -> Self {
        Self {
            account,
            was,
            datadir: datadir.components().filter(|part| part.as_os_str() != ".").collect(),
            chown: nix::unistd::geteuid().is_root(),
        }
    }

    /// The directory that a server has made itself, whose owner is its account; and the datadir, which somebody else may have made.
    pub(crate) fn made_by_server(datadir: &Path) -> [PathBuf; 2] {
        [datadir.join("mysql"), datadir.to_owned()]
    }

    /// Learns the original account from the archive, where the manifest does not name it.
    pub(crate) fn learn(&mut self, all: &[(PathBuf, bool, Attributes)]) {
        let of = |path: &PathBuf| all.iter().find(|(found, ..)| found == path);
        let found = Self::made_by_server(&self.datadir);
        self.was = self.was.or_else(|| {
            let (_, _, attributes) = found.iter().find_map(of)?;
            Some(Owner {
                uid: attributes.uid,
                gid: attributes.gid,
            })
        });
    }

    /// Whose a file of these numbers is here.
    fn map(&self, uid: u32, gid: u32) -> Owner {
        let Some(was) = self.was else { return Owner { uid, gid } };
        let is_its = uid == was.uid;
        // Root's group is not the account's, on files of others.
        let of_group = gid == was.gid && (is_its || gid != 0);
        Owner {
            uid: if is_its { self.account.uid } else { uid },
            gid: if of_group { self.account.gid } else { gid },
        }
    }

    /// What is to be said of numbers that mean something else here than there: files of another account that has the number that the server's
    /// account has on this node.
    pub(crate) fn warning(&self, all: &[(PathBuf, bool, Attributes)]) -> Option<String> {
        let was = self.was.filter(|was| self.chown && was.uid != self.account.uid)?;
        let theirs: Vec<_> = all
            .iter()
            .filter(|(_, _, its)| its.uid == self.account.uid && its.uid != was.uid)
            .collect();
        let (first, ..) = theirs.first()?;
        Some(format!(
            "the number {} was another account's where the backup was made, and is the server's account here: {} of that number, among \
             them {}; give them to whom they are meant for",
            self.account.uid,
            glrl_node::value::text::count(theirs.len(), "file"),
            first.display()
        ))
    }
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.is_ascii())?;
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect()
}

/// Bytes of the kernel's form: a version, then entries of tag, permissions and number.
const VERSION: u32 = 2;
const ENTRY: usize = 8;
const TAGS: [(u16, &str); 6] = [
    (1, "user"),
    (2, "user"),
    (4, "group"),
    (8, "group"),
    (16, "mask"),
    (32, "other"),
];

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is no access control list")
}

/// `user::rw-,user:33:r--,group::r--,mask::r--,other::---`, with numbers.
fn to_text(list: &[u8]) -> io::Result<String> {
    let entries = list.strip_prefix(&VERSION.to_le_bytes()).ok_or_else(invalid)?;
    let entries = entries.chunks(ENTRY).map(|entry| {
        let &[tag, tag2, bits, _, a, b, c, d] = entry else {
            return Err(invalid());
        };
        let tag = u16::from_le_bytes([tag, tag2]);
        let (_, name) = TAGS.iter().find(|(known, _)| *known == tag).ok_or_else(invalid)?;
        let number = if matches!(tag, 2 | 8) {
            u32::from_le_bytes([a, b, c, d]).to_string()
        } else {
            String::new()
        };
        let bit = |bit, letter| if bits & bit > 0 { letter } else { '-' };
        Ok(format!("{name}:{number}:{}{}{}", bit(4, 'r'), bit(2, 'w'), bit(1, 'x')))
    });
    Ok(entries.collect::<io::Result<Vec<_>>>()?.join(","))
}

fn from_text(text: &str, owners: &Owners) -> io::Result<Vec<u8>> {
    let mut entries = Vec::new();
    for entry in text.split([',', '\n']).filter(|entry| !entry.is_empty()) {
        let parts: Vec<&str> = entry.split(':').collect();
        let [name, number, bits] = parts[..] else {
            return Err(invalid());
        };
        let number: Option<u32> = match number {
            "" => None,
            number => Some(number.parse().map_err(|_| invalid())?),
        };
        let named = |tag: &u16| matches!(tag, 2 | 8) == number.is_some();
        let (tag, _) = TAGS
            .iter()
            .find(|(tag, known)| *known == name && named(tag))
            .ok_or_else(invalid)?;
        let number = match (tag, number) {
            (2, Some(uid)) => owners.map(uid, NOBODY).uid,
            (8, Some(gid)) => owners.map(NOBODY, gid).gid,
            _ => u32::MAX,
        };
        let bits = [('r', 4), ('w', 2), ('x', 1)]
            .iter()
            .filter(|(letter, _)| bits.contains(*letter));
        entries.push((*tag, number, bits.map(|(_, bit)| *bit).sum::<u16>()));
    }
    // The kernel wants them in order.
    entries.sort_unstable();
    let mut list = VERSION.to_le_bytes().to_vec();
    for (tag, number, bits) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(number.to_le_bytes());
    }
    Ok(list)
}
