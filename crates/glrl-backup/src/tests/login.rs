//! Logging in: by the socket's peer, and by an option file.

use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

use crate::{
    server::session::Session,
    tests::{
        servers::{Programs, on_both_flavours},
        support::{Behaviour, Server},
    },
};

on_both_flavours!(
    root_logs_in_without_and_with_a_password,
    a_server_that_drops_idle_sessions_keeps_these,
);

fn a_server_that_drops_idle_sessions_keeps_these(on: &Programs) {
    let server = Server::start(on);
    server.execute(&["SET GLOBAL wait_timeout = 1"]);
    let mut session = Session::open(&server.settings().server).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    // The guard, and the session itself.
    session.running_longer_than(Duration::ZERO).unwrap();
    session.rows("SELECT 1").unwrap();
}

fn root_logs_in_without_and_with_a_password(on: &Programs) {
    let server = Server::start(on);
    server.fill();
    let mut settings = server.settings();
    settings.lock.budget = Duration::from_secs(20);
    if server.mariadb {
        server.execute(&["ALTER USER root@localhost IDENTIFIED VIA unix_socket"]);
    } else {
        server.execute(&[
            "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'",
            "ALTER USER root@localhost IDENTIFIED WITH auth_socket",
        ]);
    }
    server.backup(&settings, &Behaviour::default()).unwrap();

    let file = server.directory.path().join("login.cnf");
    fs::write(&file, "[client]\nuser = backup\npassword = \"it's a #secret\"\n").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let rights = if server.mariadb {
        "GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO backup@localhost"
    } else {
        "GRANT RELOAD, PROCESS, BACKUP_ADMIN, REPLICATION CLIENT ON *.* TO backup@localhost"
    };
    server.execute(&["CREATE USER backup@localhost IDENTIFIED BY 'it''s a #secret'", rights]);
    settings.server.option_file = Some(file.to_str().unwrap().parse().unwrap());
    settings.instance = "second".parse().unwrap();
    server.backup(&settings, &Behaviour::default()).unwrap();

    fs::write(&file, "[client]\nuser = backup\npassword = mistaken\n").unwrap();
    let error = server.backup(&settings, &Behaviour::default()).unwrap_err();
    assert!(format!("{error:#}").contains("logging in"), "{error:?}");
    assert!(!format!("{error:#}").contains("mistaken"), "{error:?}");
}
