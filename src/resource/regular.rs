//! A regular file whose contents are known: what `file`, `template`, the files of a `directory` and a file of `cron` have in common.

use std::path::Path;

use anyhow::{Result, bail};

use super::{Action, Change, Plan, PropertyError, Shown, metadata::Metadata, parent};
use crate::{
    system::{Bytes, Claim, Entry, FileType, Op, Probe, Reading, Refused, known},
    value::AbsPath,
};

/// A file as it is declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Regular<'a> {
    pub(super) path: &'a AbsPath,
    /// `None`: whatever it holds; nothing, if it is new.
    pub(super) contents: Option<&'a Bytes>,
    pub(super) metadata: Metadata<'a>,
    pub(super) validate: Option<&'a [String]>,
}

/// What stands at its path.
#[derive(Debug, PartialEq)]
pub(super) struct Standing {
    present: bool,
    /// What it holds, where that is not what is declared.
    other: Option<Bytes>,
    /// How its owner, group and mode have to change.
    metadata: Vec<Change>,
    /// Whether it may be another file under this name, whose owner and mode are not touched.
    suspect: bool,
}

impl Regular<'_> {
    pub(super) fn read(&self, node: &dyn Probe) -> Result<Reading<Standing>> {
        let entry = known!(at(node, self.path)?);
        if entry.is_none() {
            known!(parent::check(node, self.path)?);
        }
        let metadata = known!(self.metadata.compare(node, entry.as_ref())?);
        let other = match self.contents {
            Some(wanted) if entry.is_some() => known!(node.contents(self.path)?).filter(|current| current != wanted),
            _ => None,
        };
        let is_refused = || node.check(&self.set_meta()).is_err_and(|error| error.is::<Refused>());
        Ok(Reading::Known(Standing {
            present: entry.is_some(),
            other,
            suspect: entry.is_some() && !metadata.is_empty() && is_refused(),
            metadata,
        }))
    }

    /// Where nothing can stand yet: its directory is missing too, and comes with it.
    pub(super) fn read_new(&self, node: &dyn Probe) -> Result<Reading<Standing>> {
        Ok(self.metadata.compare(node, None)?.map(|metadata| Standing {
            present: false,
            other: None,
            metadata,
            suspect: false,
        }))
    }

    pub(super) fn diff(&self, standing: &Standing) -> Plan {
        let write = |plan: Plan| {
            plan.op(Op::WriteFile {
                path: self.path.clone(),
                contents: self.contents.cloned().unwrap_or_default(),
                meta: self.metadata.to_meta(),
                validate: self.validate.map(<[String]>::to_vec),
            })
        };
        let wanted = || Shown::contents(self.contents.map_or(&[][..], |contents| contents));
        let mut plan = match standing {
            Standing { present: false, .. } => {
                write(Plan::to(Action::Create).change(Change::new("contents", wanted())))
            }
            Standing { other: Some(other), .. } => {
                write(Plan::to(Action::Update).change(Change::of("contents", Shown::contents(other), wanted())))
            }
            Standing { metadata, .. } if metadata.is_empty() => return Plan::none(),
            // A new file takes its place.
            Standing { suspect: true, .. } if self.contents.is_some() => write(Plan::to(Action::Update)),
            Standing { .. } => Plan::to(Action::Update).op(self.set_meta()),
        };
        plan.changes.extend(standing.metadata.iter().cloned());
        plan
    }

    fn set_meta(&self) -> Op {
        Op::SetMeta {
            path: self.path.clone(),
            meta: self.metadata.to_meta(),
        }
    }

    /// What others can rely on, and may not decide too.
    pub(super) fn provided(&self) -> Vec<Claim> {
        let whole = self.contents.map(|_| Claim::Whole(self.path.clone()));
        [Claim::Path(self.path.clone())].into_iter().chain(whole).collect()
    }

    /// What it requires, once it is to be there.
    pub(super) fn required(&self) -> Vec<Claim> {
        parent::required(self.path)
            .into_iter()
            .chain(self.metadata.required())
            .collect()
    }
}

/// The regular file at a path; an error if something else stands there, which glrl neither follows nor replaces.
pub(super) fn at(node: &dyn Probe, path: &Path) -> Result<Reading<Option<Entry>>> {
    let entry = known!(node.entry(path)?);
    let found = match entry.as_ref().map(|entry| &entry.file_type) {
        None | Some(FileType::File { .. }) => return Ok(Reading::Known(entry)),
        Some(FileType::Link { target }) => bail!(
            "{} is a link to {}: declare the file it leads to, or the link",
            path.display(),
            target.display()
        ),
        Some(FileType::Directory) => "directory",
        Some(FileType::Other) => "device, socket or fifo",
    };
    bail!(
        "{} is a {found}, and glrl does not replace it by a file: move it away first",
        path.display()
    )
}

/// The plan that removes the regular file at a path, if there is one.
pub(super) fn removal(path: &AbsPath, present: bool) -> Plan {
    if !present {
        return Plan::none();
    }
    Plan::to(Action::Remove)
        .change(Change::gone("file", path))
        .op(Op::Remove { path: path.clone() })
}

/// An error if a `validate` does not name the candidate: it would agree to anything.
pub(super) fn check_validate(program: Option<&[String]>) -> Result<()> {
    match program {
        Some(program) if !program.iter().skip(1).any(|arg| arg.contains("{}")) => Err(PropertyError::of(
            "validate",
            "no argument holds `{}`, which stands for the path of the file to look at",
        )),
        _ => Ok(()),
    }
}
