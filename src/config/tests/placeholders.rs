//! Roles that are checked without values: what is made up for them makes no mistakes.

use super::Site;

#[test]
fn roles_are_checked_without_values() {
    let role = r#"
inputs: { device: device, server: { type: host, secret: true }, names: list of string, flag: { type: string, optional: true } }
resources:
  - directory: "/mnt/${inputs.server}"
  - directory: "/x/${each.value}"
    for_each: ${inputs.names}
  - directory: "/flag/${inputs.flag}"
    when: ${inputs.flag != null}
"#;
    assert!(Site::role(role).load().is_err());
    assert_eq!(
        Site::role(role).samples().ids(),
        [
            "directory:/mnt/server.example.org",
            "directory:/x/names",
            "directory:/flag/flag"
        ]
    );
    // What is left out is read all the same.
    let wrong = role.replace(
        "\"/flag/${inputs.flag}\"",
        "{ path: \"/flag/${inputs.flag}\", mode: 755 }",
    );
    assert!(Site::role(&wrong).samples().errors().contains("quote it"));
}

#[test]
fn what_is_made_up_makes_no_mistakes() {
    let role = r#"
inputs:
  name: string
  size: { type: string, optional: true }
  schedule: { type: string, optional: true }
  shares: map of string
  disks: { type: list of string, optional: true }
vars:
  upper: "${inputs.name.upperAscii()}"
  device: "${inputs.size != null ? inputs.size : null}"
resources:
  - directory: { path: "${inputs.name}", mode: "${inputs.name}" }
    needs: ["directory:${inputs.name}", directory:/literal]
  - directory: { path: "/${inputs.shares.data}/${int(inputs.name)}" }
  - directory: { path: "/share/${each.value}", mode: "${each.value}" }
    for_each: ${inputs.shares}
  - logical_volume: { name: data, volume_group: vg, size: "${inputs.size}" }
    when: ${inputs.size != null}
    notify: ["directory:${inputs.size}"]
  - logical_volume: { name: more, volume_group: vg, size: "${vars.device}" }
    when: ${inputs.size != null}
  - cron: { name: job, schedule: "${inputs.schedule}", command: "true" }
    when: ${inputs.schedule != null}
  - filesystem: { device: "/dev/vg/data", type: "${inputs.size}" }
    when: ${inputs.size != null}
  - directory: { path: "/disk", mode: "${inputs.disks[3]}" }
    when: ${inputs.disks != null && size(inputs.disks) > 3}
  - directory: /literal
"#;
    let site = Site::role(role).samples();
    let loaded = site.load().unwrap_or_else(|failure| panic!("{}", site.plain(&failure)));
    let shown: Vec<_> = loaded
        .declarations
        .iter()
        .map(|d| (d.id.as_str(), d.skipped.is_some()))
        .collect();
    assert_eq!(
        shown,
        [
            ("directory:/example/319", false),
            ("directory:/example/445", false),
            ("directory:/share/shares", false),
            ("logical_volume:vg/data", true),
            ("logical_volume:vg/more", true),
            ("cron:job", true),
            ("filesystem:/dev/vg/data", true),
            ("directory:/disk", true),
            ("directory:/literal", false),
        ]
    );
    assert_eq!(loaded.declarations[0].needs.len(), 1, "what is made up names nothing");
    // With values the same resources are left out, and what is given is held to its type.
    let site = Site::role(role).set("name=x").set("shares={data: y}");
    assert_eq!(
        site.errors(),
        "roles/demo.yml:12:24: 'x' is not an absolute path: start it with /\nroles/demo.yml:12:48: 'x' is not a mode: write three or four octal digits in quotes, as in \"0644\"\nroles/demo.yml:14:50: int(): string parse error: invalid digit found in string\nroles/demo.yml:15:54: 'y' is not a mode: write three or four octal digits in quotes, as in \"0644\"\n"
    );
    // Mistakes that no value would mend are said all the same, and one wrong value makes no others.
    let wrong = role
        .replace("type: \"${inputs.size}\"", "tipe: \"${inputs.size}\"")
        .replace("inputs.disks[3]", "inputs.disk[3]");
    let errors = Site::role(&wrong).samples().errors();
    assert!(errors.contains("'tipe'") && errors.contains("'disk'"), "{errors}");
    let site = Site::role(
        "inputs: { port: int, name: string }\nvars: { next: '${inputs.port + 1}' }\nresources: [ { directory: '${inputs.name}/${vars.next}' } ]",
    );
    let errors = site.set("port=many").set("name=/srv").errors();
    assert_eq!(
        errors.lines().filter(|line| !line.starts_with(' ')).count(),
        1,
        "{errors}"
    );
}
