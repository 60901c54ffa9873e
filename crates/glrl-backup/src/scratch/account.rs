//! The account that replays binary logs on MariaDB. Without accounts (`--skip-grant-tables`) MariaDB refuses `GRANT role TO user`, and from
//! 11.x on `CREATE EVENT`. So its server is started with the accounts of the data and one more, which is made by `--init-file` before anybody
//! can log in, is in no binary log, and is gone when the replay is done.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{model::owner::Owner, server::session::Session};

/// An account that may do everything, with a password that nobody has seen.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) password: String,
    /// The statements that make it, and the option file of whoever logs in, as a server that runs there sees them.
    pub(crate) init_file: PathBuf,
    pub(crate) option_file: PathBuf,
}

impl Account {
    /// Writes what makes an account into `directory`, which is at `seen` for the server and its tools.
    pub(crate) fn prepare(directory: &Path, seen: &Path, owner: Owner) -> Result<Self> {
        const INIT: &str = "account.sql";
        const OPTIONS: &str = "account.cnf";
        let mut random = [0; 20];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut random))
            .context("making up a password")?;
        let digits = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let account = Self {
            name: format!("glrl_{}", digits(&random[..4])),
            // With what password checks ask for.
            password: format!("Aa1_{}", digits(&random[4..])),
            init_file: seen.join(INIT),
            option_file: seen.join(OPTIONS),
        };
        let Self { name, password, .. } = &account;
        for (file, text) in [
            (
                INIT,
                format!(
                    "SET sql_log_bin = 0;\nCREATE USER {name}@localhost IDENTIFIED BY '{password}';\n\
                     GRANT ALL PRIVILEGES ON *.* TO {name}@localhost WITH GRANT OPTION;\n"
                ),
            ),
            (OPTIONS, format!("[client]\nuser={name}\npassword={password}\n")),
        ] {
            write(&directory.join(file), &text, owner)?;
        }
        Ok(account)
    }

    /// Removes it, and leaves nothing of it in the binary log.
    pub(crate) fn remove(&self, session: &mut Session) -> Result<()> {
        session.rows("SET SESSION sql_log_bin = 0")?;
        session.rows(&format!("DROP USER {}@localhost", self.name))?;
        Ok(())
    }
}

fn write(path: &Path, text: &str, owner: Owner) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(doing)?;
    file.write_all(text.as_bytes()).with_context(doing)?;
    chown(path, Some(owner.uid), Some(owner.gid)).with_context(doing)
}
