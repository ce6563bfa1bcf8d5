//! `/healthcheck`: whether the server answers.

use super::openapi::Route;
use super::reply::Answer;

/// Asks nothing of anybody, so that it answers under any load.
pub(super) async fn check() -> Answer<()> {
    Answer(())
}

/// Describes the route above.
pub(super) fn describe() -> Vec<Route> {
    vec![Route::get("/healthcheck", "Whether the server answers").open()]
}
