//! `/admin`: projects and the state of the server, for whoever has the root token.

use actors::{Engine, EngineError};
use memory::ids::ProjectId;
use memory::ports::{Page, Project, ProjectStatus};
use memory::quota::TokenQuota;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat};

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
/// The key of a quota in bodies.
const QUOTA: &str = "token_quota_per_month";

/// A project, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct ProjectView {
    #[schema(value_type = String)]
    project_id: ProjectId,
    status: &'static str,
    /// The one that exists without being created, whose token is the root token.
    is_default: bool,
    has_profile_config: bool,
    /// Tokens of model calls that it may use in a month; null: as many as it likes.
    token_quota_per_month: Option<u64>,
    created_at: Option<Stamp>,
    updated_at: Option<Stamp>,
}

impl ProjectView {
    fn of(project: Project, is_default: bool, engine: &Engine) -> Self {
        Self {
            token_quota_per_month: engine.token_quota(&project.id, Some(&project)),
            project_id: project.id,
            status: project.status.as_str(),
            is_default,
            has_profile_config: project.profile_config.is_some(),
            created_at: Some(Stamp(project.created_at)),
            updated_at: Some(Stamp(project.updated_at)),
        }
    }

    /// The default project, of which nothing is stored.
    fn implicit(id: &ProjectId, engine: &Engine) -> Self {
        Self {
            project_id: id.clone(),
            status: ProjectStatus::Active.as_str(),
            is_default: true,
            has_profile_config: false,
            token_quota_per_month: engine.token_quota(id, None),
            created_at: None,
            updated_at: None,
        }
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
    let engine = call.engine()?;
    match engine.project(id).await? {
        Some(project) => Ok(ProjectView::of(project, is_default, engine)),
        None if is_default => Ok(ProjectView::implicit(id, engine)),
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
    let engine = call.engine()?;
    let rows = engine.projects(page).await?;
    let mut projects = Vec::with_capacity(rows.len() + 1);
    if offset == 0 {
        projects.push(view(&call, call.project()).await?);
    }
    let others = rows.into_iter().filter(|project| project.id != *call.project());
    projects.extend(others.map(|project| ProjectView::of(project, false, engine)));
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

/// The quota in a body: unset when the body has none.
fn read_quota(root: &Node<'_>, problems: &mut Problems) -> TokenQuota {
    let quota = root.get(QUOTA);
    if quota.is_absent() {
        return TokenQuota::Unset;
    }
    let must = "must be a whole number from 0 to 9007199254740991, or null for no limit";
    TokenQuota::from(quota.nullable_whole(problems, TokenQuota::MOST, must))
}

/// `POST /admin/projects`
pub(super) async fn create(call: Call, body: Body) -> Reply<WithToken> {
    call.check_root()?;
    let mut input = call.input();
    let read = input.model(&body, |root, problems| {
        let quota = read_quota(&root, problems);
        Some((read_name(root, problems)?, quota))
    });
    input.finish()?;
    // Without a problem there is a name.
    let Some((id, quota)) = read else { return Err(Problems::default().into()) };
    let (token, hash) = fresh_token(&id)?;
    let engine = call.engine()?;
    let project = engine.create_project(&id, &hash, quota).await?;
    Ok(Answer(WithToken { project: ProjectView::of(project, false, engine), token }))
}

/// `GET /admin/projects/{project_id}`
pub(super) async fn get(call: Call) -> Reply<ProjectView> {
    call.check_root()?;
    let id = named(&call.input());
    Ok(Answer(view(&call, &id).await?))
}

/// What a body changes of a project.
struct Changes {
    status: Option<ProjectStatus>,
    quota: TokenQuota,
}

/// Reads a status, a quota, or both.
fn read_changes(root: Node<'_>, problems: &mut Problems) -> Option<Changes> {
    let quota = read_quota(&root, problems);
    let node = root.get("status");
    let status =
        if node.is_absent() && !root.get(QUOTA).is_absent() { None } else { Some(read_status(node, problems)?) };
    Some(Changes { status, quota })
}

fn read_status(node: Node<'_>, problems: &mut Problems) -> Option<ProjectStatus> {
    node.choice(problems, "enum", "must be active or suspended", |name| match name {
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
    let changes = input.model(&body, read_changes);
    input.finish()?;
    let Some(Changes { status, quota }) = changes else { return Err(Problems::default().into()) };
    let engine = call.engine()?;
    // The status first: the default project has none, and then nothing is changed.
    if let Some(status) = status {
        engine.set_project_status(&id, status).await?;
    }
    if quota != TokenQuota::Unset {
        engine.set_token_quota(&id, quota).await?;
    }
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
    let quota = |says| {
        let number = p::nullable(Type::Integer).format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)));
        number.minimum(Some(0)).maximum(Some(TokenQuota::MOST)).description(Some(says))
    };
    let at_first = quota("Tokens of a month; null: no limit; left out: what the server is configured to give.");
    let name = ObjectBuilder::new().property("project_id", name).property(QUOTA, at_first).required("project_id");
    let status = text().enum_values(Some(["active", "suspended"]));
    let changes = ObjectBuilder::new().property("status", status).property(QUOTA, quota("Null: no limit."));
    let changes = changes.min_properties(Some(1));
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
            .body_schema(name, "Its name, and how many tokens it may use.")
            .answers::<WithToken>()
            .errno(403, ROOT)
            .errno(404, "it was deleted meanwhile")
            .errno(409, "the name is taken"),
        Route::get("/admin/projects/{project_id}", "Read a project")
            .parameter(p::project())
            .answers::<ProjectView>()
            .errno(403, ROOT)
            .errno(404, UNKNOWN),
        Route::patch("/admin/projects/{project_id}", "Suspend or resume a project, or set its quota")
            .says("With more tokens, what waited for some is processed soon.")
            .parameter(p::project())
            .body_schema(changes, "Its status, its quota, or both.")
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
