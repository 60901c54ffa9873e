//! Tables of an older release's format. A server reads and writes them and wants them rebuilt some day; until then CHECK TABLE says that and
//! checks nothing. So the copy is rebuilt, which reads every row, and then checked.

use crate::{
    model::{
        error::{Kind, Result},
        interrupt::Interrupt,
    },
    server::session::Session,
    verify::check_table::last_is_ok,
};

/// Whether CHECK TABLE has said this and nothing worse: `Table rebuild required. Please do "ALTER TABLE `t` FORCE"`, `Upgrade required. Please do
/// "REPAIR TABLE `t`"`.
pub(crate) fn is_said(said: &str) -> bool {
    let said = said.to_lowercase();
    ["rebuild required", "upgrade required"]
        .iter()
        .any(|words| said.contains(words))
}

/// Rebuilds the copy of a table and checks it. The inner error is what is wrong with it.
pub(crate) fn check(session: &mut Session, quoted: &str, interrupt: &Interrupt) -> Result<Result<(), String>> {
    let mut wrong = String::new();
    // Copying a table fails at a row that cannot be read. Repairing one drops the row and says so; some formats are only left by that.
    for rebuild in [format!("ALTER TABLE {quoted} FORCE"), format!("REPAIR TABLE {quoted}")] {
        let rows = match session.within(&rebuild, interrupt, None) {
            Ok(rows) => rows,
            Err(error) if error.kind == Kind::Interrupted => return Err(error),
            Err(error) => return Ok(Err(format!("{error:#}"))),
        };
        let texts = rows.iter().filter_map(|row| row.get("Msg_text").cloned().flatten());
        if let Some(lost) = texts.into_iter().find(|text| text.contains("Number of rows changed")) {
            return Ok(Err(lost));
        }
        let said = session.within(&format!("CHECK TABLE {quoted}"), interrupt, None)?;
        match last_is_ok(&said) {
            Ok(()) => return Ok(Ok(())),
            Err(said) if is_said(&said) => wrong = said,
            Err(said) => return Ok(Err(said)),
        }
    }
    Ok(Err(wrong))
}
