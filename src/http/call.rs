//! What every handler is given: who calls, and the engine.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use actors::{Engine, EngineError};
use memory::ids::{ProjectId, UserId, UserKey};
use std::future::{Ready, ready};

use super::input::Input;
use super::reply::Failure;

/// The project that a request acts for, as the access check found it.
#[derive(Clone, Debug)]
pub(super) struct Caller(pub(super) ProjectId);

/// A request that has passed the access check.
pub(super) struct Call {
    request: HttpRequest,
    project: ProjectId,
}

impl Call {
    /// Its path and query.
    pub(super) fn input(&self) -> Input<'_> {
        Input::new(&self.request)
    }

    /// The caller's project.
    pub(super) fn project(&self) -> &ProjectId {
        &self.project
    }

    /// A user of the caller's project.
    pub(super) fn key(&self, user: UserId) -> UserKey {
        UserKey { project: self.project.clone(), user }
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
        let call = caller.map(|Caller(project)| Self { request: request.clone(), project });
        ready(call.ok_or(Failure::Unauthorized))
    }
}
