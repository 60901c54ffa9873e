//! `cron`: a job of cron(8), in its user's table or in a file of its own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    crontab::{job, marker, parted, with},
    cron_field::Field,
    metadata::Metadata,
    parent,
    presence::Presence,
    regular::{self, Regular, Standing},
};
use crate::{
    system::{Bytes, Fact, FileType, Op, Probe, Reading, crontab, known},
    value::{AbsPath, AccountName, JobName, Mode, Owner, Schedule},
};

/// A job that cron runs. The plan shows when it is due next.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cron {
    /// Its name: letters, digits, `_` and `-`.
    name: JobName,
    /// When it runs: five fields of crontab(5), or a nickname. Or say `minute` and what else is needed.
    schedule: Option<Schedule>,
    /// The minute, if there is no `schedule`.
    minute: Option<Field>,
    /// The hour; each, where none is given.
    hour: Option<Field>,
    /// The day of the month; each, where none is given.
    day: Option<Field>,
    /// The month; each, where none is given.
    month: Option<Field>,
    /// The day of the week, 0 or `sun` to 6; each, where none is given.
    weekday: Option<Field>,
    /// Who runs it.
    #[serde(default = "root")]
    user: AccountName,
    /// The command, for /bin/sh. Write `%` as it is: what cron needs before it is added.
    command: Option<String>,
    /// Variables of the job's environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// Where it stands.
    #[serde(default)]
    r#in: Place,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
    /// What stands in the table, or in the file.
    #[serde(skip)]
    text: String,
}

/// Where a job stands. glrl moves it when this changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
enum Place {
    /// The user's own table, where `crontab -l` shows it: a marked pair of lines among those of others.
    #[default]
    #[serde(rename = "crontab")]
    Crontab,
    /// A file of its own, `/etc/cron.d/NAME`.
    #[serde(rename = "cron.d")]
    CronD,
}

/// What of the node matters to a job.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    /// The user's table.
    table: Option<String>,
    file: Found,
    now: jiff::Zoned,
}

/// Variables that cron reads itself, and that in a table are for all the lines below.
const CRONS_OWN: [&str; 5] = ["MAILTO", "MAILFROM", "SHELL", "LOGNAME", "CRON_TZ"];

fn root() -> AccountName {
    "root".parse().unwrap_or_else(|_| unreachable!("root is a name"))
}

impl Cron {
    pub(super) const EXAMPLE: &str = "name: nightly-backup\nschedule: 30 2 * * *\ncommand: /usr/local/bin/glrl backup\n";

    fn file(&self) -> Result<AbsPath> {
        format!("/etc/cron.d/{}", self.name).parse().map_err(anyhow::Error::msg)
    }

    /// The schedule, however it is written.
    fn when(&self) -> Result<Schedule> {
        let fields = [&self.minute, &self.hour, &self.day, &self.month, &self.weekday];
        match (&self.schedule, &self.minute) {
            (Some(_), _) if fields.iter().any(|field| field.is_some()) => Err(PropertyError::of(
                "schedule",
                "a job has a `schedule`, or `minute`, `hour` and so on, not both",
            )),
            (Some(schedule), _) => Ok(schedule.clone()),
            (None, None) => Err(PropertyError::of(
                "minute",
                "say when it runs: `schedule`, or at least `minute`: each minute of an hour is rarely meant",
            )),
            (None, Some(_)) => {
                let fields = fields.map(|field| field.as_ref().map_or("*", |field| &**field));
                let text = fields.join(" ");
                text.parse().map_err(|error: String| PropertyError::of("minute", error))
            }
        }
    }

    /// What stands in the table, or in the file.
    fn render(&self, when: &Schedule, command: &str) -> Result<String> {
        if self.r#in == Place::CronD {
            let mut text = format!("{}\n", marker(&self.name));
            for (name, value) in &self.env {
                let quote = ["\"", "'"]
                    .into_iter()
                    .find(|quote| !value.contains(*quote))
                    .ok_or_else(|| PropertyError::of("env", format!("cron cannot have both kinds of quotes in {name}")))?;
                text.extend([name, "=", quote, value, quote, "\n"]);
            }
            return Ok(format!("{text}{when} {} {command}\n", self.user));
        }
        let mut exports = String::new();
        for (name, value) in &self.env {
            if CRONS_OWN.contains(&name.as_str()) {
                return Err(PropertyError::of(
                    "env",
                    format!("in a table {name} would be for the jobs of others too: say `in: cron.d`"),
                ));
            }
            let value = value.replace('\'', r"'\''").replace('%', r"\%");
            exports.extend([" ", name, "='", &value, "'"]);
        }
        Ok(if exports.is_empty() {
            format!("{when} {command}")
        } else {
            format!("{when} export{exports}; {command}")
        })
    }

    /// Sets or removes the pair of lines in the user's table.
    fn diff_table(&self, table: Option<&str>, wanted: Option<&str>, plan: &mut Plan) -> Result<()> {
        match parted(table.unwrap_or_default(), &self.name) {
            Some(job) if Some(job) == wanted => return Ok(()),
            Some(_) => bail!(
                "in the table of {} something stands between `{}` and its job: put the job right below that line, or remove the line if the \
                 job is not glrl's (crontab -e -u {0})",
                self.user,
                marker(&self.name)
            ),
            None => {}
        }
        let before = job(table.unwrap_or_default(), &self.name);
        let (action, change) = match (before, wanted) {
            (None, Some(wanted)) => (Action::Create, Change::new("job", wanted)),
            (Some(before), Some(wanted)) if before != wanted => (Action::Update, Change::of("job", before, wanted)),
            (Some(before), None) => (Action::Remove, Change::gone("job", before)),
            _ => return Ok(()),
        };
        plan.action = action;
        plan.changes.push(change);
        plan.ops.push(Op::Crontab {
            user: self.user.to_string(),
            table: with(table.unwrap_or_default(), &self.name, wanted).into_bytes().into(),
        });
        Ok(())
    }

    /// Whether a file in `/etc/cron.d` is one that glrl has written.
    fn wrote(&self, contents: &[u8]) -> bool {
        contents.starts_with(format!("{}\n", marker(&self.name)).as_bytes())
    }

    /// The file of its own, as it is.
    fn read_file(&self, node: &dyn Probe) -> Result<Reading<Found>> {
        let path = self.file()?;
        let contents = known!(node.contents(&path)?);
        let ours = contents.as_deref().is_some_and(|contents| self.wrote(contents));
        if self.wanted(Place::CronD).is_none() {
            return Ok(Reading::Known(if ours { Found::Leftover } else { Found::Nothing }));
        }
        if contents.is_some() && !ours {
            bail!("{path} is not glrl's: give the job another name, or move that file away");
        }
        let text = self.text.as_bytes().into();
        Ok(of_its_own(&path, &text).read(node)?.map(Found::Wanted))
    }

    /// What is to stand in a place.
    fn wanted(&self, place: Place) -> Option<&str> {
        (self.state == Presence::Present && self.r#in == place).then_some(self.text.as_str())
    }

    fn diff_file(&self, found: &Found, plan: &mut Plan) -> Result<()> {
        let path = self.file()?;
        let one = match found {
            Found::Nothing => return Ok(()),
            Found::Leftover => regular::removal(&path, true),
            Found::Wanted(standing) => of_its_own(&path, &self.text.as_bytes().into()).diff(standing),
        };
        plan.action = match (plan.action, one.action) {
            (action, Action::None) | (Action::None, action) => action,
            _ => Action::Update,
        };
        plan.changes.extend(one.changes);
        plan.ops.extend(one.ops);
        Ok(())
    }
}

/// The file of its own, as it has to be: cron passes over one that others may write.
fn of_its_own<'a>(path: &'a AbsPath, contents: &'a Bytes) -> Regular<'a> {
        Regular {
            path,
            contents: Some(contents),
            metadata: Metadata {
                owner: Some(&Owner::ROOT),
                group: Some(&Owner::ROOT),
                mode: Some(Mode::FILE),
            },
            validate: None,
        }
    }

/// What `/etc/cron.d/NAME` is to the job.
#[derive(Debug, PartialEq)]
pub(super) enum Found {
    /// Nothing, or a file of others.
    Nothing,
    /// A file that glrl wrote and that is not wanted any more.
    Leftover,
    /// Where the job is to stand.
    Wanted(Standing),
}

impl Provider for Cron {
    type State = State;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.state == Presence::Absent {
            return Ok(());
        }
        let when = self.when()?;
        let Some(command) = &self.command else {
            return Err(PropertyError::of("command", "say what it runs"));
        };
        for (name, value) in &self.env {
            let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !first || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(PropertyError::of("env", format!("'{name}' is not a variable's name")));
            }
            if value.contains('\n') {
                return Err(PropertyError::of("env", format!("cron has no place for a new line in {name}")));
            }
        }
        if command.trim().is_empty() || command.contains('\n') {
            return Err(PropertyError::of("command", "a job is one line: put more into a script"));
        }
        if command.contains(r"\%") {
            return Err(PropertyError::of("command", r"write % without a backslash: glrl adds the one that cron needs"));
        }
        self.text = self.render(&when, &command.trim().replace('%', r"\%"))?;
        self.schedule = Some(when);
        (self.minute, self.hour, self.day, self.month, self.weekday) = (None, None, None, None, None);
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let path = crontab::path(&self.user);
        let table = known!(node.contents(&path)?);
        let file = known!(self.read_file(node)?);
        if self.state == Presence::Present {
            if known!(node.user(&self.user)?).is_none() {
                bail!("there is no user {}: declare it, or need the package that brings it", self.user);
            }
            let directory = known!(node.entry(crontab::DIRECTORY.as_ref())?);
            if self.r#in == Place::Crontab && directory.is_none_or(|entry| entry.file_type != FileType::Directory) {
                bail!("cron is not installed: there is no {}; need package:cron", crontab::DIRECTORY);
            }
        }
        let table = table
            .map(|table| String::from_utf8(table.to_vec()))
            .transpose()
            .with_context(|| format!("{} is not UTF-8", path.display()))?;
        Ok(Reading::Known(State {
            table,
            file,
            now: node.now(),
        }))
    }

    fn diff(&self, state: &State, _notified: bool) -> Result<Plan> {
        let mut plan = Plan::none();
        self.diff_table(state.table.as_deref(), self.wanted(Place::Crontab), &mut plan)?;
        self.diff_file(&state.file, &mut plan)?;
        if let (Some(schedule), Presence::Present, false) = (&self.schedule, self.state, plan.is_empty()) {
            let next = match schedule.next(&state.now) {
                Some(next) => next.strftime("%a %F %R %Z").to_string(),
                None if schedule.as_str() == "@reboot" => "after the next boot".to_owned(),
                None => "never".to_owned(),
            };
            plan.changes.push(Change::passing("next run", next));
        }
        Ok(plan)
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Fact> {
        match self.r#in {
            Place::CronD => {
                let file = self.file().into_iter();
                file.flat_map(|file| [Fact::Path(file.clone()), Fact::Whole(file)]).collect()
            }
            Place::Crontab => {
                let table = crontab::path(&self.user);
                table.to_str().and_then(|table| table.parse().ok()).map(Fact::Part).into_iter().collect()
            }
        }
    }

    fn requires(&self) -> Vec<Fact> {
        let file = self.file().ok();
        [Fact::User(self.user.to_string()), Fact::Package("cron".to_owned())]
            .into_iter()
            .chain(file.as_ref().and_then(parent::required))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Action, Shown, laws::*};
    use crate::system::{Meta, Op, System};

    const TABLE: &str = "/var/spool/cron/crontabs/ann";

    fn cron() -> Vec<Op> {
        let mut ops: Vec<Op> = ["/var/spool", "/var/spool/cron", "/var/spool/cron/crontabs", "/etc/cron.d"]
            .into_iter()
            .map(make_directory)
            .collect();
        ops.push(write("/etc/group", "root:x:0:\nann:x:1042:\ncrontab:x:101:\n"));
        ops
    }

    fn job() -> Value {
        json!({"name": "nightly", "user": "ann", "schedule": "30 2 * * *", "command": "backup --to \"$(date +%F)\""})
    }

    fn with(mut job: Value, changes: Value) -> Value {
        job.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        job
    }

    #[test]
    fn a_job_stands_in_its_users_table_among_others() {
        let tree = offline(&cron());
        tree.node.execute(&write(TABLE, "MAILTO=ann\n0 1 * * * mine\n")).unwrap();
        let plan = converge(&tree.node, "cron", job()).unwrap();
        assert_eq!((plan.action, properties(&plan)), (Action::Create, vec!["job", "next run"]));
        assert_eq!(
            tree.text(TABLE),
            "MAILTO=ann\n0 1 * * * mine\n# glrl: nightly\n30 2 * * * backup --to \"$(date +\\%F)\"\n"
        );
        assert!(converge(&tree.node, "cron", job()).unwrap().is_empty());
        let declared = json!({"path": TABLE, "mode": "0600", "owner": "ann", "group": "crontab"});
        assert!(converge(&tree.node, "file", declared).unwrap().is_empty());
        let later = with(job(), json!({"schedule": "45 2 * * *"}));
        assert_eq!(converge(&tree.node, "cron", later).unwrap().action, Action::Update);
        converge(&tree.node, "cron", with(job(), json!({"state": "absent"}))).unwrap();
        assert_eq!(tree.text(TABLE), "MAILTO=ann\n0 1 * * * mine\n");
    }

    #[test]
    fn what_somebody_puts_between_the_marker_and_the_job_is_told_or_passed_over() {
        let tree = offline(&cron());
        converge(&tree.node, "cron", job()).unwrap();
        let table = tree.text(TABLE).replace("nightly\n", "nightly\n# please do not touch\nMAILTO=ann\n");
        tree.node.execute(&write(TABLE, &table)).unwrap();
        assert!(converge(&tree.node, "cron", job()).unwrap().is_empty(), "it is there");
        for other in [json!({"state": "absent"}), json!({"schedule": "45 2 * * *"})] {
            let said = error(converge(&tree.node, "cron", with(job(), other)));
            assert!(said.contains("something stands between `# glrl: nightly` and its job"), "{said}");
        }
        assert_eq!(tree.text(TABLE), table);
    }

    #[test]
    fn a_job_moves_between_the_table_and_a_file_of_its_own() {
        let tree = offline(&cron());
        converge(&tree.node, "cron", job()).unwrap();
        let own = with(job(), json!({"in": "cron.d", "env": {"MAILTO": "ann", "A": "it's"}}));
        converge(&tree.node, "cron", own.clone()).unwrap();
        assert_eq!(tree.text(TABLE), "");
        assert_eq!(
            tree.text("/etc/cron.d/nightly"),
            "# glrl: nightly\nA=\"it's\"\nMAILTO=\"ann\"\n30 2 * * * ann backup --to \"$(date +\\%F)\"\n"
        );
        assert!(converge(&tree.node, "cron", own.clone()).unwrap().is_empty());
        tree.node.execute(&Op::SetMeta { path: "/etc/cron.d/nightly".parse().unwrap(), meta: Meta { mode: "0664".parse().ok(), ..Meta::default() } }).unwrap();
        assert_eq!(properties(&converge(&tree.node, "cron", own).unwrap()), ["mode", "next run"]);
        converge(&tree.node, "cron", job()).unwrap();
        assert!(tree.node.execute(&Op::Remove { path: "/etc/cron.d/nightly".parse().unwrap() }).is_err());
    }

    #[test]
    fn a_file_of_others_in_cron_d_stays() {
        let tree = offline(&cron());
        tree.node.execute(&write("/etc/cron.d/nightly", "0 1 * * * root theirs\n")).unwrap();
        let own = with(job(), json!({"in": "cron.d"}));
        assert!(error(converge(&tree.node, "cron", own)).contains("is not glrl's"));
        converge(&tree.node, "cron", job()).unwrap();
        converge(&tree.node, "cron", with(job(), json!({"state": "absent"}))).unwrap();
        assert_eq!(tree.text("/etc/cron.d/nightly"), "0 1 * * * root theirs\n");
    }

    #[test]
    fn the_next_run_is_shown_and_never_compared() {
        let node = imagined(&cron());
        converge(&node, "user", json!({"name": "ann", "create_home": false})).unwrap();
        let plan = converge(&node, "cron", with(job(), json!({"env": {"A": "100%"}}))).unwrap();
        let shown: Vec<&Shown> = plan.changes.iter().map(|change| &change.after).collect();
        assert_eq!(
            shown,
            [
                &Shown::from("30 2 * * * export A='100\\%'; backup --to \"$(date +\\%F)\""),
                &Shown::from("Thu 2026-01-01 02:30 UTC")
            ]
        );
    }

    #[test]
    fn fields_may_be_numbers_and_cron_has_to_be_installed() {
        let fields = json!({"name": "a", "minute": 5, "hour": "*/2", "weekday": "mon-fri", "command": "x"});
        let tree = offline(&cron());
        let plan = converge(&tree.node, "cron", fields.clone()).unwrap();
        assert_eq!(plan.changes[0].after, Shown::from("5 */2 * * mon-fri x"));
        let bare = offline(&[]);
        assert!(error(converge(&bare.node, "cron", fields)).contains("cron is not installed"));
        let nobody = json!({"name": "a", "minute": 5, "user": "bob", "command": "x"});
        assert!(error(converge(&tree.node, "cron", nobody)).contains("there is no user bob"));
    }

    #[test]
    fn what_cron_would_misread_is_refused() {
        for wrong in [
            json!({"schedule": "61 * * * *"}),
            json!({"schedule": null, "hour": 3}),
            json!({"minute": 3}),
            json!({"command": "date +\\%F"}),
            json!({"command": "a\nb"}),
            json!({"command": " "}),
            json!({"name": "my.job"}),
            json!({"env": {"MAILTO": "ann"}}),
            json!({"env": {"A B": "x"}}),
            json!({"env": {"A": "x\ny"}}),
        ] {
            assert!(resource("cron", with(job(), wrong.clone())).is_err(), "{wrong}");
        }
    }
}
