//! Named points at which a test can make the process stand still, to kill it there.
//!
//! With the feature `crash-points` and the environment variable `CRASH_POINT` set to a name, the process
//! writes `crash point reached: <name>` to its standard error and the task that got there never goes on; nor does any
//! that gets there later. `<name>@<n>` lets the first n - 1 pass, and a comma separates several points. Without the
//! feature all of this is nothing.

/// Stands still here, if a test wants it to.
#[cfg(feature = "crash-points")]
pub async fn crash_point(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    /// The points that are wanted, each with the number of tasks that may still pass.
    static WANTED: OnceLock<Vec<(String, AtomicU64)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let points = std::env::var("CRASH_POINT").unwrap_or_default();
        let point = |point: &str| {
            let (name, turn) = point.split_once('@').unwrap_or((point, "1"));
            (name.to_owned(), AtomicU64::new(turn.parse::<u64>().map_or(0, |turn| turn.saturating_sub(1))))
        };
        points.split(',').map(point).collect()
    });
    let Some((_, left)) = wanted.iter().find(|(wanted, _)| wanted == name) else { return };
    let passes = left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
    if !passes {
        eprintln!("crash point reached: {name}");
        std::future::pending::<()>().await;
    }
}

/// Nothing.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub async fn crash_point(_name: &str) {}
