//! `/users/context`: profile and events as a section of a prompt.

use memory::context::ContextRequest;
use serde::Serialize;

use super::call::Call;
use super::events::{THRESHOLD, TIME_RANGE_DAYS};
use super::input::{MAX_DAYS, MAX_TOKENS};
use super::reply::{Answer, Reply};
use super::{filter, messages};

/// Tokens of a context, unless the client says otherwise.
const CONTEXT_TOKENS: u32 = 1000;
/// The share of the profile in a context, unless the client says otherwise.
const PROFILE_SHARE: f64 = 0.6;

/// A context, on the wire.
#[derive(Serialize)]
pub(super) struct ContextData {
    context: String,
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
        threshold: input.number("event_similarity_threshold").unwrap_or(THRESHOLD),
        time_range_in_days: input.limit("time_range_in_days", MAX_DAYS).unwrap_or(TIME_RANGE_DAYS),
        require_event_summary: input.flag("require_event_summary", false),
        custom_prompt: input.text("customize_context_prompt").map(str::to_owned),
        fill_window_with_events: input.flag("fill_window_with_events", false),
    };
    let full_profile = input.flag("full_profile_and_only_search_event", true);
    let topic_limits = input.text("topic_limits_json").map(str::to_owned);
    let chats = input.text("chats_str").map(str::to_owned);
    input.finish()?;
    request.filter.topic_limits = filter::topic_limits(topic_limits.as_deref())?;
    let chats = messages::from_parameter(chats.as_deref())?;
    request.chats = chats.as_ref().map(|messages| messages.iter().map(|m| m.content.clone()).collect());
    let chat = chats.filter(|_| !full_profile).unwrap_or_default();
    let context = call.engine()?.context(&call.key(user), request, &chat).await?;
    Ok(Answer(ContextData { context }))
}
