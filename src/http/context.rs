//! `/users/context`: profile and events, and what was just said, as a section of a prompt.

use memory::context::ContextRequest;
use memory::dates::date_in;
use memory::recall::CHAT_QUERY_MESSAGES;
use serde::Serialize;
use utoipa::ToSchema;

use super::call::Call;
use super::events::{THRESHOLD, TIME_RANGE_DAYS};
use super::explain::{self, ContextExplained};
use super::input::{MAX_DAYS, MAX_TOKENS};
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Reply};
use super::{filter, messages};

/// Tokens of a context, unless the client says otherwise.
const CONTEXT_TOKENS: u32 = 1000;
/// The share of the profile in a context, unless the client says otherwise.
const PROFILE_SHARE: f64 = 0.6;

/// A context, on the wire.
#[derive(Serialize, ToSchema)]
pub(super) struct ContextData {
    /// Ready to be pasted into a prompt.
    context: String,
    /// Why; only with `explain=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<ContextExplained>,
}

/// `GET /users/context/{user_id}`. An unknown user has an empty one.
pub(super) async fn get(call: Call) -> Reply<ContextData> {
    let mut input = call.input();
    let user = input.user();
    let mut request = ContextRequest {
        max_tokens: input.limit("max_token_size", MAX_TOKENS).unwrap_or(CONTEXT_TOKENS),
        filter: filter::read_shared(&mut input),
        profile_event_ratio: input.share("profile_event_ratio", PROFILE_SHARE),
        chats: None,
        meaning: None,
        asked_on: None,
        threshold: input.number("event_similarity_threshold").unwrap_or(THRESHOLD),
        time_range_in_days: input.limit("time_range_in_days", MAX_DAYS).unwrap_or(TIME_RANGE_DAYS),
        happened: input.happened(),
        require_event_summary: input.flag("require_event_summary", false),
        custom_prompt: input.text("customize_context_prompt").map(str::to_owned),
        fill_window_with_events: input.flag("fill_window_with_events", false),
        include_buffer: input.flag("include_buffer", false),
    };
    let full_profile = input.flag("full_profile_and_only_search_event", true);
    let topic_limits = input.text("topic_limits_json").map(str::to_owned);
    let chats = input.text("chats_str").map(str::to_owned);
    let explains = input.flag(explain::NAME, false);
    input.finish()?;
    request.filter.topic_limits = filter::topic_limits(topic_limits.as_deref())?;
    let chats = messages::from_parameter(chats.as_deref())?;
    request.chats = chats.as_ref().map(|messages| messages.iter().map(|m| m.content.clone()).collect());
    let last = chats.iter().flatten().rev().take(CHAT_QUERY_MESSAGES);
    request.asked_on = last.filter_map(|message| message.created_at.as_deref()).find_map(date_in);
    let chat = chats.filter(|_| !full_profile).unwrap_or_default();
    let (engine, key) = (call.engine()?, call.key(user));
    if !explains {
        let context = engine.context(&key, request, &chat).await?;
        return Ok(Answer(ContextData { context, explain: None }));
    }
    let (max_tokens, searched) = (request.max_tokens, request.chats.is_some());
    let (context, why) = engine.explained_context(&key, request, &chat).await?;
    let explain = Some(ContextExplained::new(max_tokens, searched, why));
    Ok(Answer(ContextData { context, explain }))
}

/// Describes the route above.
pub(super) fn describe() -> Vec<Route> {
    let prompt = "A frame of the client's own; `{profile_section}` and `{event_section}` are put in.";
    let buffer = "Add what was said and is not processed yet, newest first, within the same limit of tokens.";
    let full = "Show the whole profile, and search only events with chats_str.";
    let route = Route::get("/users/context/{user_id}", "Read the context of a user")
        .says("Profile and events as a section of a prompt. An unknown user has an empty one.")
        .parameter(p::user())
        .parameter(p::limit("max_token_size", Some(CONTEXT_TOKENS), MAX_TOKENS, "Tokens of the whole text at most."))
        .parameters(filter::shared_parameters())
        .parameter(p::share("profile_event_ratio", PROFILE_SHARE, "The share of the profile."))
        .parameter(p::flag("require_event_summary", false, "Leave out events that have no summary."))
        .parameter(p::text("chats_str", messages::PARAMETER))
        .parameter(p::number(
            "event_similarity_threshold",
            THRESHOLD,
            "How similar to the chat a line must be, 0 to 1.",
        ))
        .parameter(p::limit(
            "time_range_in_days",
            Some(TIME_RANGE_DAYS),
            MAX_DAYS,
            "How far back events may be stored.",
        ))
        .parameters(p::happened())
        .parameter(p::text("customize_context_prompt", prompt))
        .parameter(p::flag("full_profile_and_only_search_event", true, full))
        .parameter(p::flag("fill_window_with_events", false, "Give events what the profile leaves over."))
        .parameter(p::flag("include_buffer", false, buffer))
        .parameter(p::flag(
            explain::NAME,
            false,
            "Tell of each line its source, scores and tokens, and what was left out.",
        ));
    vec![route.answers::<ContextData>().errno(400, filter::REFUSED)]
}
