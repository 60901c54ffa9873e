//! `directory`: a directory with its owner, group and mode, and, where a source is given, a tree of files in it.

use std::path::Path;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Purge, Role, Shown,
    metadata::Metadata,
    parent,
    presence::Presence,
    regular::{Regular, Standing},
};
use crate::{
    system::{Bytes, Claim, FileType, Keep, Op, Probe, Reading, Refused, Stray, known, shown_name},
    value::{AbsPath, Mode, Owner},
};

/// A directory. Its parent has to be there, or be declared. With `source` it holds that tree of files, each of which is compared
/// and shown by itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Directory {
    /// Where it is.
    path: AbsPath,
    /// Who owns it and what `source` puts into it; root for what is new, unchanged for what is there.
    owner: Option<Owner>,
    /// Its group, and that of what `source` puts into it; likewise.
    group: Option<Owner>,
    /// Its permission bits, and those of the directories of `source`; `"0755"` for a new one, with the setgid bit where the directory it is in has
    /// it; unchanged for one that is there.
    mode: Option<Mode>,
    /// A directory below the role's `files/` whose files are to be in it.
    source: Option<String>,
    /// Permission bits of the files of `source`; `"0644"` for a new one, unchanged for one that is there.
    file_mode: Option<Mode>,
    /// Whether files, links, directories, pipes and sockets in it that `source` does not have are removed. What other resources declare
    /// stays, and so does all that is in a directory that one of them declares.
    #[serde(default)]
    purge: bool,
    /// Whether it is to be there. Only an empty directory is removed.
    #[serde(default)]
    state: Presence,
    /// The directories of `source`, each after the one it is in.
    #[serde(skip)]
    directories: Vec<AbsPath>,
    #[serde(skip)]
    files: Vec<(AbsPath, Bytes)>,
    /// What other resources claim below it: a purge leaves it to them.
    #[serde(skip)]
    claimed: Vec<AbsPath>,
}

/// What stands at the directory's path.
#[derive(Debug, PartialEq)]
pub(super) struct Tree {
    /// The directory itself and those of `source`; `None` for one that is missing.
    directories: Vec<Option<Vec<Change>>>,
    files: Vec<Standing>,
    /// What a purge removes, each before the directory it is in.
    strays: Vec<Stray>,
    /// How many names a directory holds that is to be absent.
    held: usize,
}

impl Directory {
    pub(super) const EXAMPLE: &str = "path: /srv/www\nowner: www-data\nmode: \"0755\"\n";

    fn metadata(&self, mode: Option<Mode>) -> Metadata<'_> {
        Metadata {
            owner: self.owner.as_ref(),
            group: self.group.as_ref(),
            mode,
        }
    }

    /// The directory and those of `source`.
    fn all(&self) -> impl Iterator<Item = &AbsPath> {
        [&self.path].into_iter().chain(&self.directories)
    }

    fn regulars(&self) -> impl Iterator<Item = Regular<'_>> {
        self.files.iter().map(|(path, contents)| Regular {
            path,
            contents: Some(contents),
            metadata: self.metadata(self.file_mode),
            validate: None,
        })
    }

    /// Reads the tree that is to be in it.
    fn load(&mut self, role: &dyn Role, source: &str) -> Result<()> {
        for name in role.tree(source)? {
            let path = below(&self.path, &name)?;
            let mut above: Vec<AbsPath> = Path::new(&name)
                .ancestors()
                .skip(1)
                .filter_map(Path::to_str)
                .filter(|name| !name.is_empty())
                .map(|name| below(&self.path, name))
                .collect::<Result<_>>()?;
            above.reverse();
            above.retain(|directory| !self.directories.contains(directory));
            self.directories.append(&mut above);
            self.files.push((path, role.file(&format!("{source}/{name}"))?));
        }
        Ok(())
    }

    /// A directory as it is: `None` where it is missing.
    fn standing(&self, node: &dyn Probe, path: &AbsPath) -> Result<Reading<Option<Vec<Change>>>> {
        let Some(entry) = known!(node.entry(path)?) else {
            // One of the tree stands in another of it.
            if *path == self.path {
                known!(parent::check(node, path)?);
            }
            known!(self.metadata(self.mode).compare(node, None)?);
            return Ok(Reading::Known(None));
        };
        let found = match &entry.file_type {
            FileType::Directory => return Ok(self.metadata(self.mode).compare(node, Some(&entry))?.map(Some)),
            FileType::Link { target } => bail!(
                "{path} is a link to {}: declare the directory it leads to, or the link",
                target.display()
            ),
            FileType::File { .. } => "file",
            FileType::Other => "device, socket or fifo",
        };
        bail!("{path} is a {found}, and glrl does not replace it by a directory: move it away first")
    }

    /// What a purge does with a path below it.
    fn keep(&self, path: &Path) -> Keep {
        let path = &self.path.join(path);
        let own = || self.all().any(|own| **own == *path) || self.files.iter().any(|(own, _)| **own == *path);
        if self.claimed.iter().any(|claimed| path.starts_with(claimed)) {
            Keep::Whole
        } else if own() || self.claimed.iter().any(|claimed| claimed.starts_with(path)) {
            Keep::Itself
        } else {
            Keep::Nothing
        }
    }

    fn diff_directory(&self, path: &AbsPath, standing: Option<&Vec<Change>>, plan: &mut Plan, metadata: &mut Vec<Op>) {
        let inner = path != &self.path;
        let prefix = |property: &str| {
            if inner {
                format!("{} {property}", self.shown(path))
            } else {
                property.to_owned()
            }
        };
        let meta = self.metadata(self.mode).to_meta();
        match standing {
            None => {
                for (property, value) in [
                    ("owner", self.owner.as_ref().map(Shown::from)),
                    ("group", self.group.as_ref().map(Shown::from)),
                    ("mode", Some(self.mode.unwrap_or(Mode::DIRECTORY).into())),
                ] {
                    if let Some(value) = value {
                        plan.changes.push(Change::new(prefix(property), value));
                    }
                }
                plan.ops.push(Op::MakeDirectory {
                    path: path.clone(),
                    meta,
                });
            }
            Some(changes) if changes.is_empty() => {}
            Some(changes) => {
                plan.changes.extend(changes.iter().cloned().map(|mut change| {
                    change.property = prefix(&change.property);
                    change
                }));
                metadata.push(Op::SetMeta {
                    path: path.clone(),
                    meta,
                });
            }
        }
    }

    /// A path of the tree as a change names it.
    fn shown(&self, path: &AbsPath) -> String {
        path.strip_prefix(&*self.path).unwrap_or(path).display().to_string()
    }
}

impl Provider for Directory {
    type State = Tree;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, role: &dyn Role) -> Result<()> {
        match (self.state, self.source.clone()) {
            (Presence::Absent, Some(_)) => {
                return Err(PropertyError::of("source", "an absent directory holds no tree"));
            }
            (_, Some(source)) => self.load(role, &source)?,
            (_, None) => {}
        }
        if self.source.is_none() && self.purge {
            return Err(PropertyError::of(
                "purge",
                "without `source` nothing says what is to stay",
            ));
        }
        if self.purge && self.path.parent().is_none() {
            return Err(PropertyError::of(
                "purge",
                "`/` holds all files, and is not purged: declare the directories in which something is to go",
            ));
        }
        if self.source.is_none() && self.file_mode.is_some() {
            return Err(PropertyError::of(
                "file_mode",
                "it is for the files of `source`, of which there is none",
            ));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Tree>> {
        let mut tree = Tree {
            directories: Vec::new(),
            files: Vec::new(),
            strays: Vec::new(),
            held: 0,
        };
        if self.state == Presence::Absent {
            // Its metadata does not matter any more, only whether it is a directory.
            if known!(node.entry(&self.path)?).is_some() {
                tree.directories.push(known!(self.standing(node, &self.path)?));
                tree.held = known!(node.list(&self.path)?).len();
            }
            return Ok(Reading::Known(tree));
        }
        for path in self.all() {
            tree.directories.push(known!(self.standing(node, path)?));
        }
        let absent = |path: &AbsPath| {
            let above = self.all().position(|directory| Some(&**directory) == path.parent());
            above.is_some_and(|above| tree.directories[above].is_none())
        };
        for file in self.regulars() {
            tree.files.push(if absent(file.path) {
                known!(file.read_new(node)?)
            } else {
                known!(file.read(node)?)
            });
        }
        if self.purge && tree.directories.first().is_some_and(Option::is_some) {
            tree.strays = known!(node.strays(&self.path, &|path| self.keep(path))?);
        }
        Ok(Reading::Known(tree))
    }

    fn diff(&self, tree: &Tree, _notified: bool) -> Result<Plan> {
        if self.state == Presence::Absent {
            if tree.held > 0 {
                return Err(Refused::because(
                    format!("{} holds {} entries and is not removed", self.path, tree.held),
                    "only an empty directory is removed: declare what is in it absent, or empty it",
                ));
            }
            return Ok(match tree.directories.first() {
                None => Plan::none(),
                Some(_) => Plan::to(Action::Remove)
                    .change(Change::gone("directory", &self.path))
                    .op(Op::Remove {
                        path: self.path.clone(),
                    }),
            });
        }
        let (mut plan, mut metadata) = (Plan::none(), Vec::new());
        for (path, standing) in self.all().zip(&tree.directories) {
            self.diff_directory(path, standing.as_ref(), &mut plan, &mut metadata);
        }
        for (file, standing) in self.regulars().zip(&tree.files) {
            let one = file.diff(standing);
            plan.changes.extend(one.changes.into_iter().map(|mut change| {
                let name = self.shown(file.path);
                change.property = if change.property == "contents" {
                    name
                } else {
                    format!("{name} {}", change.property)
                };
                change
            }));
            plan.ops.extend(one.ops);
        }
        // From the bottom up: once a directory is another user's, what is in it is, too.
        plan.ops.extend(metadata.into_iter().rev());
        for stray in &tree.strays {
            let purged = match stray.holds {
                0 => "purged".to_owned(),
                more => format!("purged, with {more} more below it"),
            };
            plan.changes
                .push(Change::gone(shown_name(stray.path.as_os_str()), purged));
        }
        if !tree.strays.is_empty() {
            plan.ops.push(Op::Purge {
                directory: self.path.clone(),
                strays: tree.strays.clone(),
            });
        }
        plan.action = match tree.directories.first() {
            _ if plan.ops.is_empty() => Action::None,
            Some(None) => Action::Create,
            _ => Action::Update,
        };
        Ok(plan)
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        let directories = self.all().cloned().map(Claim::Path);
        let absent = (self.state == Presence::Absent).then(|| Claim::Absent(self.path.clone()));
        directories
            .chain(self.regulars().flat_map(|file| file.provided()))
            .chain(absent)
            .collect()
    }

    fn purges(&mut self) -> Option<Purge<'_>> {
        self.purge.then_some(Purge {
            directory: &self.path,
            claimed: &mut self.claimed,
        })
    }

    fn requires(&self) -> Vec<Claim> {
        parent::required(&self.path)
            .into_iter()
            .chain(self.metadata(None).required())
            .collect()
    }
}

/// A path below a directory; an error for a name that leads out of it.
fn below(directory: &AbsPath, name: &str) -> Result<AbsPath> {
    format!("{directory}/{name}").parse().map_err(anyhow::Error::msg)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Action, laws::*};
    use crate::system::{Refused, System};

    #[test]
    fn a_directory_is_made_and_kept_as_declared() {
        let declared = || json!({"path": "/srv/app", "owner": "ann", "group": "staff", "mode": "2770"});
        let tree = offline(&[]);
        assert_eq!(
            converge(&tree.node, "directory", declared()).unwrap().action,
            Action::Create
        );
        assert!(converge(&tree.node, "directory", declared()).unwrap().is_empty());
        let plan = converge(&tree.node, "directory", json!({"path": "/srv/app", "mode": "0700"})).unwrap();
        assert_eq!(properties(&plan), ["mode"]);
        assert!(
            error(converge(&tree.node, "directory", json!({"path": "/srv/a/b"})))
                .contains("there is no directory /srv/a")
        );
        assert!(error(converge(&tree.node, "directory", json!({"path": "/etc/passwd"}))).contains("is a file"));
    }

    #[test]
    fn a_tree_is_compared_file_by_file() {
        let declared = || json!({"path": "/srv/www", "source": "site", "owner": "ann", "file_mode": "0640"});
        let tree = offline(&[]);
        let plan = converge(&tree.node, "directory", declared()).unwrap();
        assert!(properties(&plan).contains(&"css/site.css") && properties(&plan).contains(&"index.html"));
        assert_eq!(tree.text("/srv/www/css/site.css"), "p {}\n");
        assert!(converge(&tree.node, "directory", declared()).unwrap().is_empty());
        tree.node.execute(&write("/srv/www/index.html", "other")).unwrap();
        tree.node.execute(&write("/srv/www/more", "mine")).unwrap();
        assert_eq!(
            properties(&converge(&tree.node, "directory", declared()).unwrap()),
            ["index.html"]
        );
        assert_eq!(tree.text("/srv/www/more"), "mine");
        converge(
            &imagined(&[]),
            "directory",
            json!({"path": "/srv/www", "source": "site"}),
        )
        .unwrap();
    }

    #[test]
    fn a_purge_removes_what_the_source_does_not_have() {
        let declared = || json!({"path": "/srv/www", "source": "site", "purge": true});
        let tree = offline(&[]);
        converge(&tree.node, "directory", declared()).unwrap();
        for op in [
            write("/srv/www/css/old.css", ""),
            make_directory("/srv/www/a"),
            make_directory("/srv/www/a/b"),
            write("/srv/www/a/b/c", ""),
            make_link("/srv/www/a/l", "/etc"),
        ] {
            tree.node.execute(&op).unwrap();
        }
        let plan = converge(&tree.node, "directory", declared()).unwrap();
        assert_eq!(properties(&plan), ["a/b/c", "a/b", "a/l", "a", "css/old.css"]);
        assert!(tree.text("/etc/passwd").contains("ann"), "the link was not followed");
        assert!(resource("directory", json!({"path": "/srv/www", "purge": true})).is_err());
    }

    #[test]
    fn only_an_empty_directory_is_removed() {
        let tree = offline(&[make_directory("/srv/a"), write("/srv/a/b", "")]);
        let declared = || json!({"path": "/srv/a", "state": "absent"});
        let error = converge(&tree.node, "directory", declared()).unwrap_err();
        assert!(error.is::<Refused>(), "{error:#}");
        converge(&tree.node, "file", json!({"path": "/srv/a/b", "state": "absent"})).unwrap();
        assert_eq!(
            converge(&tree.node, "directory", declared()).unwrap().action,
            Action::Remove
        );
    }
}
