//! `/admin`: projects and the state of the server, for whoever has the root token.

use actors::EngineError;
use memory::ids::ProjectId;
use memory::ports::{Page, Project, ProjectStatus};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;

use super::body::Body;
use super::call::Call;
use super::input::{Input, MAX_ITEMS};
use super::invalid::Problems;
use super::node::Node;
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Failure, Reply};
use super::stamp::Stamp;
use crate::token;

/// Projects of a page when the request does not say.
const PROJECTS: u32 = 100;
/// The last project that a list can begin with.
const MAX_OFFSET: u32 = 100_000_000;

/// A project, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct ProjectView {
    #[schema(value_type = String)]
    project_id: ProjectId,
    status: &'static str,
    /// The one that exists without being created, whose token is the root token.
    is_default: bool,
    has_profile_config: bool,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
}

impl ProjectView {
    fn of(project: Project, is_default: bool) -> Self {
        Self {
            project_id: project.id,
            status: project.status.as_str(),
            is_default,
            has_profile_config: project.profile_config.is_some(),
            created_at: Some(Stamp(project.created_at)),
            updated_at: Some(Stamp(project.updated_at)),
        }
    }

    /// The default project, of which nothing is stored.
    fn implicit(id: &ProjectId) -> Self {
        let status = ProjectStatus::Active.as_str();
        let (created_at, updated_at) = (None, None);
        Self { project_id: id.clone(), status, is_default: true, has_profile_config: false, created_at, updated_at }
    }
}

/// A project and its new token.
#[derive(Serialize, ToSchema)]
pub(super) struct WithToken {
    #[serde(flatten)]
    project: ProjectView,
    /// Shown this once: it is kept nowhere.
    token: String,
}

/// Some projects.
#[derive(Serialize, ToSchema)]
pub(super) struct ProjectsView {
    projects: Vec<ProjectView>,
}

/// The name of a project in the path. One that no project can have is unknown, not malformed.
fn named(input: &Input<'_>) -> ProjectId {
    ProjectId::from(input.segment("project_id"))
}

/// A new token.
fn fresh_token(id: &ProjectId) -> Result<(String, memory::ports::TokenHash), Failure> {
    token::make(id).map_err(|error| {
        tracing::error!(%error, "no token could be made");
        Failure::Engine(EngineError::Internal)
    })
}

/// Reads a project. The caller of an admin route works on the default project.
async fn view(call: &Call, id: &ProjectId) -> Result<ProjectView, Failure> {
    let is_default = id == call.project();
    match call.engine()?.project(id).await? {
        Some(project) => Ok(ProjectView::of(project, is_default)),
        None if is_default => Ok(ProjectView::implicit(id)),
        None => Err(EngineError::UnknownProject(id.clone()).into()),
    }
}

/// `GET /admin/status_check`
pub(super) async fn status(call: Call) -> Reply<()> {
    call.check_root()?;
    call.engine()?.check().await?;
    Ok(Answer(()))
}

/// `GET /admin/projects`: by name. The default project stands first, beside those of the page.
pub(super) async fn list(call: Call) -> Reply<ProjectsView> {
    call.check_root()?;
    let mut input = call.input();
    let limit = input.limit("limit", MAX_ITEMS).unwrap_or(PROJECTS);
    let offset = input.limit("offset", MAX_OFFSET).unwrap_or(0);
    input.finish()?;
    let page = Page { offset: offset.into(), limit: limit.into() };
    let rows = call.engine()?.projects(page).await?;
    let mut projects = Vec::with_capacity(rows.len() + 1);
    if offset == 0 {
        projects.push(view(&call, call.project()).await?);
    }
    let others = rows.into_iter().filter(|project| project.id != *call.project());
    projects.extend(others.map(|project| ProjectView::of(project, false)));
    Ok(Answer(ProjectsView { projects }))
}

fn read_name(root: Node<'_>, problems: &mut Problems) -> Option<ProjectId> {
    let node = root.get("project_id");
    let known = problems.0.len();
    let name = node.clone().string(problems);
    match ProjectId::checked(&name) {
        Ok(id) => Some(id),
        Err(_) if problems.0.len() > known => None,
        Err(_) => {
            let must = "must be 1 to 64 letters (A to Z, a to z), digits, '_' or '-'";
            node.wrong(problems, "string_pattern_mismatch", must);
            None
        }
    }
}

/// `POST /admin/projects`
pub(super) async fn create(call: Call, body: Body) -> Reply<WithToken> {
    call.check_root()?;
    let mut input = call.input();
    let id = input.model(&body, read_name);
    input.finish()?;
    // Without a problem there is a name.
    let Some(id) = id else { return Err(Problems::default().into()) };
    let (token, hash) = fresh_token(&id)?;
    let project = call.engine()?.create_project(&id, &hash).await?;
    Ok(Answer(WithToken { project: ProjectView::of(project, false), token }))
}

/// `GET /admin/projects/{project_id}`
pub(super) async fn get(call: Call) -> Reply<ProjectView> {
    call.check_root()?;
    let id = named(&call.input());
    Ok(Answer(view(&call, &id).await?))
}

fn read_status(root: Node<'_>, problems: &mut Problems) -> Option<ProjectStatus> {
    root.get("status").choice(problems, "enum", "must be active or suspended", |name| match name {
        "active" => Some(ProjectStatus::Active),
        "suspended" => Some(ProjectStatus::Suspended),
        _ => None,
    })
}

/// `PATCH /admin/projects/{project_id}`
pub(super) async fn change(call: Call, body: Body) -> Reply<ProjectView> {
    call.check_root()?;
    let mut input = call.input();
    let id = named(&input);
    let status = input.model(&body, read_status);
    input.finish()?;
    let Some(status) = status else { return Err(Problems::default().into()) };
    call.engine()?.set_project_status(&id, status).await?;
    Ok(Answer(view(&call, &id).await?))
}

/// `DELETE /admin/projects/{project_id}`: begins to.
pub(super) async fn delete(call: Call) -> Reply<ProjectView> {
    call.check_root()?;
    let id = named(&call.input());
    match call.engine()?.set_project_status(&id, ProjectStatus::Deleting).await {
        // It may be under way already: then its row is there.
        Ok(()) | Err(EngineError::UnknownProject(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Answer(view(&call, &id).await?))
}

/// `POST /admin/projects/{project_id}/token`
pub(super) async fn rotate(call: Call) -> Reply<WithToken> {
    call.check_root()?;
    let id = named(&call.input());
    let (token, hash) = fresh_token(&id)?;
    call.engine()?.rotate_token(&id, &hash).await?;
    Ok(Answer(WithToken { project: view(&call, &id).await?, token }))
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    const ROOT: &str = "the token is not the root token";
    const UNKNOWN: &str = "there is no such project";
    const DEFAULT: &str = "it is the default project, whose token is the root token";
    let text = || p::typed(Type::String);
    let name = text().pattern(Some("^[A-Za-z0-9_-]{1,64}$"));
    let name = ObjectBuilder::new().property("project_id", name).required("project_id");
    let status = text().enum_values(Some(["active", "suspended"]));
    let status = ObjectBuilder::new().property("status", status).required("status");
    vec![
        Route::get("/admin/status_check", "Ask the store and the journal for a sign of life").errno(403, ROOT),
        Route::get("/admin/projects", "List projects")
            .says("By name; the default project stands first, beside those of the page.")
            .parameter(p::limit("limit", Some(PROJECTS), MAX_ITEMS, "Projects of a page at most."))
            .parameter(p::limit("offset", Some(0), MAX_OFFSET, "Projects before the page."))
            .answers::<ProjectsView>()
            .errno(403, ROOT),
        Route::post("/admin/projects", "Create a project")
            .says("Its token is shown this once.")
            .body_schema(name, "Its name.")
            .answers::<WithToken>()
            .errno(403, ROOT)
            .errno(404, "it was deleted meanwhile")
            .errno(409, "the name is taken"),
        Route::get("/admin/projects/{project_id}", "Read a project")
            .parameter(p::project())
            .answers::<ProjectView>()
            .errno(403, ROOT)
            .errno(404, UNKNOWN),
        Route::patch("/admin/projects/{project_id}", "Suspend or resume a project")
            .parameter(p::project())
            .body_schema(status, "Its status.")
            .answers::<ProjectView>()
            .errno(400, DEFAULT)
            .errno(403, ROOT)
            .errno(404, UNKNOWN),
        Route::delete("/admin/projects/{project_id}", "Delete a project")
            .says("It refuses requests from then on; its users are deleted one by one.")
            .parameter(p::project())
            .answers::<ProjectView>()
            .errno(400, DEFAULT)
            .errno(403, ROOT)
            .errno(404, UNKNOWN),
        Route::post("/admin/projects/{project_id}/token", "Replace a project's token")
            .says("The old one opens nothing any more.")
            .parameter(p::project())
            .answers::<WithToken>()
            .errno(400, DEFAULT)
            .errno(403, ROOT)
            .errno(404, UNKNOWN),
    ]
}
