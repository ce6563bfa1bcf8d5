//! SIGKILL while an import stands still, and the next one.

use std::io::{BufRead as _, BufReader};

use super::*;

const USERS: usize = 12;

/// Kills imports at a point, each a little further on, and lets the last one run to its end.
fn dies_at(place: &Place, point: &str) {
    let source = Reference::crowd(USERS);
    for turn in [1, 2, 7] {
        let mut import = place.import(&source.url(), &[]);
        let mut import = import.env("CRASH_POINT", format!("{point}@{turn}")).spawn().unwrap();
        let mut lines = BufReader::new(import.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.ends_with(point)), "{point} was not reached");
        import.kill().unwrap();
        import.wait().unwrap();
    }
    let (done, report) = place.run(&source, &[]);
    assert!(done, "{report}");
    let users = USERS as i64;
    assert_eq!(place.rows(), [users, users, users, users, users, 0, 2 * users, users], "{report}");
    let (_server, client) = place.serve();
    for number in 1..=USERS {
        assert_eq!(client.profile(&id(0, number)), [["t", "s", "memo"].map(str::to_owned)]);
    }
}

#[test]
fn an_import_into_sqlite_dies_with_a_user_half_moved() {
    dies_at(&Place::sqlite(), "import_adopted");
}

#[test]
fn an_import_into_sqlite_dies_with_a_message_moved() {
    dies_at(&Place::sqlite(), "import_appended");
}

#[test]
fn an_import_into_postgres_dies_with_a_user_half_moved() {
    dies_at(&Place::postgres(), "import_adopted");
}

#[test]
fn an_import_into_postgres_dies_with_a_message_moved() {
    dies_at(&Place::postgres(), "import_appended");
}
