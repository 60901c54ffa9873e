use serde_json::{Value, json};

use super::super::{Action, Shown, laws::*};
use crate::system::{Meta, Op, System};

const TABLE: &str = "/var/spool/cron/crontabs/ann";

fn cron() -> Vec<Op> {
    let mut ops: Vec<Op> = [
        "/var/spool",
        "/var/spool/cron",
        "/var/spool/cron/crontabs",
        "/etc/cron.d",
    ]
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
    job.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    job
}

#[test]
fn a_job_stands_in_its_users_table_among_others() {
    let tree = offline(&cron());
    tree.node
        .execute(&write(TABLE, "MAILTO=ann\n0 1 * * * mine\n"))
        .unwrap();
    let plan = converge(&tree.node, "cron", job()).unwrap();
    assert_eq!(
        (plan.action, properties(&plan)),
        (Action::Create, vec!["job", "next run"])
    );
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
    let table = tree
        .text(TABLE)
        .replace("nightly\n", "nightly\n# please do not touch\nMAILTO=ann\n");
    tree.node.execute(&write(TABLE, &table)).unwrap();
    assert!(converge(&tree.node, "cron", job()).unwrap().is_empty(), "it is there");
    for other in [json!({"state": "absent"}), json!({"schedule": "45 2 * * *"})] {
        let said = error(converge(&tree.node, "cron", with(job(), other)));
        assert!(
            said.contains("something stands between `# glrl: nightly` and its job"),
            "{said}"
        );
    }
    assert_eq!(tree.text(TABLE), table);
}

type Mangle = fn(&str) -> String;

/// Whatever editors and panels do to a table or a file: the job is found again and runs once, or the plan says why not.
#[test]
fn a_job_is_found_again_whatever_was_done_to_its_file() {
    let other = with(job(), json!({"name": "zero", "command": "zero"}));
    let mangled: [(&str, Mangle); 8] = [
        ("line ends", |text| text.replace('\n', "\r\n")),
        ("trailing blanks", |text| text.replace('\n', " \n")),
        ("tabs", |text| text.replace(' ', "\t")),
        ("blank lines", |text| text.replace('\n', "\n\n")),
        ("comments", |text| text.replace('\n', "\n# mine\n")),
        ("on top", |text| format!("# mine\n\n{text}")),
        ("no end", |text| text.trim_end().to_owned()),
        ("sorted", |text| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.sort_unstable();
            lines.join("\n") + "\n"
        }),
    ];
    for (how, mangle) in mangled {
        for place in ["crontab", "cron.d"] {
            let tree = offline(&cron());
            let [one, other] = [job(), other.clone()].map(|job| with(job, json!({"in": place})));
            for job in [&one, &other] {
                converge(&tree.node, "cron", job.clone()).unwrap();
            }
            let file = if place == "crontab" {
                TABLE
            } else {
                "/etc/cron.d/nightly"
            };
            let text = mangle(&tree.text(file));
            tree.node.execute(&write(file, &text)).unwrap();
            let found = converge(&tree.node, "cron", one.clone());
            let found_other = converge(&tree.node, "cron", other.clone());
            let runs = tree.text(file);
            assert_eq!(runs.matches("backup").count(), 1, "{how} {place}: {found:?} {runs}");
            if place == "crontab" {
                assert_eq!(runs.matches(" zero").count(), 2, "{how}: {found_other:?} {runs}");
            }
            let gone = converge(&tree.node, "cron", with(one, json!({"state": "absent"})));
            match gone {
                Ok(_) if place == "cron.d" => {
                    let path = file.parse().unwrap();
                    assert!(tree.node.execute(&Op::Remove { path }).is_err(), "{how}: it is gone");
                }
                Ok(_) => assert!(!tree.text(TABLE).contains("nightly"), "{how}: {}", tree.text(TABLE)),
                Err(_) => {
                    let said = error(gone);
                    assert!(
                        said.contains("something stands between `# glrl: nightly` and its job"),
                        "{how}: {said}"
                    );
                }
            }
        }
    }
}

/// Somebody has removed the job, and not the line above it.
#[test]
fn a_marker_that_has_lost_its_job_goes() {
    let tree = offline(&cron());
    tree.node
        .execute(&write(TABLE, "# glrl: nightly\nMAILTO=ann\n"))
        .unwrap();
    let plan = converge(&tree.node, "cron", with(job(), json!({"state": "absent"}))).unwrap();
    assert_eq!(properties(&plan), ["marker"]);
    assert_eq!(tree.text(TABLE), "MAILTO=ann\n");
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
    tree.node
        .execute(&Op::SetMeta {
            path: "/etc/cron.d/nightly".parse().unwrap(),
            meta: Meta {
                mode: "0664".parse().ok(),
                ..Meta::default()
            },
        })
        .unwrap();
    assert_eq!(
        properties(&converge(&tree.node, "cron", own).unwrap()),
        ["mode", "next run"]
    );
    converge(&tree.node, "cron", job()).unwrap();
    assert!(
        tree.node
            .execute(&Op::Remove {
                path: "/etc/cron.d/nightly".parse().unwrap()
            })
            .is_err()
    );
}

/// Cases 03, 04 and 25.
#[test]
fn a_secret_is_neither_shown_nor_in_the_line() {
    let token = r"it's-100%-Kq81\mine";
    crate::value::secret::register(token);
    let tree = offline(&cron());
    tree.node.execute(&write(TABLE, "0 1 * * * mine\n")).unwrap();
    let job = with(
        job(),
        json!({"command": format!("push --token {token}"), "env": {"A": "it's", "TOKEN": token}}),
    );
    let shown = |plan: &crate::resource::Plan| {
        let said = format!("{:?} {:?}", plan.changes, plan.warnings);
        assert!(!said.contains("Kq81") && !said.contains("sesame"), "{said}");
        said
    };
    let plan = converge(&tree.node, "cron", job.clone()).unwrap();
    assert!(shown(&plan).contains("push --token ‹secret›"), "{plan:?}");
    assert!(plan.warnings[0].contains("list of processes"), "{plan:?}");
    assert_eq!(
        tree.text(TABLE),
        "0 1 * * * mine\n# glrl: nightly\nGLRL_nightly_TOKEN=\"it's-100%-Kq81\\mine\"\n\
         30 2 * * * export A='it'\\''s' TOKEN=\"$GLRL_nightly_TOKEN\"; push --token it's-100\\%-Kq81\\mine\n"
    );
    // What stood there before, as this version and as earlier ones wrote it.
    for former in [
        "GLRL_nightly_TOKEN=\"open sesame\"\n30 2 * * * export TOKEN=\"$GLRL_nightly_TOKEN\"; push --token open\\%sesame\n",
        "@daily export TOKEN='sesame'; push\n",
    ] {
        tree.node
            .execute(&write(TABLE, &format!("# glrl: nightly\n{former}")))
            .unwrap();
        shown(&converge(&tree.node, "cron", job.clone()).unwrap());
    }
    let own = with(job.clone(), json!({"in": "cron.d"}));
    shown(&converge(&tree.node, "cron", own.clone()).unwrap());
    assert!(
        tree.text("/etc/cron.d/nightly")
            .contains("\nTOKEN=\"it's-100%-Kq81\\mine\"\n")
    );
    let file = json!({"path": "/etc/cron.d/nightly", "mode": "0600"});
    assert!(
        converge(&tree.node, "file", file).unwrap().is_empty(),
        "nobody else can read it"
    );
    for job in [job, own] {
        converge(&tree.node, "cron", job.clone()).unwrap();
        let gone = converge(&tree.node, "cron", with(job, json!({"state": "absent"}))).unwrap();
        let said = shown(&gone);
        assert!(!said.contains("push"), "{said}");
    }
}

#[test]
fn a_file_of_others_in_cron_d_stays() {
    let tree = offline(&cron());
    tree.node
        .execute(&write("/etc/cron.d/nightly", "0 1 * * * root theirs\n"))
        .unwrap();
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
