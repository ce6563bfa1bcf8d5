//! `/project`: what a project tells of itself, and how it wants its memory made.

use std::collections::HashMap;

use jiff::ToSpan as _;
use jiff::civil::Date;
use memory::ids::ProjectId;
use memory::ports::{ListedUser, Page, UserOrder, UserQuery};
use memory::profile_config::ProfileConfig;
use memory::usage::{Used, day_of};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::schema::Type;
use uuid::Uuid;

use super::body::Body;
use super::call::Call;
use super::input::{MAX_ITEMS, MAX_QUERY_CHARS};
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Failure, Reply};
use super::stamp::Stamp;

/// Users of a page when the request does not say.
const USERS: u32 = 10;
/// Days of usage when the request does not say.
const USAGE_DAYS: u32 = 7;
/// Days of usage that one answer tells of at most.
const MAX_USAGE_DAYS: u32 = 3_660;
/// The last user that a list can begin with.
const MAX_OFFSET: u32 = 1_000_000_000;

/// The profile configuration of a project, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct ConfigView {
    profile_config: String,
}

/// `GET /project/profile_config`
pub(super) async fn config(call: Call) -> Reply<ConfigView> {
    let project = call.engine()?.project(call.project()).await?;
    let profile_config = project.and_then(|project| project.profile_config).unwrap_or_default();
    Ok(Answer(ConfigView { profile_config }))
}

/// `POST /project/profile_config`: null, or a configuration without any text, resets it.
pub(super) async fn set_config(call: Call, body: Body) -> Reply<()> {
    let mut input = call.input();
    let text = input.model(&body, |root, problems| root.get("profile_config").nullable_string(problems));
    input.finish()?;
    let text = text.filter(|text| !text.trim().is_empty());
    if let Some(text) = &text {
        let config = ProfileConfig::parse(text)
            .map_err(|error| Failure::bad_request(format!("invalid profile_config: {error}")))?;
        if !config.ignored.is_empty() {
            // Its keys are not shown: they may hold anything.
            tracing::warn!(
                project = %call.project(),
                keys = config.ignored.len(),
                "a profile_config has keys or a language that have no effect here"
            );
        }
    }
    call.engine()?.set_profile_config(call.project(), text.as_deref()).await?;
    Ok(Answer(()))
}

/// What a project has used in a day, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct DayView {
    #[schema(value_type = String, format = Date)]
    date: Date,
    total_insert: u64,
    total_success_insert: u64,
    total_input_token: u64,
    total_output_token: u64,
    /// Tokens of what was embedded to be found.
    total_embedding_token: u64,
}

/// `GET /project/usage`: the last days, today first.
pub(super) async fn usage(call: Call) -> Reply<Vec<DayView>> {
    let mut input = call.input();
    let last_days = input.limit("last_days", MAX_USAGE_DAYS).unwrap_or(USAGE_DAYS);
    input.finish()?;
    let engine = call.engine()?;
    let today = day_of(engine.now());
    let days: Vec<Date> = today.series(-1.day()).take(last_days as usize).collect();
    let Some(first) = days.last() else { return Ok(Answer(Vec::new())) };
    let used: HashMap<Date, Used> = engine.usage(call.project(), *first, today).await?.into_iter().collect();
    let view = |date: Date| {
        let Used { inserts, successes, input_tokens, output_tokens, embedding_tokens } =
            used.get(&date).copied().unwrap_or_default();
        DayView {
            date,
            total_insert: inserts,
            total_success_insert: successes,
            total_input_token: input_tokens,
            total_output_token: output_tokens,
            total_embedding_token: embedding_tokens,
        }
    };
    Ok(Answer(days.into_iter().map(view).collect()))
}

/// What a project may still use, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct BillingView {
    /// Null without a quota; less than 0 when flushes that had begun went beyond it.
    token_left: Option<i64>,
    next_refill_at: Stamp,
    project_token_cost_month: u64,
}

/// `GET /project/billing`: of the present month in UTC.
pub(super) async fn billing(call: Call) -> Reply<BillingView> {
    call.input().finish()?;
    let balance = call.engine()?.balance(call.project()).await?;
    Ok(Answer(BillingView {
        token_left: balance.left(),
        next_refill_at: Stamp(balance.month.ends_at()),
        project_token_cost_month: balance.used,
    }))
}

/// A user in a list, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedView {
    id: Uuid,
    #[schema(value_type = String)]
    project_id: ProjectId,
    profile_count: u64,
    event_count: u64,
    created_at: Stamp,
    updated_at: Stamp,
    #[schema(value_type = Option<Object>)]
    additional_fields: Option<Map<String, Value>>,
}

impl ListedView {
    fn of(user: ListedUser, project: &ProjectId) -> Self {
        Self {
            id: user.id.0,
            project_id: project.clone(),
            profile_count: user.profile_count,
            event_count: user.event_count,
            created_at: Stamp(user.created_at),
            updated_at: Stamp(user.updated_at),
            additional_fields: user.data,
        }
    }
}

/// Some users, and how many there are in all.
#[derive(Serialize, ToSchema)]
pub(super) struct UsersView {
    users: Vec<ListedView>,
    count: u64,
}

/// `GET /project/users`
pub(super) async fn users(call: Call) -> Reply<UsersView> {
    const ORDERS: [(&str, UserOrder); 3] = [
        ("updated_at", UserOrder::UpdatedAt),
        ("profile_count", UserOrder::ProfileCount),
        ("event_count", UserOrder::EventCount),
    ];
    let mut input = call.input();
    let search = input.short_text("search", MAX_QUERY_CHARS);
    let must = "must be updated_at, profile_count or event_count";
    let order = input.choice("order_by", &ORDERS, UserOrder::UpdatedAt, must);
    let descending = input.flag("order_desc", true);
    let limit = input.limit("limit", MAX_ITEMS).unwrap_or(USERS);
    let offset = input.limit("offset", MAX_OFFSET).unwrap_or(0);
    input.finish()?;
    let query = UserQuery { search, order, descending, page: Page { offset: offset.into(), limit: limit.into() } };
    let (users, count) = call.engine()?.project_users(call.project(), &query).await?;
    let users = users.into_iter().map(|user| ListedView::of(user, call.project())).collect();
    Ok(Answer(UsersView { users, count }))
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    let config = p::nullable(Type::String).description(Some("YAML; null or nothing but blanks resets it."));
    let config = ObjectBuilder::new().property("profile_config", config).required("profile_config");
    let orders = ["updated_at", "profile_count", "event_count"];
    vec![
        Route::get("/project/profile_config", "Read how memory is made").answers::<ConfigView>(),
        Route::post("/project/profile_config", "Say how memory is made")
            .says("It is checked as a whole before it is set; what is wrong is told with its line.")
            .body_schema(config, "The configuration.")
            .errno(400, "it cannot be used")
            .errno(404, "the project was deleted meanwhile"),
        Route::get("/project/users", "List users")
            .parameter(p::short_text("search", MAX_QUERY_CHARS, "Only users whose id or data, as JSON, contains this."))
            .parameter(p::choice("order_by", &orders, orders[0], "What they are sorted by."))
            .parameter(p::flag("order_desc", true, "The greatest first."))
            .parameter(p::limit("limit", Some(USERS), MAX_ITEMS, "Users of a page at most."))
            .parameter(p::limit("offset", Some(0), MAX_OFFSET, "Users before the page."))
            .answers::<UsersView>(),
        Route::get("/project/usage", "Read what was used by day")
            .says("Today in UTC first. An insert is counted by the flush that processes it.")
            .parameter(p::limit("last_days", Some(USAGE_DAYS), MAX_USAGE_DAYS, "Days, today included."))
            .answers::<Vec<DayView>>(),
        Route::get("/project/billing", "Read what was used in this month, and what is left")
            .says("Months are those of UTC. Without a quota `token_left` is null.")
            .answers::<BillingView>(),
    ]
}
