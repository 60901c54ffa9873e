//! What a throw-away server may not do, and what a verification may not leave.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use mysql::{Conn, OptsBuilder, Row, prelude::Queryable};

use crate::{
    model::{error::Kind, interrupt::Interrupt, step::Step, verdict::Grade},
    operate::job::verify,
    settings::Settings,
    tests::{
        servers::{Programs, on_both_flavours, on_every_server},
        support::{Behaviour, Server, names},
    },
};

on_every_server!(a_throw_away_server_opens_no_port_and_runs_nothing,);
on_both_flavours!(a_signal_ends_every_phase_of_a_verification,);

/// The processes that have this directory as their working directory, as servers have their datadir.
fn processes_in(directory: &Path) -> Vec<String> {
    let Ok(wanted) = fs::metadata(directory) else {
        return Vec::new();
    };
    names(Path::new("/proc"))
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| {
            fs::metadata(Path::new("/proc").join(pid).join("cwd"))
                .is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
        })
        .collect()
}

fn backed_up(server: &Server) -> Settings {
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    server.backup(&settings, &Behaviour::default()).unwrap();
    settings
}

/// Looks at the throw-away server from outside and from inside.
fn look(server: &Server, datadir: &Path) {
    let pids = processes_in(datadir);
    assert_eq!(pids.len(), 1, "{pids:?}");
    let own = format!("/proc/{}", pids[0]);
    // No socket of any kind, in a network namespace that is not this one.
    for protocol in ["tcp", "tcp6", "udp", "udp6"] {
        let sockets = fs::read_to_string(format!("{own}/net/{protocol}")).unwrap_or_default();
        assert!(sockets.lines().count() <= 1, "{sockets}");
    }
    assert_ne!(
        fs::read_link(format!("{own}/ns/net")).unwrap(),
        fs::read_link("/proc/self/ns/net").unwrap()
    );
    let status = fs::read_to_string(format!("{own}/status")).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(!line("Uid:").contains("\t0"), "{status}");
    assert_eq!(line("NoNewPrivs:"), "NoNewPrivs:\t1");
    assert_eq!(line("CapEff:"), "CapEff:\t0000000000000000");
    // What stands at the original's place is the copy.
    let original = fs::metadata(server.data()).unwrap();
    let seen = fs::metadata(format!("{own}/root{}", server.data().display())).unwrap();
    assert_ne!(original.ino(), seen.ino());
    // Its socket is out of everybody's reach, and what is to be run by the data is not.
    let outer = fs::metadata(datadir.parent().unwrap()).unwrap();
    assert_eq!(outer.mode() & 0o777, 0o700);
    let socket = datadir.join("glrl-verify.sock");
    let options = OptsBuilder::new()
        .socket(socket.to_str())
        .user(Some("root"))
        .prefer_socket(false);
    let mut conn = Conn::new(options).unwrap();
    let count = |conn: &mut Conn| conn.query_first::<u64, _>("SELECT COUNT(*) FROM shop.t").unwrap();
    let before = count(&mut conn);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(count(&mut conn), before);
    let threads: Vec<Row> = conn.query("SHOW PROCESSLIST").unwrap();
    for row in threads {
        let user: String = row.get("User").unwrap();
        let state: Option<String> = row.get("State").unwrap();
        let state = state.unwrap_or_default();
        let replicates = state.contains("master") || state.contains("source");
        assert!(user != "event_scheduler" && !replicates, "{user} {state}");
    }
}

fn a_throw_away_server_opens_no_port_and_runs_nothing(on: &Programs) {
    let server = Server::start_with(on, &["--log-bin=binlog", "--server-id=7", "--event-scheduler=ON"]);
    server.fill();
    server.execute(if server.mariadb {
        &[
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'r', MASTER_PASSWORD = 'r'",
            "START SLAVE",
        ]
    } else {
        &[
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_USER = 'r', SOURCE_PASSWORD = 'r'",
            "START REPLICA",
        ]
    });
    let settings = backed_up(&server);
    let datadir = settings.verify.scratch.join("test/volume");
    let mut looked = false;
    let verdict = verify(&settings, None, &Interrupt::default(), &mut |step| {
        if matches!(step, Step::Checked(check) if check.name == "server") {
            look(&server, &datadir);
            looked = true;
        }
    })
    .unwrap();
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
    assert!(looked);
    server.execute(&["SELECT 1"]);
}

fn a_signal_ends_every_phase_of_a_verification(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let settings = backed_up(&server);
    let datadir = settings.verify.scratch.join("test/volume");
    for phase in ["manifest", "list of files", "files", "server", "rows", "shutdown"] {
        let interrupt = Interrupt::default();
        let error = verify(&settings, None, &interrupt, &mut |step| {
            if matches!(step, Step::Checked(check) if check.name == phase) {
                interrupt.set();
            }
        })
        .unwrap_err();
        assert_eq!(error.kind, Kind::Interrupted, "{phase}: {error:?}");
        assert_eq!(names(&settings.verify.scratch), Vec::<String>::new(), "{phase}");
        assert_eq!(processes_in(&datadir), Vec::<String>::new(), "{phase}");
    }
    let verdict = verify(&settings, None, &Interrupt::default(), &mut |_| {}).unwrap();
    assert_eq!(verdict.verdict, Grade::Ok, "{verdict:#?}");
}
