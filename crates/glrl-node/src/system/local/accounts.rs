//! passwd(5) and group(5), read once. Accounts of directory services (LDAP, SSSD) are not seen.

use std::collections::HashMap;

use anyhow::Result;

use super::tree::Tree;
use crate::system::{Group, User};

/// All users and groups.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: HashMap<String, User>,
    groups: HashMap<String, Group>,
}

impl Accounts {
    pub(super) fn read(tree: &Tree) -> Result<Self> {
        let text = |path: &str| {
            let bytes = tree.contents(path.as_ref())?;
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned())
        };
        Ok(Self::parse(&text("/etc/passwd")?, &text("/etc/group")?))
    }

    /// Lines that are not of the form, as NIS had them (`+::::::`), are passed over; of two lines with one name the first counts,
    /// as for getpwnam(3).
    pub(super) fn parse(passwd: &str, group: &str) -> Self {
        let mut accounts = Self::default();
        for line in passwd.lines() {
            let [name, _, uid, gid, comment, home, shell] = *line.split(':').collect::<Vec<_>>() else {
                continue;
            };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
                continue;
            };
            accounts.users.entry(name.to_owned()).or_insert_with(|| User {
                name: name.to_owned(),
                uid: Some(uid),
                gid: Some(gid),
                comment: comment.to_owned(),
                home: home.to_owned(),
                shell: shell.to_owned(),
                groups: Vec::new(),
            });
        }
        for line in group.lines() {
            let [name, _, gid, members] = *line.split(':').collect::<Vec<_>>() else {
                continue;
            };
            let Ok(gid) = gid.parse() else { continue };
            let members: Vec<String> = members
                .split(',')
                .filter(|member| !member.is_empty())
                .map(str::to_owned)
                .collect();
            for member in &members {
                if let Some(user) = accounts.users.get_mut(member) {
                    user.groups.push(name.to_owned());
                }
            }
            accounts.groups.entry(name.to_owned()).or_insert_with(|| Group {
                name: name.to_owned(),
                gid: Some(gid),
                members,
            });
        }
        for user in accounts.users.values_mut() {
            user.groups.sort_unstable();
            user.groups.dedup();
        }
        accounts
    }

    pub(super) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub(super) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_know_their_groups() {
        let accounts = Accounts::parse(
            "root:x:0:0:root:/root:/bin/bash\n+::::::\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\nann:x:9:9::/:/bin/sh\n",
            "root:x:0:\nann:x:1000:\nwheel:x:27:root,ann\nadm:x:4:ann\nbroken\n",
        );
        let ann = accounts.user("ann").unwrap();
        assert_eq!((ann.uid, ann.gid), (Some(1000), Some(1000)));
        assert_eq!(ann.groups, ["adm", "wheel"]);
        assert_eq!(accounts.group("wheel").unwrap().members, ["root", "ann"]);
        assert!(accounts.user("+").is_none() && accounts.group("broken").is_none());
    }
}
