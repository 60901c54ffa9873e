//! No secret among the arguments of a program, which `ps` shows to everybody, that is not said; and none in the environment of any but the
//! programs that the role itself gives it to.

use std::{collections::BTreeSet, fs, path::Path};

use glrl::{
    config, graph,
    system::{Command, Op, Reading, System, overlay::Overlay},
};

use super::{node, request, roles};
use crate::support;

/// No other test of this process says it.
const TOKEN: &str = "argv-swordfish-91";

/// Where a secret can end as an argument: programs of the role's own, and what everybody can read anyway: names, passwd(5), the options of a mount.
const ARGUMENTS: [&str; 12] = [
    "exec command",
    "file validate",
    "group name",
    "logical_volume name",
    "mount options",
    "mount path",
    "package name",
    "template validate",
    "user comment",
    "user home",
    "user name",
    "user shell",
];

#[test]
fn arguments_hold_no_secret_unsaid() {
    let site = tempfile::tempdir().unwrap();
    for directory in ["roles", "templates"] {
        fs::create_dir(site.path().join(directory)).unwrap();
    }
    fs::write(site.path().join("templates/secret.hbs"), roles::TEMPLATE).unwrap();
    let disks = node();
    let base = Overlay::new(&disks);
    establish(&base, site.path());
    let (mut arguments, mut environment, mut unsaid) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let (mut read, mut programs) = (0, 0);
    let variants = roles::variants();
    let all = variants
        .iter()
        .enumerate()
        .filter(|(_, variant)| !variant.property.is_empty());
    for (number, variant) in all {
        let (role, _) = roles::role(&[variant]);
        let device = if variant.kind == "mount" { "data" } else { "empty" };
        let role = role.replace(&format!("/dev/mysql/data{number}"), &format!("/dev/mysql/{device}"));
        let role = role.replace(&format!("/dev/system/swap{number}"), "/dev/mysql/empty");
        fs::write(site.path().join("roles/leaks.yml"), &role).unwrap();
        let Ok(loaded) = config::load(&request(site.path(), TOKEN)) else {
            continue;
        };
        read += 1;
        let node = Overlay::new(&base);
        for declaration in loaded.declarations {
            let Ok(Reading::Known(plan)) = declaration.resource.plan(&node, true) else {
                continue;
            };
            let where_it_is = || format!("{} {}", variant.kind, variant.property);
            let is_said = plan
                .warnings
                .iter()
                .any(|warning| warning.contains("list of processes"));
            for op in &plan.ops {
                let (argv, command) = match op {
                    Op::Run(command) => (command.argv.clone(), Some(command)),
                    Op::WriteFile {
                        validate: Some(argv), ..
                    } => (argv.clone(), None),
                    Op::Install { packages } | Op::Uninstall { packages, .. } => (packages.clone(), None),
                    Op::Unit { name, .. } => (vec![name.to_string()], None),
                    _ => continue,
                };
                programs += 1;
                if argv.iter().any(|arg| arg.contains(TOKEN)) {
                    arguments.insert(where_it_is());
                    if !is_said {
                        unsaid.push(format!("{argv:?}\n{role}"));
                    }
                }
                if command.is_some_and(|Command { env, .. }| env.iter().any(|(_, value)| value.contains(TOKEN))) {
                    environment.insert(where_it_is());
                }
            }
        }
    }
    println!("{read} resources, {programs} programs: {arguments:?}");
    assert!(unsaid.is_empty(), "{}", unsaid.join("\n"));
    assert_eq!(Vec::from_iter(arguments), ARGUMENTS);
    assert_eq!(Vec::from_iter(environment), ["exec env"]);
}

/// What the examples of the kinds need.
const NEEDED: &str = "role: leaks
inputs: { token: { type: string, secret: true } }
resources:
  - directory: /home
  - directory: /srv
  - directory: /etc
  - directory: /etc/mysql
  - directory: /etc/mysql/conf.d
  - group: adm
  - user: www-data
  - directory: /backup
  - volume_group: { name: mysql, devices: [/dev/vdb] }
  - logical_volume: { name: data, volume_group: mysql, size: 1G }
  - logical_volume: { name: empty, volume_group: mysql, size: 1G }
  - filesystem: { device: /dev/mysql/data, type: xfs }
";

/// Makes what is declared so.
fn establish(node: &Overlay<'_>, site: &Path) {
    fs::write(site.join("roles/leaks.yml"), NEEDED).unwrap();
    let loaded = config::load(&request(site, TOKEN))
        .unwrap_or_else(|failure| panic!("{}", support::draw(&failure.diagnostics, &failure.sources)));
    let graph = graph::build(loaded.declarations).unwrap();
    for &index in graph.order() {
        let Ok(Reading::Known(plan)) = graph.get(index).resource.plan(node, false) else {
            panic!("{:?} can be planned", graph.get(index));
        };
        for op in &plan.ops {
            node.execute(op).unwrap();
        }
    }
}
