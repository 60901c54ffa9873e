//! A part of the graph: `--only` these and what they need, `--skip` those.

use super::{Declaration, Graph};
use crate::{source::suggest, value::Id};

/// Which resources a run is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// These and what they need; all if it is empty.
    pub only: Vec<Id>,
    /// Not these.
    pub skip: Vec<Id>,
}

impl Graph {
    /// Marks what is not selected as skipped. An error names an id that nobody declares.
    pub fn select(&mut self, selection: &Selection) -> Result<(), String> {
        let find = |id: &Id| {
            let position = |is: &dyn Fn(&Declaration) -> bool| self.declarations.iter().position(is);
            position(&|declaration| declaration.id == *id)
                // As the role writes it, with its secret.
                .or_else(|| position(&|declaration| declaration.resource.id() == *id))
                .ok_or_else(|| {
                    match suggest(
                        id.as_str(),
                        self.declarations.iter().map(|declaration| declaration.id.as_str()),
                    ) {
                        Some(near) => format!("no resource {id} is declared; did you mean {near}?"),
                        None => format!("no resource {id} is declared"),
                    }
                })
        };
        let mut wanted = vec![selection.only.is_empty(); self.len()];
        let mut open = selection.only.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let skip = selection.skip.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut wanted[index], true) {
                open.extend(self.before(index).map(|(before, _)| before));
            }
        }
        for index in skip {
            wanted[index] = false;
        }
        for (declaration, wanted) in self.declarations.iter_mut().zip(wanted) {
            if !wanted && declaration.skipped.is_none() {
                declaration.skipped = Some("not selected".to_owned());
            }
        }
        Ok(())
    }
}
