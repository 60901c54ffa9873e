//! `user`: an account of passwd(5), by shadow-utils, and its home.

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    Action, Change, Plan, PropertyError, Provider, Role,
    home::{self, Home},
    number, parent,
    presence::Presence,
};
use crate::{
    system::{Claim, Command, Effect, Group, Op, Probe, Reading, User as Entry, known},
    value::{AbsPath, AccountName, Owner},
};

/// An account. It is made without a password that works. Removing it never removes its home.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    /// Its login name.
    name: AccountName,
    /// Its number; the next free one for a new account.
    uid: Option<u32>,
    /// Its primary group, by name or number. A new account gets a group of its own name where none is declared.
    group: Option<Owner>,
    /// Groups it is a member of; it may be in others too.
    #[serde(default)]
    groups: Vec<AccountName>,
    /// Its home directory. For a new account `/home/NAME`, or `/nonexistent` for a system account. A home that is changed is not
    /// moved.
    home: Option<AbsPath>,
    /// Its login shell. For a new account `/bin/bash`, or `/usr/sbin/nologin` for a system account.
    shell: Option<AbsPath>,
    /// Its full name.
    comment: Option<String>,
    /// Whether a new account is one of the system: a number of that range (`SYS_UID_MIN` of login.defs(5)), no home, no login.
    #[serde(default)]
    system: bool,
    /// Whether its home is made where it is missing, with the files of /etc/skel; by default unless it is a system account.
    create_home: Option<bool>,
    /// Whether it is to be there.
    #[serde(default)]
    state: Presence,
    /// Numbers that others are to have.
    #[serde(skip)]
    others: Vec<u32>,
}

/// What of the node matters to an account.
#[derive(Debug, PartialEq)]
pub(super) struct State {
    user: Option<Entry>,
    /// The number of a new account, declared or chosen.
    uid: Option<u32>,
    /// The number of the declared primary group.
    primary: Option<u32>,
    /// The group of the account's own name.
    own_group: Option<Group>,
    /// The declared groups, as they are.
    groups: Vec<Group>,
    /// The number of a group that useradd makes with the account, where that is known: the account's own, if no group has it.
    gid_to_come: Option<u32>,
    /// The number of that group where it is chosen: useradd would take any.
    own_gid: Option<u32>,
    /// What has to be made of its home.
    home: Option<Home>,
}

impl User {
    pub(super) const EXAMPLE: &str = "name: app\ncomment: The application\ngroups: [adm]\nshell: /bin/bash\n";

    fn home_of(&self, user: Option<&Entry>) -> String {
        match (&self.home, user) {
            (Some(home), _) => home.to_string(),
            (None, Some(user)) => user.home.clone(),
            (None, None) if self.system => "/nonexistent".to_owned(),
            (None, None) => format!("/home/{}", self.name),
        }
    }

    fn create_home(&self) -> bool {
        self.state == Presence::Present && self.create_home.unwrap_or(!self.system)
    }

    /// The primary group of a new account: the declared one, one of its own name that is there, or one that is made with it.
    fn primary(&self) -> Owner {
        self.group.clone().unwrap_or_else(|| Owner::Name(self.name.to_string()))
    }

    fn create(&self, state: &State) -> Plan {
        let shell = match &self.shell {
            Some(shell) => shell.to_string(),
            None if self.system => "/usr/sbin/nologin".to_owned(),
            None => "/bin/bash".to_owned(),
        };
        let home = self.home_of(None);
        let mut argv = vec!["useradd".to_owned(), "--no-create-home".to_owned()];
        let mut option = |name: &str, value: String| argv.extend([name.to_owned(), value]);
        if let Some(uid) = state.uid {
            option("--uid", uid.to_string());
        }
        let uid = state.uid.map_or_else(|| "next free".to_owned(), |uid| uid.to_string());
        let mut plan = Plan::to(Action::Create)
            .change(Change::new("uid", uid))
            .change(Change::new("group", self.primary()))
            .change(Change::new("home", &home))
            .change(Change::new("shell", &shell));
        option("--home-dir", home.clone());
        option("--shell", shell.clone());
        if let Some(comment) = &self.comment {
            plan = plan.change(Change::new("comment", comment));
            option("--comment", comment.clone());
        }
        let mut effects = Vec::new();
        let gid = if self.group.is_none() && state.own_group.is_none() {
            let gid = state.own_gid.or(state.gid_to_come);
            let group = Effect::Group(
                self.name.to_string(),
                Some(Group {
                    name: self.name.to_string(),
                    gid,
                    members: Vec::new(),
                }),
            );
            if let Some(own) = state.own_gid {
                let groupadd = ["groupadd", "--gid", &own.to_string(), &self.name].map(str::to_owned);
                plan = plan.op(Op::Run(Command::new(groupadd).makes([group])));
                argv.extend(["--gid".to_owned(), self.name.to_string()]);
            } else {
                argv.push("--user-group".to_owned());
                effects.push(group);
            }
            gid
        } else {
            argv.extend(["--gid".to_owned(), self.primary().to_string()]);
            state.primary.or(state.own_group.as_ref().and_then(|group| group.gid))
        };
        let groups = self.joined(state);
        if !groups.is_empty() {
            let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            plan = plan.change(Change::new("groups", names.join(",")));
            argv.extend(["--groups".to_owned(), names.join(",")]);
        }
        if self.system {
            argv.push("--system".to_owned());
        }
        argv.push(self.name.to_string());
        effects.push(Effect::User(
            self.name.to_string(),
            Some(Entry {
                name: self.name.to_string(),
                uid: state.uid,
                gid,
                comment: self.comment.clone().unwrap_or_default(),
                home,
                shell,
                groups: sorted(groups.iter().map(|group| group.name.clone())),
            }),
        ));
        effects.extend(
            groups
                .into_iter()
                .map(|group| Effect::Group(group.name.clone(), Some(group))),
        );
        plan.op(Op::Run(Command::new(argv).makes(effects)))
    }

    fn update(&self, state: &State, user: &Entry) -> Plan {
        let mut after = user.clone();
        let mut plan = Plan::none();
        let mut argv = vec!["usermod".to_owned()];
        if let (Some(wanted), Some(uid)) = (self.uid, user.uid)
            && wanted != uid
        {
            plan = plan
                .change(Change::of("uid", uid, wanted))
                .warn(format!("files of user {uid} outside its home keep that number"));
            argv.extend(["--uid".to_owned(), wanted.to_string()]);
            after.uid = Some(wanted);
        }
        if let (Some(group), Some(wanted)) = (&self.group, state.primary)
            && user.gid.is_some_and(|gid| gid != wanted)
        {
            plan = plan.change(Change::of("group", user.gid.unwrap_or_default(), group));
            argv.extend(["--gid".to_owned(), group.to_string()]);
            after.gid = Some(wanted);
        }
        for (property, option, wanted, current) in [
            (
                "home",
                "--home",
                self.home.as_ref().map(AbsPath::as_str),
                &mut after.home,
            ),
            (
                "shell",
                "--shell",
                self.shell.as_ref().map(AbsPath::as_str),
                &mut after.shell,
            ),
            ("comment", "--comment", self.comment.as_deref(), &mut after.comment),
        ] {
            if let Some(wanted) = wanted.filter(|wanted| wanted != current) {
                plan = plan.change(Change::of(property, &*current, wanted));
                argv.extend([option.to_owned(), wanted.to_owned()]);
                wanted.clone_into(current);
            }
        }
        let groups = self.joined(state);
        if !groups.is_empty() {
            let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            after.groups = sorted(
                user.groups
                    .iter()
                    .cloned()
                    .chain(names.iter().map(|&name| name.to_owned())),
            );
            plan = plan.change(Change::of("groups", user.groups.join(","), after.groups.join(",")));
            argv.extend(["--append".to_owned(), "--groups".to_owned(), names.join(",")]);
        }
        if plan.changes.is_empty() {
            return plan;
        }
        plan.action = Action::Update;
        argv.push(self.name.to_string());
        let effects = groups
            .into_iter()
            .map(|group| Effect::Group(group.name.clone(), Some(group)));
        let user = Effect::User(self.name.to_string(), Some(after));
        plan.op(Op::Run(Command::new(argv).makes(effects.chain([user]))))
    }

    /// userdel(8) without `--remove`: the home stays. A group of the account's own that nobody else is in goes with it.
    fn remove(&self, state: &State, user: &Entry) -> Plan {
        let mut effects = vec![Effect::User(self.name.to_string(), None)];
        if let Some(group) = &state.own_group
            && group.gid == user.gid
            && group.members.iter().all(|member| **member == *self.name)
        {
            effects.push(Effect::Group(group.name.clone(), None));
        }
        Plan::to(Action::Remove)
            .change(Change::gone("user", &self.name))
            .op(Op::Run(
                Command::new(["userdel".to_owned(), self.name.to_string()]).makes(effects),
            ))
    }

    /// The declared groups that it is not in yet, with it as a member.
    fn joined(&self, state: &State) -> Vec<Group> {
        let mut groups: Vec<Group> = state
            .groups
            .iter()
            .filter(|group| group.members.iter().all(|member| **member != *self.name))
            .cloned()
            .collect();
        for group in &mut groups {
            group.members.push(self.name.to_string());
        }
        groups
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A group that has to be there.
fn group(node: &dyn Probe, name: &str) -> Result<Reading<Group>> {
    match known!(node.group(name)?) {
        Some(group) => Ok(Reading::Known(group)),
        None => bail!("there is no group {name}: declare it, or need the package that brings it"),
    }
}

impl Provider for User {
    type State = State;

    fn name(&self) -> String {
        self.name.to_string()
    }

    fn prepare(&mut self, _role: &dyn Role) -> Result<()> {
        if self.state == Presence::Absent && &*self.name == "root" {
            return Err(PropertyError::of("state", "no node works without root"));
        }
        if self.uid == Some(u32::MAX) {
            return Err(PropertyError::of("uid", "the last number is no account's"));
        }
        if self
            .comment
            .as_ref()
            .is_some_and(|comment| comment.contains([':', '\n']))
        {
            return Err(PropertyError::of(
                "comment",
                "passwd(5) has no place for a colon or a new line",
            ));
        }
        Ok(())
    }

    fn read(&self, node: &dyn Probe) -> Result<Reading<State>> {
        let user = known!(node.user(&self.name)?);
        if let (Some(uid), Presence::Present) = (self.uid, self.state)
            && let Some(holder) = known!(node.users()?)
                .iter()
                .find(|other| other.uid == Some(uid) && other.name != *self.name)
        {
            bail!(
                "uid {uid} is taken by {}: declare another, or give {0} another before",
                holder.name
            );
        }
        let own_group = known!(node.group(&self.name)?);
        let mut state = State {
            user,
            uid: self.uid,
            primary: None,
            own_group,
            groups: Vec::new(),
            gid_to_come: None,
            own_gid: None,
            home: None,
        };
        if self.state == Presence::Absent {
            return Ok(Reading::Known(state));
        }
        if self.uid.is_none() && state.user.is_none() {
            state.uid = known!(number::free(node, self.system, &self.others)?);
        }
        state.primary = match &self.group {
            Some(Owner::Name(name)) => known!(group(node, name)?).gid,
            Some(Owner::Id(gid)) => Some(*gid),
            None => None,
        };
        for name in &self.groups {
            state.groups.push(known!(group(node, name)?));
        }
        if let (Some(uid), None, None) = (state.uid, &self.group, &state.own_group) {
            let is_taken = known!(node.groups()?).iter().any(|group| group.gid == Some(uid));
            state.gid_to_come = (!is_taken).then_some(uid);
            if is_taken && state.user.is_none() {
                state.own_gid = known!(number::free(node, self.system, &self.others)?);
            }
        }
        if self.create_home() {
            state.home = known!(home::read(node, &self.home_of(state.user.as_ref()))?);
        }
        Ok(Reading::Known(state))
    }

    fn diff(&self, state: &State, _notified: bool) -> Result<Plan> {
        let mut plan = match (self.state, &state.user) {
            (Presence::Absent, None) => Plan::none(),
            (Presence::Absent, Some(user)) => self.remove(state, user),
            (Presence::Present, None) => self.create(state),
            (Presence::Present, Some(user)) => self.update(state, user),
        };
        if let Some(home) = &state.home {
            let group = match &state.user {
                Some(Entry { gid: Some(gid), .. }) if self.group.is_none() => Owner::Id(*gid),
                _ => self.primary(),
            };
            home.clone()
                .make(&mut plan, &Owner::Name(self.name.to_string()), &group);
        }
        Ok(plan)
    }

    fn is_absent(&self) -> bool {
        self.state == Presence::Absent
    }

    fn provides(&self) -> Vec<Claim> {
        let own_group = self.group.is_none().then(|| Claim::Group(self.name.to_string()));
        let home = self
            .create_home()
            .then(|| self.home_of(None).parse().ok())
            .flatten()
            .map(Claim::Made);
        [Claim::User(self.name.to_string())]
            .into_iter()
            .chain(self.uid.map(Claim::Number))
            .chain(own_group)
            .chain(home)
            .collect()
    }

    fn numbers(&mut self) -> Option<&mut Vec<u32>> {
        Some(&mut self.others)
    }

    fn requires(&self) -> Vec<Claim> {
        let primary = match self.primary() {
            Owner::Name(name) => Some(Claim::Group(name)),
            Owner::Id(_) => None,
        };
        let home = self.create_home().then(|| self.home_of(None).parse().ok()).flatten();
        primary
            .into_iter()
            .chain(self.groups.iter().map(|name| Claim::Group(name.to_string())))
            .chain(home.as_ref().and_then(parent::required))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Action, laws::*};
    use crate::system::{Op, System};

    #[test]
    fn an_account_comes_with_its_group_and_home() {
        let declared = || json!({"name": "app", "groups": ["staff"], "comment": "The app"});
        let skeleton = [
            write("/etc/login.defs", "HOME_MODE 0750\nUSERGROUPS_ENAB yes\n"),
            make_directory("/etc/skel"),
            write("/etc/skel/.profile", "# hello\n"),
            make_directory("/etc/skel/.config"),
            make_link("/etc/skel/.config/l", "x"),
        ];
        let tree = offline(&skeleton);
        let plan = converge(&tree.node, "user", declared()).unwrap();
        assert_eq!(plan.action, Action::Create);
        assert_eq!(
            properties(&plan),
            ["uid", "group", "home", "shell", "comment", "groups", "home directory"]
        );
        assert_eq!(tree.text("/home/app/.profile"), "# hello\n");
        assert!(tree.text("/etc/group").contains("staff:x:50:ann,app"));
        assert!(converge(&tree.node, "user", declared()).unwrap().is_empty());
        let home = json!({"path": "/home/app", "owner": "app", "group": "app", "mode": "0750"});
        assert!(converge(&tree.node, "directory", home).unwrap().is_empty());
    }

    /// Whether userdel takes the group along, or leaves it to glrl, is said by login.defs.
    #[test]
    fn an_account_goes_with_its_group_whatever_the_tree_says_of_that() {
        for login_defs in ["", "USERGROUPS_ENAB yes\n", "USERGROUPS_ENAB no\n"] {
            let tree = offline(&[write("/etc/login.defs", login_defs)]);
            let plan = converge(&tree.node, "user", json!({"name": "ann", "state": "absent"})).unwrap();
            assert_eq!(plan.action, Action::Remove);
            assert!(!tree.text("/etc/passwd").contains("ann:"), "{login_defs}");
            assert!(!tree.text("/etc/group").contains("ann:x:1042"), "{login_defs}");
        }
    }

    #[test]
    fn what_is_made_with_an_account_is_foreseen() {
        let node = imagined(&[
            make_directory("/home"),
            make_directory("/etc/skel"),
            write("/etc/skel/.profile", "# hello\n"),
        ]);
        converge(&node, "group", json!({"name": "readers", "gid": 2000})).unwrap();
        converge(&node, "user", json!({"name": "app", "groups": ["readers"]})).unwrap();
        for (kind, declared) in [
            (
                "directory",
                json!({"path": "/home/app", "owner": "app", "group": "app", "mode": "0755"}),
            ),
            (
                "file",
                json!({"path": "/home/app/.profile", "content": "# hello\n", "owner": "app"}),
            ),
            ("group", json!({"name": "app"})),
        ] {
            assert!(
                converge(&node, kind, declared.clone()).unwrap().is_empty(),
                "{declared}"
            );
        }
    }

    #[test]
    fn an_account_that_is_there_is_changed_where_it_is_declared() {
        let (tree, node) = (offline(&[make_directory("/home/ann")]), imagined(&[]));
        assert!(converge(&tree.node, "user", json!({"name": "ann"})).unwrap().is_empty());
        converge(&node, "group", json!({"name": "staff"})).unwrap();
        converge(&node, "user", json!({"name": "ann", "uid": 1042, "create_home": false})).unwrap();
        for declared in [
            json!({"name": "ann", "uid": 1043, "shell": "/bin/zsh", "comment": "Ann B.", "create_home": false}),
            json!({"name": "ann", "group": "staff", "home": "/srv/ann", "create_home": false}),
        ] {
            for node in [&tree.node as &dyn System, &node] {
                let plan = converge(node, "user", declared.clone()).unwrap();
                assert_eq!(plan.action, Action::Update, "{declared}");
            }
        }
        assert!(
            tree.text("/etc/passwd")
                .contains("ann:x:1043:50:Ann B.:/srv/ann:/bin/zsh")
        );
    }

    #[test]
    fn a_home_that_an_interrupted_run_left_out_is_made() {
        let tree = offline(&[]);
        let plan = converge(&tree.node, "user", json!({"name": "ann"})).unwrap();
        assert_eq!(properties(&plan), ["home directory"]);
        assert!(matches!(plan.ops[..], [Op::MakeHome { .. }]));
    }

    #[test]
    fn a_removed_account_leaves_its_home() {
        let tree = offline(&[]);
        converge(&tree.node, "user", json!({"name": "app"})).unwrap();
        tree.node.execute(&write("/home/app/work", "mine")).unwrap();
        let gone = || json!({"name": "app", "state": "absent"});
        converge(&tree.node, "user", gone()).unwrap();
        assert_eq!(tree.text("/home/app/work"), "mine");
        assert!(!tree.text("/etc/passwd").contains("app") && !tree.text("/etc/group").contains("app"));
        assert!(tree.text("/etc/passwd").contains("ann"));
        assert!(converge(&tree.node, "user", gone()).unwrap().is_empty());
    }

    #[test]
    fn a_system_account_has_no_home_and_no_login() {
        let tree = offline(&[]);
        converge(&tree.node, "user", json!({"name": "db", "system": true, "uid": 777})).unwrap();
        assert!(tree.text("/etc/passwd").contains("::/nonexistent:/usr/sbin/nologin"));
    }

    #[test]
    fn groups_have_to_be_there() {
        let tree = offline(&[]);
        let declared = json!({"name": "app", "groups": ["wheel"]});
        assert!(error(converge(&tree.node, "user", declared)).contains("there is no group wheel"));
        let nowhere = json!({"name": "app", "home": "/opt/apps/app"});
        assert!(error(converge(&tree.node, "user", nowhere)).contains("there is no directory /opt/apps"));
    }
}
