//! `cron`: a job of cron(8), in its user's table or in a file of its own.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Action, Change, Plan, PropertyError, Provider, Role, Shown,
    cron_field::Field,
    crontab::{has_marker, is_marker_of, is_parted, job, marker, prefix, with},
    metadata::Metadata,
    parent,
    presence::Presence,
    regular::{self, Regular, Standing},
};
use crate::{
    system::{Bytes, Claim, FileType, Op, Probe, Reading, crontab, known},
    value::{
        AbsPath, AccountName, JobName, Mode, Owner, Schedule,
        secret::{FORMER, Text},
    },
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
    /// The command, for /bin/sh. Write `%` as it is: what cron needs before it is added. Every user of the node can see it while it runs.
    command: Option<Text>,
    /// Variables of the job's environment. Nobody else can see those that hold a secret.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// Where it stands.
    #[serde(default)]
    r#in: Place,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
    /// What stands in the table, or in the file.
    #[serde(skip)]
    text: Text,
    /// Of a table, the lines that set the job's own variables.
    #[serde(skip)]
    variables: Vec<Text>,
}

/// Where a job stands. glrl moves it when this changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
    pub(super) const EXAMPLE: &str =
        "name: nightly-backup\nschedule: 30 2 * * *\ncommand: /usr/local/bin/glrl backup\n";

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

    /// Renders the file, or the line of the table. There a secret of the environment is a variable of the table, which the command
    /// hands on under its name: what stands in the line itself is in cron's log and in the list of processes.
    fn render(&mut self, when: &Schedule, command: &Text) -> Result<()> {
        let mut lines = Vec::new();
        if self.r#in == Place::CronD {
            lines.push(Text::open(format!("{}\n", marker(&self.name))));
            for (name, value) in &self.env {
                lines.extend([assignment(name, name, value)?, Text::open("\n")]);
            }
            lines.extend([
                Text::open(format!("{when} {} ", self.user)),
                command.clone(),
                Text::open("\n"),
            ]);
            self.text = Text::concat(&lines);
            return Ok(());
        }
        lines.push(Text::open(format!("{when} ")));
        for (index, (name, value)) in self.env.iter().enumerate() {
            if CRONS_OWN.contains(&name.as_str()) {
                return Err(PropertyError::of(
                    "env",
                    format!("in a table {name} would be for the jobs of others too: say `in: cron.d`"),
                ));
            }
            lines.push(Text::open(if index == 0 { "export " } else { " " }));
            if value.is_secret() {
                let variable = format!("{}{name}", prefix(&self.name));
                lines.push(Text::open(format!("{name}=\"${variable}\"")));
                self.variables.push(assignment(name, &variable, value)?);
            } else {
                let value = value.escaped(|text| text.replace('\'', r"'\''").replace('%', r"\%"));
                lines.extend([Text::open(format!("{name}='")), value, Text::open("'")]);
            }
        }
        lines.extend([Text::open(if self.env.is_empty() { "" } else { "; " }), command.clone()]);
        self.text = Text::concat(&lines);
        Ok(())
    }

    /// Sets or removes the job in the user's table.
    fn diff_table(&self, table: Option<&str>, plan: &mut Plan) -> Result<()> {
        let table = table.unwrap_or_default();
        let before = job(table, &self.name);
        let wanted = self.wanted(Place::Crontab).map(Text::expose);
        let variables: Vec<String> = self.variables.iter().map(Text::expose).collect();
        if is_parted(table, &self.name) {
            let is_there = |wanted: &String| table.split('\n').any(|line| line == wanted);
            if wanted.as_ref().is_some_and(is_there) && variables.iter().all(is_there) {
                return Ok(());
            }
            bail!(
                "in the table of {} something stands between `{}` and its job: put the job right below that line, or remove the line if the \
                 job is not glrl's (crontab -e -u {0})",
                self.user,
                marker(&self.name)
            );
        }
        match (&before, &wanted) {
            (None, None) if !has_marker(table, &self.name) => return Ok(()),
            (None, None) => {
                plan.action = Action::Remove;
                plan.changes.push(Change::gone("marker", marker(&self.name)));
            }
            (None, Some(_)) => {
                plan.action = Action::Create;
                plan.changes.push(Change::new("job", &self.text));
            }
            (Some(_), None) => {
                plan.action = Action::Remove;
                plan.changes.push(Change::gone("job", &self.name));
            }
            (Some(before), Some(wanted)) => {
                let ends = table.ends_with('\n');
                if before.line == wanted && before.variables == variables && ends {
                    return Ok(());
                }
                if !ends {
                    plan.changes
                        .push(Change::of("end of the table", "cut off", "a new line"));
                }
                plan.action = Action::Update;
                if before.line != wanted {
                    // Earlier versions wrote the secrets of the environment into the line.
                    let hidden = !variables.is_empty() && before.variables.is_empty();
                    let line = if hidden { FORMER } else { before.line };
                    plan.changes.push(Change::of("job", line, &self.text));
                }
                if before.variables != variables {
                    let of = |some: bool| if some { Shown::from(FORMER) } else { Shown::Absent };
                    let after = if variables.is_empty() {
                        Shown::Absent
                    } else {
                        Shown::from(Text::concat(&self.variables))
                    };
                    plan.changes
                        .push(Change::of("variables", of(!before.variables.is_empty()), after));
                }
            }
        }
        let block = wanted.map(|line| variables.iter().chain([&line]).cloned().collect::<Vec<_>>().join("\n"));
        plan.ops.push(Op::Crontab {
            user: self.user.to_string(),
            table: with(table, &self.name, block.as_deref()).into_bytes().into(),
        });
        Ok(())
    }

    /// Whether a file in `/etc/cron.d` is one that glrl has written.
    fn wrote(&self, contents: &[u8]) -> bool {
        let text = String::from_utf8_lossy(contents);
        text.lines().any(|line| is_marker_of(line, &self.name))
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
        let text = self.text.expose().into_bytes().into();
        Ok(self.of_its_own(&path, &text).read(node)?.map(Found::Wanted))
    }

    /// What is to stand in a place.
    fn wanted(&self, place: Place) -> Option<&Text> {
        (self.state == Presence::Present && self.r#in == place).then_some(&self.text)
    }

    /// The file of its own, as it has to be: cron passes over one that others may write, and reads one that only root can read.
    fn of_its_own<'a>(&self, path: &'a AbsPath, contents: &'a Bytes) -> Regular<'a> {
        Regular {
            path,
            contents: Some(contents),
            metadata: Metadata {
                owner: Some(&Owner::ROOT),
                group: Some(&Owner::ROOT),
                mode: Some(if self.text.is_secret() {
                    Mode::PRIVATE
                } else {
                    Mode::FILE
                }),
            },
            validate: None,
        }
    }

    fn diff_file(&self, found: &Found, plan: &mut Plan) -> Result<()> {
        let path = self.file()?;
        let one = match found {
            Found::Nothing => return Ok(()),
            Found::Leftover => regular::removal(&path, true),
            Found::Wanted(standing) => {
                let text = self.text.expose().into_bytes().into();
                self.of_its_own(&path, &text).diff(standing)
            }
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

/// A line that sets a variable. cron knows no escapes there, but both kinds of quotes (crontab(5)).
fn assignment(declared: &str, name: &str, value: &Text) -> Result<Text> {
    let exposed = value.expose();
    let quote = ["\"", "'"]
        .into_iter()
        .find(|quote| !exposed.contains(*quote))
        .ok_or_else(|| PropertyError::of("env", format!("cron cannot have both kinds of quotes in {declared}")))?;
    let (quote, name) = (Text::open(quote), Text::open(format!("{name}=")));
    Ok(Text::concat([&name, &quote, value, &quote]))
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
            if value.expose().contains('\n') {
                return Err(PropertyError::of(
                    "env",
                    format!("cron has no place for a new line in {name}"),
                ));
            }
        }
        let exposed = command.expose();
        if exposed.trim().is_empty() || exposed.contains('\n') {
            return Err(PropertyError::of(
                "command",
                "a job is one line: put more into a script",
            ));
        }
        if exposed.contains(r"\%") {
            return Err(PropertyError::of(
                "command",
                r"write % without a backslash: glrl adds the one that cron needs",
            ));
        }
        let command = command.trimmed().escaped(|text| text.replace('%', r"\%"));
        self.render(&when, &command)?;
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
                bail!(
                    "there is no user {}: declare it, or need the package that brings it",
                    self.user
                );
            }
            let directory = known!(node.entry(crontab::DIRECTORY.as_ref())?);
            if self.r#in == Place::Crontab && directory.is_none_or(|entry| entry.file_type != FileType::Directory) {
                bail!(
                    "cron is not installed: there is no {}; need package:cron",
                    crontab::DIRECTORY
                );
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
        self.diff_table(state.table.as_deref(), &mut plan)?;
        self.diff_file(&state.file, &mut plan)?;
        if let (Some(schedule), Presence::Present, false) = (&self.schedule, self.state, plan.is_empty()) {
            let next = match schedule.next(&state.now) {
                Some(next) => next.strftime("%a %F %R %Z").to_string(),
                None if schedule.as_str() == "@reboot" => "after the next boot".to_owned(),
                None => "never".to_owned(),
            };
            plan.changes.push(Change::passing("next run", next));
        }
        if self.command.as_ref().is_some_and(Text::is_secret) && self.state == Presence::Present {
            plan = plan.warn(
                "its command holds a secret, which every user can see in the list of processes, and cron logs: hand it over in `env`",
            );
        }
        Ok(plan)
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        match self.r#in {
            Place::CronD => {
                let file = self.file().into_iter();
                file.flat_map(|file| [Claim::Path(file.clone()), Claim::Whole(file)])
                    .collect()
            }
            Place::Crontab => {
                let table = crontab::path(&self.user);
                table
                    .to_str()
                    .and_then(|table| table.parse().ok())
                    .map(Claim::Part)
                    .into_iter()
                    .collect()
            }
        }
    }

    fn requires(&self) -> Vec<Claim> {
        let file = self.file().ok();
        [Claim::User(self.user.to_string()), Claim::Package("cron".to_owned())]
            .into_iter()
            .chain(file.as_ref().and_then(parent::required))
            .collect()
    }
}

#[cfg(test)]
mod tests;
