//! Which lines of the log are written.

/// The program's own crates besides the one that bears its name.
const CRATES: [&str; 2] = ["actors", "memory"];
/// The name that stands for all of them in a directive.
const PROGRAM: &str = "powermemo";

/// The directives for the log's filter: what is said of `powermemo` as a whole holds for all its crates. A directive
/// that names one of them goes before.
pub(super) fn directives(log: &str) -> String {
    let whole = log.split(',').filter_map(|directive| {
        let rest = directive.trim().strip_prefix(PROGRAM)?;
        // Neither a module, as in powermemo::http=debug, nor another crate.
        rest.starts_with(['=', '[']).then_some(rest)
    });
    let others = whole.flat_map(|rest| CRATES.map(|name| format!("{name}{rest},")));
    // The filter takes the last of two directives for the same place.
    others.chain([log.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_stands_for_all_its_crates() {
        assert_eq!(
            directives("info,powermemo=debug"),
            "actors=debug,memory=debug,info,powermemo=debug",
            "the example of --help and config.yaml"
        );
        assert_eq!(
            directives("actors=warn, powermemo=trace"),
            "actors=trace,memory=trace,actors=warn, powermemo=trace",
            "what is said of one of them goes before"
        );
        for unchanged in ["info", "info,powermemo::http=debug", "powermemo_x=debug", "sqlx=warn"] {
            assert_eq!(directives(unchanged), unchanged);
        }
    }

    #[test]
    fn the_filter_sees_it_so() {
        let sees = |log: &str, actors: bool| {
            let filter = tracing_subscriber::EnvFilter::try_new(directives(log)).unwrap();
            let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink).finish();
            tracing::subscriber::with_default(subscriber, || {
                if actors {
                    tracing::enabled!(target: "actors::sweeper", tracing::Level::DEBUG)
                } else {
                    tracing::enabled!(target: "powermemo::serve", tracing::Level::DEBUG)
                }
            })
        };
        assert_eq!([true, false].map(|actors| sees("info,powermemo=debug", actors)), [true, true]);
        assert_eq!([true, false].map(|actors| sees("info,actors=info,powermemo=debug", actors)), [false, true]);
        assert_eq!([true, false].map(|actors| sees("info,powermemo::serve=debug", actors)), [false, true]);
    }
}
