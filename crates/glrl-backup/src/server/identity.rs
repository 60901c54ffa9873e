//! Asks a server what it is.

use std::collections::BTreeMap;

use anyhow::Context;

use crate::{
    model::{
        error::Result,
        interrupt::Interrupt,
        server::{COMPONENT, COMPONENT_FILE, Flavour, Plugin, Server, VARIABLES, Version},
    },
    server::session::{Session, scalar},
};

impl Server {
    /// Asks a server what it is.
    pub(crate) fn of(session: &mut Session) -> Result<Self> {
        let version_text =
            scalar(&session.rows("SELECT VERSION() AS value")?).context("the server names no version")?;
        let version =
            Version::parse(&version_text).with_context(|| format!("cannot read the version {version_text}"))?;
        let flavour = if version_text.contains("MariaDB") {
            Flavour::MariaDb
        } else {
            Flavour::MySql
        };
        let names: Vec<String> = VARIABLES
            .iter()
            .map(|(name, _)| *name)
            .chain(["server_uuid", "server_uid"])
            .map(|name| format!("'{name}'"))
            .collect();
        let mut variables: BTreeMap<String, String> = session
            .rows(&format!(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})",
                names.join(",")
            ))?
            .into_iter()
            .filter_map(|mut row| Some((row.remove("Variable_name")??, row.remove("Value")??)))
            .collect();
        let uuid = variables
            .remove("server_uuid")
            .into_iter()
            .chain(variables.remove("server_uid"))
            .next();
        let mut libraries: Vec<Plugin> = session
            .rows(
                "SELECT PLUGIN_NAME AS name, PLUGIN_LIBRARY AS file, PLUGIN_TYPE AS kind FROM information_schema.PLUGINS \
                 WHERE PLUGIN_LIBRARY IS NOT NULL AND PLUGIN_STATUS = 'ACTIVE' ORDER BY 1",
            )?
            .into_iter()
            .filter_map(|mut row| {
                Some(Plugin {
                    name: row.remove("name")??,
                    library: row.remove("file")??,
                    kind: row.remove("kind")??,
                })
            })
            .collect();
        if let Some((component, file)) = keyring_component(session)? {
            libraries.push(component);
            variables.extend(file.map(|file| (COMPONENT_FILE.to_owned(), file)));
        }
        Ok(Self {
            flavour,
            version,
            version_text,
            uuid,
            plugins: libraries.iter().map(|plugin| plugin.name.clone()).collect(),
            libraries,
            variables,
        })
    }
}

/// The component that has the keys of a server, and their file. MariaDB has none, MySQL before 8.0.24 does not say, and not every account may ask.
fn keyring_component(session: &mut Session) -> Result<Option<(Plugin, Option<String>)>> {
    const SQL: &str =
        "SELECT STATUS_KEY AS name, STATUS_VALUE AS value FROM performance_schema.keyring_component_status";
    let rows = session.attempt(SQL, &Interrupt::default(), None)?.unwrap_or_default();
    let mut said: BTreeMap<String, String> = rows
        .into_iter()
        .filter_map(|mut row| Some((row.remove("name")??, row.remove("value")??)))
        .collect();
    let active = said.get("Component_status").is_some_and(|status| status == "Active");
    let name = said.remove("Component_name").filter(|_| active);
    Ok(name.map(|name| {
        let component = Plugin {
            library: format!("{name}.so"),
            name,
            kind: COMPONENT.to_owned(),
        };
        (component, said.remove("Data_file"))
    }))
}
