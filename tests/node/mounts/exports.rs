//! Exports files: what glrl finds in them is what the server exports.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::{Context, Result, ensure};
use glrl::system::octal;
use glrl_lab::Node;

use super::{glrl, role, said, write};

const PATHS: [&str; 5] = ["/srv/x/a b", "/srv/x/c#d", "/srv/x/e", "/srv/x/e/f", "/srv/x/g\"(h)"];
/// Ways to write each.
const SPELLED: [[&str; 3]; 5] = [
    ["\"/srv/x/a b\"", "/srv/x/a\\040b", "/srv/x/a\" \"b/"],
    ["/srv/x/c#d", "\"/srv/x/c#d\"", "/srv/x/c\\043d"],
    ["/srv/x/e", "/srv//x/e/", "/srv/link/e"],
    ["/srv/x/e/f", "\"/srv/x/e/f/\"", "/srv/x/\\145/f"],
    ["/srv/x/g\\042(h)", "/srv/x/g\\042\\050h\\051", "\"/srv/x/g\\042(h)\""],
];
const CLIENTS: [&str; 7] = [
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.3",
    "10.1.0.0/16",
    "10.2.0.0/255.255.0.0",
    "*",
    "*.example.org",
];

/// Numbers that look like chance and are the same each time.
struct Dice(u32);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as usize % sides
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.throw(all.len())]
    }
}

/// A file as people write them.
fn file(dice: &mut Dice) -> String {
    let mut text = String::new();
    for _ in 0..9 {
        text.push_str(dice.one_of(&[
            "",
            " ",
            "\t",
            "# a comment \\\n",
            "\n",
            "  #\n",
            "#/srv/x/e 10.0.0.1(rw)\n",
        ]));
        text.push_str(SPELLED[dice.throw(SPELLED.len())][dice.throw(3)]);
        for n in 0..dice.throw(4) {
            text.push_str(dice.one_of(&[" ", "\t", "  ", "\\\n", " \\\n\t"]));
            if n == 0 {
                text.push_str(dice.one_of(&["", "", "-ro,sync "]));
            }
            text.push_str(dice.one_of(&CLIENTS));
            text.push_str(dice.one_of(&["", "(rw)", "(ro,sync,no_subtree_check)", "\"(rw)\"", "()"]));
        }
        text.push_str(dice.one_of(&["\n", " \n", " # why\\\n", "\r\n", "\t#\n"]));
    }
    text
}

/// What the server says that it exports: `exportfs -s`.
fn exported(node: &Node) -> Result<BTreeSet<(String, String)>> {
    let line = |line: &str| -> Result<(String, String)> {
        let (rest, _) = line.rsplit_once('(').with_context(|| line.to_owned())?;
        let (path, client) = rest
            .trim_end()
            .rsplit_once(char::is_whitespace)
            .with_context(|| line.to_owned())?;
        let client = if client == "<world>" { "*" } else { client };
        Ok((octal::decode(path.trim()), client.to_owned()))
    };
    node.run("exportfs -s")?.lines().map(line).collect()
}

/// Every directory and client that the server exports is one that glrl finds declared elsewhere, and no other is.
pub(super) fn are_read_as_the_server_reads_them(node: &Node) -> Result<()> {
    node.run("mkdir -p '/srv/x/a b' '/srv/x/c#d' /srv/x/e/f '/srv/x/g\"(h)' /etc/exports.d && ln -s x /srv/link")?;
    for seed in [1, 2] {
        let mut dice = Dice(seed);
        write(node, "/etc/exports", &file(&mut dice))?;
        write(node, "/etc/exports.d/other.exports", &file(&mut dice))?;
        write(node, "/etc/exports.d/unread.txt", "/srv/x/e 10.0.0.99(rw)\n")?;
        // It says no of what a file exports twice, and exports it.
        node.run("exportfs -ra 2> /dev/null || true")?;
        let server = exported(node)?;
        ensure!(server.len() > 10, "it exports {server:?}");
        let mut found = BTreeSet::new();
        for client in CLIENTS {
            let mut resources = String::new();
            for path in PATHS {
                writeln!(
                    resources,
                    "  - nfs_export: {{ path: {path:?}, clients: {{ \"{client}\": [rw] }} }}"
                )?;
            }
            role(node, &resources)?;
            let plan = said(node, "plan --role /root/role.yml")?;
            for id in plan.with("planned", "failed") {
                let path = id.trim_start_matches("nfs_export:").to_owned();
                found.insert((path, client.to_owned()));
            }
        }
        ensure!(found == server, "glrl finds {found:?}, the server exports {server:?}");
    }
    node.run("rm /etc/exports.d/* && echo > /etc/exports && exportfs -ra")
        .map(drop)
}

/// A line that exportfs does not take, of whomever, and nothing of glrl's stays behind; what was exported still is.
pub(super) fn are_taken_back_when_the_server_refuses_them(node: &Node) -> Result<()> {
    let export = |client: &str| format!("  - nfs_export: {{ path: /srv/x/e, clients: {{ {client}: [rw] }} }}\n");
    role(node, &export("10.0.0.1"))?;
    ensure!(
        said(node, "converge --role /root/role.yml")?.status == 0,
        "it was not exported"
    );
    let file = "/etc/exports.d/glrl-srv-x-e.exports";
    let before = (node.run(&format!("cat {file}"))?, exported(node)?);
    node.run("echo '/srv/x/c#d 10.0.0.9(bogus)' > /etc/exports")?;
    role(node, &export("10.0.0.2"))?;
    let refused = glrl(node, "converge --role /root/role.yml")?;
    let text = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.status == 1 && text.contains("bogus"), "it is not told: {text}");
    let after = (node.run(&format!("cat {file}"))?, exported(node)?);
    ensure!(before == after, "it was {before:?} and is {after:?}");
    node.run(&format!("rm {file}; echo > /etc/exports; exportfs -ra"))
        .map(drop)
}
