//! How much a project may ask for in a minute.

use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use memory::ids::ProjectId;

use crate::error::{EngineError, RETRY_AFTER};

/// The rates of one project; none: no limit. What was not used in a minute can be used at once, up to a minute's worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RateSettings {
    /// Requests per minute (`project_requests_per_minute`).
    pub requests: Option<NonZeroU32>,
    /// Tokens that are inserted per minute (`project_tokens_per_minute`).
    pub tokens: Option<NonZeroU32>,
}

/// What each project has used of its rates. Holds one cell for each project that has asked, so only those that exist may
/// come here.
pub(crate) struct Rates {
    requests: Option<Rate>,
    tokens: Option<Rate>,
}

struct Rate {
    limiter: DefaultKeyedRateLimiter<ProjectId>,
    per_minute: NonZeroU32,
    what: &'static str,
    parameter: &'static str,
}

impl Rates {
    pub(crate) fn new(settings: RateSettings) -> Self {
        let rate = |per_minute: Option<NonZeroU32>, what, parameter| {
            per_minute.map(|per_minute| Rate {
                limiter: RateLimiter::keyed(Quota::per_minute(per_minute)),
                per_minute,
                what,
                parameter,
            })
        };
        Self {
            requests: rate(settings.requests, "requests of this project in a minute", "project_requests_per_minute"),
            tokens: rate(settings.tokens, "tokens inserted by this project in a minute", "project_tokens_per_minute"),
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// [`EngineError::Busy`] past the limit.
    pub(crate) fn request(&self, project: &ProjectId) -> Result<(), EngineError> {
        self.requests.as_ref().map_or(Ok(()), |rate| rate.take(project, 1))
    }

    /// Counts the tokens of an insert. One of more than a minute's worth counts as a minute's worth: it could never go
    /// otherwise.
    ///
    /// # Errors
    /// [`EngineError::Busy`] past the limit.
    pub(crate) fn insert(&self, project: &ProjectId, tokens: u32) -> Result<(), EngineError> {
        self.tokens.as_ref().map_or(Ok(()), |rate| rate.take(project, tokens))
    }
}

impl Rate {
    fn take(&self, project: &ProjectId, amount: u32) -> Result<(), EngineError> {
        let Some(amount) = NonZeroU32::new(amount.min(self.per_minute.get())) else { return Ok(()) };
        let Ok(Err(early)) = self.limiter.check_key_n(project, amount) else { return Ok(()) };
        Err(EngineError::Busy {
            what: self.what,
            parameter: self.parameter,
            limit: self.per_minute.get().into(),
            retry_after: early.wait_time_from(DefaultClock::default().now()).max(RETRY_AFTER),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rates(requests: u32, tokens: u32) -> Rates {
        Rates::new(RateSettings { requests: NonZeroU32::new(requests), tokens: NonZeroU32::new(tokens) })
    }

    // A minute passes for these only if a test is held up for as long.

    #[test]
    fn each_project_has_its_own_rate() {
        let rates = rates(1, 0);
        let [one, other] = ["one", "other"].map(ProjectId::from);
        assert_eq!(rates.request(&one), Ok(()));
        let Err(EngineError::Busy { parameter, limit, retry_after, .. }) = rates.request(&one) else {
            panic!("there is no limit")
        };
        assert_eq!((parameter, limit), ("project_requests_per_minute", 1));
        assert!(retry_after > Duration::from_secs(30) && retry_after <= Duration::from_secs(60), "{retry_after:?}");
        assert_eq!(rates.request(&other), Ok(()));
        assert_eq!(rates.insert(&one, u32::MAX), Ok(()), "tokens have no limit");
    }

    #[test]
    fn tokens_are_taken_as_a_whole_or_not_at_all() {
        let rates = rates(0, 10);
        let project = ProjectId::from("p");
        assert_eq!(rates.insert(&project, 6), Ok(()));
        assert!(rates.insert(&project, 5).is_err());
        assert_eq!(rates.insert(&project, 4), Ok(()), "whoever was refused has taken nothing");
        assert_eq!(rates.insert(&project, 0), Ok(()));
        assert_eq!(rates.request(&project), Ok(()), "requests have no limit");
    }

    #[test]
    fn more_than_a_minute_allows_takes_all_of_it() {
        let rates = rates(0, 10);
        let project = ProjectId::from("p");
        assert_eq!(rates.insert(&project, 1_000), Ok(()));
        assert!(rates.insert(&project, 1).is_err());
    }
}
