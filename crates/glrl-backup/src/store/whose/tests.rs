//! Two servers, one instance: by rules alone. `backup::tests::whose` does it with servers.

use glrl_node::system::clock;
use jiff::{SignedDuration, Timestamp};

use crate::{model::maker::UUID, store::whose::*};

const MACHINES: [(&str, &str); 3] = [("db1.a", "m1"), ("db1.b", "m2"), ("db1.a", "m1")];

/// A server: the third is a copy of the first, machine and all.
fn maker(server: usize) -> Maker {
    let (host, machine) = MACHINES[server];
    Maker {
        host: Some(host.to_owned()),
        machine: Some(machine.to_owned()),
        uuid: Some(format!("{machine}-71ca-11e1-9e33-c80aa9429562-1-of1")),
        datadir: Some("/var/lib/mysql".to_owned()),
    }
}

fn at(days_ago: i64) -> Timestamp {
    clock::now() - SignedDuration::from_hours(24 * days_ago)
}

fn id(days_ago: i64) -> BackupId {
    BackupId::new(&"db1".parse().unwrap(), at(days_ago))
}

/// What a node finds that has made those of this server, or none; of each backup, how many days ago and by which server.
fn seen_by(node: Option<usize>, backups: &[(i64, usize)]) -> Whose {
    let found = backups.iter().map(|(days_ago, server)| Found {
        id: id(*days_ago),
        maker: Some(maker(*server)),
        written: at(*days_ago).into(),
    });
    let made = node.map(|node| {
        let its = backups.iter().filter(|(_, server)| *server == node);
        Made::of(at(1000), its.map(|(days_ago, _)| id(*days_ago)).collect())
    });
    Whose::divide(found.collect(), made.as_ref())
}

#[test]
fn each_node_sees_its_own_whatever_the_order() {
    for orders in [
        &[(4, 0), (1, 1)][..],
        &[(4, 1), (1, 0)],
        &[(4, 0), (3, 1), (2, 0), (1, 1)],
        &[(5, 0), (3, 1), (2, 1)],
        &[(5, 0), (4, 0), (3, 1), (2, 1), (1, 1)],
        &[(40, 0), (1, 1)],
        // A copy of the machine, which only the record tells from it.
        &[(4, 0), (1, 2)],
        &[(4, 2), (3, 0), (2, 2)],
    ] {
        for node in [0, 1, 2] {
            let own: Vec<_> = orders
                .iter()
                .filter(|(_, server)| *server == node)
                .map(|(days, _)| id(*days))
                .collect();
            if own.is_empty() {
                continue;
            }
            let whose = seen_by(Some(node), orders);
            assert_eq!(whose.own, own, "{node} of {orders:?}");
            assert_eq!(whose.newest(), own.last(), "{node} of {orders:?}");
            assert_eq!(whose.others.len(), orders.len() - own.len());
        }
    }
}

#[test]
fn a_rival_is_said_and_one_whose_place_was_taken_is_none() {
    for (node, backups, doubted) in [
        // The other has made one behind this one's, or this one its first.
        (Some(0), &[(2, 0), (1, 1)][..], true),
        (Some(1), &[(2, 0), (1, 1)], true),
        (Some(1), &[(3, 0), (2, 1), (1, 1)], false),
        (Some(0), &[(3, 0), (2, 1), (1, 1)], true),
        (Some(0), &[(50, 0), (2, 1), (1, 1)], true),
        (Some(1), &[(50, 0), (1, 1)], false),
        (Some(1), &[(4, 1), (3, 0), (2, 1), (1, 1)], true),
        (Some(1), &[(60, 1), (50, 0), (2, 1), (1, 1)], false),
        (None, &[(2, 0), (1, 1)], true),
        (None, &[(3, 0), (2, 1), (1, 1)], false),
        (None, &[(3, 0), (2, 1), (1, 0)], true),
        (None, &[(3, 0), (2, 0), (1, 0)], false),
        (None, &[], false),
    ] {
        let whose = seen_by(node, backups);
        assert_eq!(whose.doubt().is_some(), doubted, "{node:?} {backups:?}");
        assert_eq!(whose.check_meant().is_err(), doubted, "{node:?} {backups:?}");
        if doubted {
            let (why, refused) = (whose.doubt().unwrap(), whose.check_meant().unwrap_err().to_string());
            assert!(
                why.contains("db1.a") && why.contains("db1.b") && why.contains("'instance: db1."),
                "{why}"
            );
            for other in whose
                .others
                .last()
                .into_iter()
                .map(|other| &other.id)
                .chain(whose.newest())
            {
                assert!(refused.contains(&format!("--backup {other} (")), "{refused}");
            }
        }
    }
}

#[test]
fn a_server_that_is_gone_is_gone_after_a_month_without_a_backup() {
    let gone = |backups: &[(i64, usize)]| {
        let whose = seen_by(Some(1), backups);
        whose.others.iter().map(|other| other.gone).collect::<Vec<_>>()
    };
    assert_eq!(gone(&[(40, 0), (35, 0), (1, 1)]), [true, true]);
    // All of a server that is still there are its own.
    assert_eq!(gone(&[(40, 0), (20, 0), (1, 1)]), [false, false]);
}

/// As by a first run on the machine that was to be restored, and failed or was deleted.
#[test]
fn a_node_without_a_backup_of_its_own_takes_none_of_another_unasked() {
    let found = |server| Found {
        id: id(2),
        maker: Some(maker(server)),
        written: at(2).into(),
    };
    let made = Made::of(at(1000), vec![id(9)]);
    let whose = Whose::divide(vec![found(0)], Some(&made));
    assert_eq!((whose.newest(), whose.others.len()), (None, 1));
    assert!(
        whose
            .check_meant()
            .unwrap_err()
            .to_string()
            .contains("none of the backups")
    );
    // It makes none, as a new machine.
    assert_eq!(Whose::divide(vec![found(0)], None).newest(), Some(&id(2)));
}

#[test]
fn what_is_not_known_makes_no_two_of_one() {
    let old = Maker {
        machine: None,
        ..maker(0)
    };
    assert!(old.may_be(&maker(0)) && !old.may_be(&maker(1)));
    assert_eq!(maker(0).uuid.unwrap().len(), UUID);
    let of = |uuid: Option<&str>, datadir: &str| Maker {
        uuid: uuid.map(str::to_owned),
        datadir: Some(datadir.to_owned()),
        ..maker(0)
    };
    let [one, two] = [
        "3e11fa47-71ca-11e1-9e33-c80aa9429562",
        "4e11fa47-71ca-11e1-9e33-c80aa9429562",
    ];
    for (a, b, same) in [
        // MySQL.
        (of(Some(one), "/data"), of(Some(one), "/elsewhere"), true),
        (of(Some(one), "/data"), of(Some(two), "/data"), false),
        // MariaDB: a new network card, a second server.
        (of(Some("card 1"), "/data"), of(Some("card 2"), "/data"), true),
        (of(Some("card 1"), "/data"), of(Some("card 1"), "/elsewhere"), false),
        (of(None, "/data"), of(Some("card 1"), "/data"), true),
    ] {
        assert_eq!(a.may_be(&b), same, "{a:?} {b:?}");
    }
}

#[test]
fn what_cannot_be_read_is_anothers_where_the_record_says_so() {
    let found = || {
        let unreadable = Found {
            id: id(1),
            maker: None,
            written: at(1).into(),
        };
        let of_this = Found {
            id: id(2),
            maker: Some(maker(0)),
            written: at(2).into(),
        };
        vec![of_this, unreadable]
    };
    let whose = Whose::divide(found(), Some(&Made::of(at(1000), vec![id(2)])));
    assert_eq!((whose.own, whose.others.len()), (vec![id(2)], 1));
    assert_eq!(whose.rival, None);
    // Its own that cannot be read counts, as where nobody knows whose it is.
    let both = vec![id(2), id(1)];
    assert_eq!(
        Whose::divide(found(), Some(&Made::of(at(1000), both.clone()))).own,
        both
    );
    assert_eq!(Whose::divide(found(), None).own, both);
}
