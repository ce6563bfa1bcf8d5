//! What every handler is given: who calls, and the engine.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use actors::{Engine, EngineError};
use memory::ids::{ProjectId, UserId, UserKey};
use std::future::{Ready, ready};

use super::input::Input;
use super::reply::Failure;

/// Who a request comes from, as the access check found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Caller {
    /// The project that it acts for.
    pub(super) project: ProjectId,
    /// It may administrate the server.
    pub(super) is_root: bool,
}

/// A request that has passed the access check.
pub(super) struct Call {
    request: HttpRequest,
    caller: Caller,
}

impl Call {
    /// Its path and query.
    pub(super) fn input(&self) -> Input<'_> {
        Input::new(&self.request)
    }

    /// The caller's project.
    pub(super) fn project(&self) -> &ProjectId {
        &self.caller.project
    }

    /// Makes sure that the caller may administrate the server.
    ///
    /// # Errors
    /// errno 403.
    pub(super) fn check_root(&self) -> Result<(), Failure> {
        if self.caller.is_root { Ok(()) } else { Err(Failure::forbidden("this needs the root token")) }
    }

    /// A user of the caller's project.
    pub(super) fn key(&self, user: UserId) -> UserKey {
        UserKey { project: self.caller.project.clone(), user }
    }

    /// The engine. There always is one in a server; tests of what comes before it do without.
    pub(super) fn engine(&self) -> Result<&Engine, Failure> {
        let engine = self.request.app_data::<web::Data<Engine>>();
        engine.map(|e| e.get_ref()).ok_or(Failure::Engine(EngineError::Internal))
    }
}

impl FromRequest for Call {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A route outside the access check would have no caller, and must not answer.
        let caller = request.extensions().get::<Caller>().cloned();
        let call = caller.map(|caller| Self { request: request.clone(), caller });
        ready(call.ok_or_else(|| Failure::Unauthorized { route: request.match_pattern() }))
    }
}
