//! A local user against root's converge: a real process of another user renames, exchanges, links and mounts in its own directories, in
//! which a role declares things, while glrl runs. Whatever it does, nothing outside of those directories may change. As root.
//!
//! `GLRL_ROUNDS` says how many rounds are played (`make test-long`: 2,000), `GLRL_BINARY` by which glrl.

mod eve;
mod ground;
mod purges;
mod reported;

use std::{
    collections::BTreeMap,
    io::Read,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use ground::Ground;

/// Enough to see that it still plays; each takes a third of a second.
const ROUNDS: usize = 40;
const PLAYERS: usize = 2;

#[test]
fn nothing_outside_of_a_users_directories_changes() {
    let rounds = std::env::var("GLRL_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let (next, moves) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (effects, endings) = (Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                loop {
                    let round = next.fetch_add(1, Relaxed);
                    if round >= rounds {
                        break;
                    }
                    let played = play(round);
                    moves.fetch_add(played.moves, Relaxed);
                    *endings.lock().unwrap().entry(played.ending).or_insert(0) += 1;
                    effects.lock().unwrap().extend(played.effects);
                }
            });
        }
    });
    let (effects, moves) = (effects.into_inner().unwrap(), moves.into_inner());
    println!(
        "adversary: {rounds} rounds, {moves} moves, {} effects outside; exit statuses {:?}",
        effects.len(),
        endings.into_inner().unwrap()
    );
    assert!(effects.is_empty(), "{}", effects.join("\n"));
    assert!(moves >= rounds, "the user hardly moved");
}

/// What came of a round.
struct Played {
    /// How often the user did something, counted in sixteens.
    moves: usize,
    ending: String,
    /// What is different outside.
    effects: Vec<String>,
}

fn play(round: usize) -> Played {
    let ground = Ground::new(round);
    let outside = ground.outside();
    let mut user = eve::start(&ground, round);
    let mut moves = user.stdout.take().expect("a pipe");
    // It plays already.
    moves.read_exact(&mut [0]).expect("a first move");
    let output = ground.converge();
    user.kill().expect("a child");
    user.wait().expect("a child");
    let mut rest = Vec::new();
    moves.read_to_end(&mut rest).expect("a pipe");
    let ending = output
        .status
        .code()
        .map_or("killed".to_owned(), |code| code.to_string());
    let mut effects = ground::differences(&outside, &ground.outside());
    effects.extend(ground.leaks());
    if !matches!(ending.as_str(), "0" | "1" | "3") {
        effects.push(format!(
            "glrl ended with {ending}: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let effects = effects
        .into_iter()
        .map(|effect| format!("round {round} ({}): {effect}", eve::game(round)));
    Played {
        moves: rest.len() * eve::COUNTED + 1,
        ending,
        effects: effects.collect(),
    }
}

/// The glrl that is tried.
fn glrl() -> Command {
    Command::new(std::env::var_os("GLRL_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_glrl").into()))
}

/// A program of the user's own: this binary, as another user, in a test that plays.
fn as_user() -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("/proc/self/exe");
    command.uid(ground::EVE).gid(ground::EVE).stdin(Stdio::null());
    command
}
