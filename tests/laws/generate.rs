//! Roles at random, of all kinds that work in a tree, and trees for them.

use std::{collections::HashSet, fs, os::unix::fs::symlink, path::Path};

use glrl::value::Id;
use serde_json::{Map, Value, json};

/// Numbers that look random, and are the same for the same seed (splitmix64).
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below this number.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("it is below a usize")
    }

    /// In so many of a hundred times.
    pub(super) fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    pub(super) fn one_of<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len())]
    }
}

/// A role in the making.
#[derive(Default)]
struct Role {
    resources: Vec<Value>,
    ids: Vec<String>,
    /// Directories that things can be put into; those that go are not among them.
    directories: Vec<String>,
    users: Vec<String>,
    groups: Vec<String>,
    /// Numbers that are declared, each with its kind: two of one are a mistake that is found before.
    numbers: Vec<(&'static str, u32)>,
    number: usize,
}

const CONTENTS: [&str; 5] = ["", "one\n", "one\ntwo\n", "no end", "ünï\n\ttab\n"];

/// The text of a role with about so many resources.
pub(super) fn role(dice: &mut Dice, size: usize) -> String {
    let mut role = Role {
        directories: vec!["/srv".to_owned(), "/etc".to_owned(), "/opt".to_owned()],
        ..Role::default()
    };
    while role.resources.len() < size {
        match dice.below(100) {
            0..35 => role.file(dice),
            35..50 => role.directory(dice),
            50..60 => role.link(dice),
            60..70 => role.line(dice),
            70..78 => role.template(dice),
            78..84 => role.cron(dice),
            84..90 => role.pair_that_goes(dice),
            90..92 => role.tree(dice),
            92..94 if role.users.len() < 3 => role.user(dice),
            94..96 if role.groups.len() < 3 => role.group(dice),
            96..98 => role.several(dice),
            _ => role.nothing(dice),
        }
    }
    // The order in the file says nothing.
    for at in (1..role.resources.len()).rev() {
        role.resources.swap(at, dice.below(at + 1));
    }
    json!({"role": "laws", "resources": role.resources}).to_string()
}

impl Role {
    fn name(&mut self) -> String {
        self.number += 1;
        format!("n{}", self.number)
    }

    fn path(&mut self, dice: &mut Dice) -> String {
        let name = self.name();
        format!("{}/{name}", dice.one_of(&self.directories))
    }

    /// Adds a resource, with some of what every resource can say.
    fn add(&mut self, dice: &mut Dice, kind: &str, id: String, properties: Value) {
        let mut resource = Map::new();
        resource.insert(kind.to_owned(), properties);
        if dice.percent(10) && !self.ids.is_empty() {
            resource.insert("needs".to_owned(), json!(dice.one_of(&self.ids)));
        }
        if dice.percent(4) {
            resource.insert("when".to_owned(), json!(format!("${{{} > 0}}", dice.below(3))));
        }
        if dice.percent(5) {
            resource.insert("protect".to_owned(), json!(true));
        }
        self.resources.push(Value::Object(resource));
        self.ids.push(id);
    }

    fn owned(&self, dice: &mut Dice, mut properties: Value) -> Value {
        let map = properties.as_object_mut().expect("it is a map");
        if dice.percent(15) && !self.users.is_empty() {
            map.insert("owner".to_owned(), json!(dice.one_of(&self.users)));
        }
        if dice.percent(15) && !self.groups.is_empty() {
            map.insert("group".to_owned(), json!(dice.one_of(&self.groups)));
        }
        if dice.percent(30) {
            map.insert("mode".to_owned(), json!(dice.one_of(&["0644", "0600", "2750", "0755"])));
        }
        properties
    }

    fn file(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let properties = if dice.percent(15) {
            json!({"path": path, "state": "absent"})
        } else if dice.percent(10) {
            self.owned(dice, json!({"path": path}))
        } else {
            let mut properties = json!({"path": path, "content": dice.one_of(&CONTENTS)});
            if dice.percent(10) {
                properties["validate"] = json!([dice.one_of(&["true", "false"]), "{}"]);
            }
            self.owned(dice, properties)
        };
        self.add(dice, "file", format!("file:{path}"), properties);
    }

    fn directory(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let properties = self.owned(dice, json!({"path": path}));
        self.add(dice, "directory", format!("directory:{path}"), properties);
        self.directories.push(path);
    }

    fn link(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let properties = if dice.percent(20) {
            json!({"path": path, "state": "absent"})
        } else {
            json!({"path": path, "target": dice.one_of(&["/etc", "../x", "/nowhere"])})
        };
        self.add(dice, "link", format!("link:{path}"), properties);
    }

    fn line(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let (create, absent) = (dice.percent(70), dice.percent(20));
        for text in ["one", "two = 2", "three"].iter().take(1 + dice.below(3)) {
            let properties = if absent {
                json!({"path": path, "line": text, "state": "absent"})
            } else {
                json!({"path": path, "line": text, "create": create})
            };
            self.add(dice, "line", format!("line:{path} {text}"), properties);
        }
    }

    fn template(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let number = dice.below(9);
        let properties = self.owned(dice, json!({"path": path, "source": "t.hbs", "vars": {"n": number}}));
        self.add(dice, "template", format!("template:{path}"), properties);
    }

    fn cron(&mut self, dice: &mut Dice) {
        let name = self.name();
        let user = if self.users.is_empty() || dice.percent(50) {
            "root".to_owned()
        } else {
            dice.one_of(&self.users).clone()
        };
        let place = *dice.one_of(&["crontab", "cron.d"]);
        let properties = if dice.percent(20) {
            json!({"name": name, "user": user, "in": place, "state": "absent"})
        } else {
            let schedule = *dice.one_of(&["* * * * *", "@daily", "30 2 * * 1"]);
            json!({"name": name, "user": user, "in": place, "schedule": schedule, "command": "x 100%", "env": {"A": "1"}})
        };
        self.add(dice, "cron", format!("cron:{name}"), properties);
    }

    /// A directory and what is in it, which are all to go.
    fn pair_that_goes(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        for (kind, path) in [
            ("directory", path.clone()),
            ("directory", format!("{path}/d")),
            ("file", format!("{path}/d/f")),
            ("link", format!("{path}/l")),
        ] {
            let mut resource = Map::new();
            resource.insert(kind.to_owned(), json!({"path": path, "state": "absent"}));
            self.resources.push(Value::Object(resource));
        }
    }

    fn tree(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let properties = json!({"path": path, "source": "site", "purge": dice.percent(70)});
        self.add(dice, "directory", format!("directory:{path}"), properties);
    }

    fn user(&mut self, dice: &mut Dice) {
        let name = format!("u{}", self.users.len());
        if dice.percent(20) {
            // Its group is often its own.
            let gone = *dice.one_of(&["tim", "ann"]);
            if !self.ids.iter().any(|id| *id == format!("user:{gone}")) {
                self.add(
                    dice,
                    "user",
                    format!("user:{gone}"),
                    json!({"name": gone, "state": "absent"}),
                );
            }
            return;
        }
        let mut properties = json!({"name": name, "create_home": dice.percent(30)});
        // Others may have any number but those.
        if dice.percent(60) {
            self.number_of("uid", *dice.one_of(&[1042, 1044, 3000, 3001, 3002]), &mut properties);
        }
        if dice.percent(40) && !self.groups.is_empty() {
            properties["groups"] = json!([dice.one_of(&self.groups)]);
        }
        self.add(dice, "user", format!("user:{name}"), properties);
        self.users.push(name);
    }

    fn group(&mut self, dice: &mut Dice) {
        let name = format!("g{}", self.groups.len());
        let mut properties = json!({"name": name});
        if dice.percent(60) {
            self.number_of(
                "gid",
                *dice.one_of(&[50, 1044, 1045, 3000, 3001, 3003]),
                &mut properties,
            );
        }
        self.add(dice, "group", format!("group:{name}"), properties);
        self.groups.push(name);
    }

    /// Declares a number that no other has.
    fn number_of(&mut self, key: &'static str, number: u32, properties: &mut Value) {
        if !self.numbers.contains(&(key, number)) {
            self.numbers.push((key, number));
            properties[key] = json!(number);
        }
    }

    fn several(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let mut resource = Map::new();
        resource.insert(
            "file".to_owned(),
            json!({"path": format!("{path}-${{each.value}}"), "content": "${each.key}\n"}),
        );
        resource.insert("for_each".to_owned(), json!(["a", "b", "c"]));
        self.resources.push(Value::Object(resource));
    }

    /// Something that cannot be: it fails in the plan, and takes along what needs it.
    fn nothing(&mut self, dice: &mut Dice) {
        let path = self.path(dice);
        let properties = match dice.below(4) {
            0 => json!({"path": format!("{path}/no/directory"), "content": "x"}),
            1 => json!({"path": path, "owner": "nobody-of-this-name"}),
            2 => json!({"path": format!("/srv/link/{}", self.name()), "content": "x"}),
            _ => json!({"path": path, "content": "${vars.x}".replace("${vars.x}", "x")}),
        };
        let id = format!("file:{}", properties["path"].as_str().unwrap_or_default());
        self.add(dice, "file", id, properties);
    }
}

/// A tree in which some of what roles are about is there, in some way.
#[expect(clippy::disallowed_methods, reason = "it makes what is tested")]
pub(super) fn populate(dice: &mut Dice, root: &Path) {
    let directories = [
        "etc/cron.d",
        "etc/skel",
        "srv",
        "opt",
        "home",
        "var/spool/cron/crontabs",
        "var/mail",
    ];
    for directory in directories {
        fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    let write = |path: &str, text: &str| fs::write(root.join(path), text).expect("a file");
    write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\nann:x:1042:1042::/home/ann:/bin/sh\ntim:x:1043:1043::/home/tim:/bin/sh\n",
    );
    write(
        "etc/group",
        "root:x:0:\nann:x:1042:\ntim:x:1043:\nstaff:x:50:ann\ncrontab:x:101:\n",
    );
    write("etc/shadow", "root:*:1::::::\nann:!:1::::::\ntim:!:1::::::\n");
    write("etc/gshadow", "root:*::\nann:!::\ntim:!::\nstaff:!::ann\ncrontab:!::\n");
    if dice.percent(50) {
        write(
            "etc/login.defs",
            "USERGROUPS_ENAB yes\nUID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\n",
        );
    }
    symlink("/nowhere", root.join("srv/link")).expect("a link");
    for number in 1..80 {
        let path = root
            .join(dice.one_of(&["srv", "etc", "opt"]))
            .join(format!("n{number}"));
        match dice.below(8) {
            0 => fs::write(&path, dice.one_of(&CONTENTS)).expect("a file"),
            1 => fs::create_dir(&path).expect("a directory"),
            2 => symlink("/etc", &path).expect("a link"),
            3 => {
                fs::create_dir_all(path.join("d")).expect("a directory");
                fs::write(path.join("d/f"), "x").expect("a file");
                symlink("x", path.join("l")).expect("a link");
            }
            _ => {}
        }
    }
}

/// What lies beside the roles.
#[expect(clippy::disallowed_methods, reason = "it makes what is tested")]
pub(super) fn beside(directory: &Path) {
    for below in ["templates", "files/site/css", "roles"] {
        fs::create_dir_all(directory.join(below)).expect("a directory");
    }
    fs::write(directory.join("templates/t.hbs"), "n = {{n}}\n").expect("a file");
    fs::write(directory.join("files/site/index.html"), "<p>\n").expect("a file");
    fs::write(directory.join("files/site/css/a.css"), "p {}\n").expect("a file");
}

/// The files of a role that a program may refuse.
pub(super) fn validated(role: &str) -> HashSet<Id> {
    let role: Value = serde_json::from_str(role).expect("it is JSON");
    let resources = role["resources"].as_array().expect("a list").iter();
    let files = resources.filter_map(|resource| resource.get("file").filter(|file| file.get("validate").is_some()));
    files
        .map(|file| Id::new("file", file["path"].as_str().expect("a path")))
        .collect()
}
