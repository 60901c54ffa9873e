//! `template`: a regular file whose contents are rendered from a template.

use anyhow::Result;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Plan, Provider, Role,
    metadata::Metadata,
    regular::{self, Regular, Standing},
};
use crate::{
    system::{Bytes, Claim, Probe, Reading},
    value::{AbsPath, Mode, Owner},
};

/// A regular file rendered from a Handlebars template, in strict mode: a variable that is missing is an error. The template sees
/// `inputs`, `vars` and `facts` of the role.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Template {
    /// Where it is. Its directory has to be there, or be declared.
    path: AbsPath,
    /// The template, below the role's `templates/`.
    source: String,
    /// Variables of this template alone, on top of the role's.
    #[serde(default)]
    vars: serde_json::Map<String, serde_json::Value>,
    /// Who owns the file; root for a new one, unchanged for one that is there.
    owner: Option<Owner>,
    /// Its group; likewise.
    group: Option<Owner>,
    /// Its permission bits; `"0644"` for a new one, unchanged for one that is there.
    mode: Option<Mode>,
    /// A program and its arguments that has to agree before the file is put in place; `{}` stands for the candidate's path, as in
    /// `[sshd, -t, -f, "{}"]`.
    validate: Option<Vec<String>>,
    #[serde(skip)]
    contents: Bytes,
}

impl Template {
    pub(super) const EXAMPLE: &str =
        "path: /etc/mysql/conf.d/glrl.cnf\nsource: mysql.cnf.hbs\nvars:\n  buffer_pool: 1G\nmode: \"0644\"\n";

    fn regular(&self) -> Regular<'_> {
        Regular {
            path: &self.path,
            contents: Some(&self.contents),
            metadata: Metadata {
                owner: self.owner.as_ref(),
                group: self.group.as_ref(),
                mode: self.mode,
            },
            validate: self.validate.as_deref(),
        }
    }
}

impl Provider for Template {
    type State = Standing;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn prepare(&mut self, role: &dyn Role) -> Result<()> {
        regular::check_validate(self.validate.as_deref())?;
        self.contents = role.render(&self.source, &self.vars)?.into_bytes().into();
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<Standing>> {
        self.regular().read(node)
    }

    fn diff(&self, standing: &Standing, _notified: bool) -> Result<Plan> {
        Ok(self.regular().diff(standing))
    }

    fn provides(&self) -> Vec<Claim> {
        self.regular().provided()
    }

    fn requires(&self) -> Vec<Claim> {
        self.regular().required()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::laws::*;

    #[test]
    fn a_template_is_rendered_and_then_a_file() {
        let declared = || json!({"path": "/etc/app.conf", "source": "conf.hbs", "vars": {"port": 80}, "mode": "0600"});
        let tree = offline(&[]);
        converge(&tree.node, "template", declared()).unwrap();
        assert_eq!(tree.text("/etc/app.conf"), "port = 80\n");
        assert!(converge(&tree.node, "template", declared()).unwrap().is_empty());
        converge(&imagined(&[]), "template", declared()).unwrap();
    }
}
