//! `/users/event`, `/users/event_gist` and `/users/event_tags`: reading, searching and changing events.

use std::iter::repeat;

use actors::Engine;
use jiff::Timestamp;
use memory::context::MAX_EXPLAINED;
use memory::event::{Event, EventData, EventTag, ProfileDelta};
use memory::ids::{EventId, UserId, UserKey};
use memory::ports::{EventFilter, TokenCounter};
use memory::recall::{Hit, Period, Search, TimeRange};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::Body;
use super::call::Call;
use super::explain::{self, SearchExplained};
use super::input::{Input, MAX_DAYS, MAX_ITEMS, MAX_QUERY_CHARS, MAX_TOKENS};
use super::invalid::Problems;
use super::node::Node;
use super::openapi::{Route, parameters as p};
use super::reply::{Answer, Failure, Reply};
use super::sources::{self, SourceView};
use super::stamp::Stamp;

/// Events or gists of an answer, unless the client says otherwise.
const TOPK: u32 = 10;
/// The similarity below which nothing is found, unless the client says otherwise.
pub(super) const THRESHOLD: f64 = 0.2;
/// The time range of a search, unless the client says otherwise.
pub(super) const TIME_RANGE_DAYS: u32 = 180;

/// Events or gists, on the wire: either route names both.
#[derive(Serialize, Default, ToSchema)]
pub(super) struct Found {
    events: Vec<EventView>,
    gists: Vec<GistView>,
    /// Why; of searches with `explain=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<SearchExplained>,
}

#[derive(Serialize, ToSchema)]
struct EventView {
    id: Uuid,
    event_data: EventData,
    created_at: Stamp,
    updated_at: Stamp,
    similarity: Option<f64>,
    /// The messages that its gists come from; only if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sources: Option<Vec<SourceView>>,
}

#[derive(Serialize, ToSchema)]
struct GistView {
    id: Uuid,
    gist_data: GistData,
    created_at: Stamp,
    updated_at: Stamp,
    similarity: Option<f64>,
    /// The messages that it comes from; only if they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sources: Option<Vec<SourceView>>,
}

#[derive(Serialize, ToSchema)]
struct GistData {
    content: String,
}

impl EventView {
    fn new(event: Event, similarity: Option<f64>) -> Self {
        let (created_at, updated_at) = (Stamp(event.created_at), Stamp(event.updated_at));
        Self { id: event.id.0, event_data: event.data, created_at, updated_at, similarity, sources: None }
    }
}

impl GistView {
    fn new(Hit { gist, similarity, .. }: Hit, sources: bool) -> Self {
        let (created_at, updated_at) = (Stamp(gist.created_at), Stamp(gist.updated_at));
        let gist_data = GistData { content: gist.line() };
        let sources = sources.then(|| sources::views(gist.sources));
        Self { id: gist.id.0, gist_data, created_at, updated_at, similarity: Some(similarity), sources }
    }
}

/// Events, each with its similarity where it was searched for, and with their sources where these are asked for.
async fn shown(
    engine: &Engine,
    key: &UserKey,
    events: Vec<Event>,
    similarities: impl IntoIterator<Item = Option<f64>>,
    sources: bool,
) -> Result<Vec<EventView>, Failure> {
    let mut of_each = if sources { engine.event_sources(key, &events).await? } else { Vec::new() }.into_iter();
    let view = |(event, similarity)| {
        let sources = of_each.next().map(sources::views);
        EventView { sources, ..EventView::new(event, similarity) }
    };
    Ok(events.into_iter().zip(similarities).map(view).collect())
}

async fn listed(engine: &Engine, key: &UserKey, events: Vec<Event>, sources: bool) -> Reply<Found> {
    let events = shown(engine, key, events, repeat(None), sources).await?;
    Ok(Answer(Found { events, ..Found::default() }))
}

/// `GET /users/event/{user_id}`, newest first.
pub(super) async fn list(call: Call) -> Reply<Found> {
    let mut input = call.input();
    let user = input.user();
    let topk = input.limit("topk", MAX_ITEMS).unwrap_or(TOPK);
    let max_tokens = input.limit("max_token_size", MAX_TOKENS);
    let need_summary = input.flag("need_summary", false);
    let sources = sources::are_asked_for(&mut input);
    input.finish()?;
    let (engine, key) = (call.engine()?, call.key(user));
    let mut events = if need_summary {
        with_tip(engine, &key, topk).await?
    } else {
        engine.events(&key, &EventFilter { limit: topk, ..EventFilter::default() }).await?
    };
    if let Some(max_tokens) = max_tokens {
        let fit = fitting(&events, max_tokens, engine.counter().as_ref());
        events.truncate(fit);
    }
    listed(engine, &key, events, sources).await
}

/// The newest events that have a tip. Nearly all have, so more than `topk` are read only when some do not.
async fn with_tip(engine: &Engine, key: &UserKey, topk: u32) -> Result<Vec<Event>, Failure> {
    let wanted = topk as usize;
    let mut events = Vec::new();
    for limit in [topk, MAX_ITEMS] {
        events = engine.events(key, &EventFilter { limit, ..EventFilter::default() }).await?;
        let all = events.len() < limit as usize;
        events.retain(|e| e.data.event_tip.is_some());
        if all || events.len() >= wanted {
            break;
        }
    }
    events.truncate(wanted);
    Ok(events)
}

/// How many events from the first on have tips of `max_tokens` together at most.
fn fitting(events: &[Event], max_tokens: u32, counter: &dyn TokenCounter) -> usize {
    let mut used = 0_u32;
    let fits = |event: &&Event| {
        used = used.saturating_add(event.data.event_tip.as_deref().map_or(0, |tip| counter.count(tip)));
        used <= max_tokens
    };
    events.iter().take_while(fits).count()
}

/// `PUT /users/event/{user_id}/{event_id}`: what is given replaces what is stored.
pub(super) async fn update(call: Call, body: Body) -> Reply<()> {
    let mut input = call.input();
    let (user, id) = (input.user(), input.id("event_id"));
    let change = input.model(&body, read_data);
    input.finish()?;
    let found = call.engine()?.update_event(&call.key(user), EventId(id), change).await?;
    if found { Ok(Answer(())) } else { Err(Failure::not_found("event", id, user.0)) }
}

fn read_data(root: Node<'_>, problems: &mut Problems) -> EventData {
    let profile_delta = root.get("profile_delta").optional_list(problems, read_delta);
    let event_tip = root.get("event_tip").optional_string(problems);
    let event_tags = root.get("event_tags").optional_list(problems, read_tag);
    EventData { profile_delta, event_tip, event_tags }
}

fn read_delta(item: &Node<'_>, problems: &mut Problems) -> ProfileDelta {
    if !item.is_object(problems, "model_attributes_type") {
        return ProfileDelta { content: String::new(), attributes: None };
    }
    let content = item.get("content").string(problems);
    ProfileDelta { content, attributes: item.get("attributes").nullable_map(problems) }
}

fn read_tag(item: &Node<'_>, problems: &mut Problems) -> EventTag {
    if !item.is_object(problems, "model_attributes_type") {
        return EventTag { tag: String::new(), value: String::new() };
    }
    EventTag { tag: item.get("tag").string(problems), value: item.get("value").string(problems) }
}

/// `DELETE /users/event/{user_id}/{event_id}`
pub(super) async fn delete(call: Call) -> Reply<()> {
    let mut input = call.input();
    let (user, id) = (input.user(), input.id("event_id"));
    input.finish()?;
    let found = call.engine()?.delete_event(&call.key(user), EventId(id)).await?;
    if found { Ok(Answer(())) } else { Err(Failure::not_found("event", id, user.0)) }
}

/// The parameters that both searches share.
struct Asked {
    user: UserId,
    query: String,
    topk: u32,
    threshold: f64,
    days: u32,
    happened: Period,
    explains: bool,
    sources: bool,
}

impl Asked {
    fn read(mut input: Input<'_>) -> Result<Self, Failure> {
        let asked = Self {
            user: input.user(),
            query: input.search_query(),
            topk: input.limit("topk", MAX_ITEMS).unwrap_or(TOPK),
            threshold: input.number("similarity_threshold").unwrap_or(THRESHOLD),
            days: input.limit("time_range_in_days", MAX_DAYS).unwrap_or(TIME_RANGE_DAYS),
            happened: input.happened(),
            explains: input.flag(explain::NAME, false),
            sources: sources::are_asked_for(&mut input),
        };
        input.finish()?;
        Ok(asked)
    }

    fn search(&self, now: Timestamp) -> Search {
        let range = TimeRange { happened: self.happened, ..TimeRange::within_days(now, self.days) };
        Search { range, ..Search::by_words(self.query.clone(), self.topk, self.threshold) }
    }
}

/// `GET /users/event/search/{user_id}`
pub(super) async fn search(call: Call) -> Reply<Found> {
    let asked = Asked::read(call.input())?;
    let engine = call.engine()?;
    let search = asked.search(engine.now());
    let key = call.key(asked.user);
    let (found, tally) = engine.search_events(&key, &search).await?;
    let (events, hits): (Vec<Event>, Vec<Hit>) = found.into_iter().unzip();
    let similarities = hits.iter().map(|hit| Some(hit.similarity));
    let events = shown(engine, &key, events, similarities, asked.sources).await?;
    let explain = asked.explains.then(|| SearchExplained::new(hits, tally));
    Ok(Answer(Found { events, gists: Vec::new(), explain }))
}

/// `GET /users/event_gist/search/{user_id}`
pub(super) async fn search_gists(call: Call) -> Reply<Found> {
    let asked = Asked::read(call.input())?;
    let engine = call.engine()?;
    let search = asked.search(engine.now());
    let found = engine.search_gists(&call.key(asked.user), &search).await?;
    let explain =
        asked.explains.then(|| SearchExplained::new(found.hits.iter().take(MAX_EXPLAINED).cloned(), found.tally));
    let gists = found.hits.into_iter().map(|hit| GistView::new(hit, asked.sources)).collect();
    Ok(Answer(Found { gists, events: Vec::new(), explain }))
}

/// `GET /users/event_tags/search/{user_id}`: events that carry all of the tags, newest first.
pub(super) async fn search_tags(call: Call) -> Reply<Found> {
    let mut input = call.input();
    let user = input.user();
    let filter = EventFilter {
        limit: input.limit("topk", MAX_ITEMS).unwrap_or(TOPK),
        since: None,
        tags: tags(input.text("tags")),
        tag_values: tag_values(input.text("tag_values")),
    };
    let sources = sources::are_asked_for(&mut input);
    input.finish()?;
    let (engine, key) = (call.engine()?, call.key(user));
    let events = engine.events(&key, &filter).await?;
    listed(engine, &key, events, sources).await
}

/// The tags of "tag, tag".
fn tags(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// The pairs of "tag=value, tag=value". What has no "=" is no pair, and is passed over as in the wire format.
fn tag_values(text: Option<&str>) -> Vec<EventTag> {
    let pairs = text.unwrap_or_default().split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(tag, value)| EventTag { tag: tag.trim().to_owned(), value: value.trim().to_owned() }).collect()
}

/// Describes the routes above.
pub(super) fn describe() -> Vec<Route> {
    const NO_EVENT: &str = "there is no such event";
    let topk = || p::limit("topk", Some(TOPK), MAX_ITEMS, "Items at most.");
    let event = || [p::user(), p::id("event_id", "The event.")];
    let search = |path, summary| {
        Route::get(path, summary)
            .says("Most similar first. An unknown user has nothing.")
            .parameter(p::user())
            .parameter(p::search_query(MAX_QUERY_CHARS))
            .parameter(topk())
            .parameter(p::number("similarity_threshold", THRESHOLD, "The similarity from which on something is found."))
            .parameter(p::limit(
                "time_range_in_days",
                Some(TIME_RANGE_DAYS),
                MAX_DAYS,
                "How long ago it may be stored.",
            ))
            .parameters(p::happened())
            .parameter(p::flag(
                explain::NAME,
                false,
                "Tell of each line its source, scores and tokens, and what was left out.",
            ))
            .parameter(sources::parameter())
            .answers::<Found>()
    };
    vec![
        Route::get("/users/event/{user_id}", "List events")
            .says("Newest first. An unknown user has none.")
            .parameter(p::user())
            .parameter(topk())
            .parameter(p::limit("max_token_size", None, MAX_TOKENS, "Tokens of all tips at most."))
            .parameter(p::flag("need_summary", false, "Leave out events without a tip."))
            .parameter(sources::parameter())
            .answers::<Found>(),
        Route::put("/users/event/{user_id}/{event_id}", "Change an event")
            .says("What is given replaces what is stored. Lines of `event_tip` that begin with `- ` are gists.")
            .parameters(event())
            .body::<EventData>("The change.")
            .errno(404, NO_EVENT),
        Route::delete("/users/event/{user_id}/{event_id}", "Delete an event")
            .says("With its gists.")
            .parameters(event())
            .errno(404, NO_EVENT),
        search("/users/event/search/{user_id}", "Search events"),
        search("/users/event_gist/search/{user_id}", "Search gists: single lines of events"),
        Route::get("/users/event_tags/search/{user_id}", "Find events by their tags")
            .says("Those that carry all of the tags, newest first.")
            .parameter(p::user())
            .parameter(p::text("tags", "Names: `emotion,goal`."))
            .parameter(p::text("tag_values", "Names with values: `emotion=happy,goal=rest`."))
            .parameter(topk())
            .parameter(sources::parameter())
            .answers::<Found>(),
    ]
}

#[cfg(test)]
mod tests;
