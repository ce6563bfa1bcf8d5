use super::*;
use crate::event::{EventData, Gist, Source};
use crate::ids::{BlobId, EventId, GistId, Incarnation, SlotId};
use crate::profile::{Profile, Slot};
use crate::recall::{SlotTally, Tally};
use crate::testing::WordCounter;
use jiff::SignedDuration;
use proptest::prelude::*;
use uuid::Uuid;

/// The words of the frame.
const FRAME_WORDS: u32 = 11;

fn request(max_tokens: u32) -> ContextRequest {
    ContextRequest {
        max_tokens,
        filter: ProfileFilter::default(),
        profile_event_ratio: 0.5,
        chats: None,
        meaning: None,
        asked_on: None,
        threshold: 0.2,
        time_range_in_days: 180,
        happened: Period::default(),
        require_event_summary: false,
        custom_prompt: None,
        fill_window_with_events: false,
        include_buffer: false,
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000_000).unwrap()
}

/// So many days before now.
fn ago(days: i64) -> Timestamp {
    now() - SignedDuration::from_hours(24 * days)
}

fn profile(contents: &[&str]) -> KnownProfile {
    let slot = |content: &&str| Slot {
        id: SlotId(Uuid::nil()),
        topic: "topic".into(),
        sub_topic: "sub".into(),
        content: (*content).into(),
        attributes: serde_json::Map::new(),
        sources: Vec::new(),
        revision: 1,
        created_at: now(),
        updated_at: now(),
    };
    let slots = contents.iter().map(slot).collect();
    KnownProfile::new(Profile { incarnation: Incarnation(Uuid::nil()), revision: 1, slots }, &WordCounter)
}

/// Gists (text, date, age in days), newest first, each the only one of its event.
fn gists(gists: &[(&str, Option<&str>, i64)]) -> KnownGists {
    let gist = |(event, (text, date, days)): (u128, &(&str, Option<&str>, i64))| Gist {
        id: GistId(Uuid::from_u128(event)),
        event_id: EventId(Uuid::from_u128(event)),
        position: 0,
        text: (*text).into(),
        occurred_at: date.map(str::to_owned),
        said_at: None,
        sources: Vec::new(),
        created_at: ago(*days),
        updated_at: ago(*days),
    };
    KnownGists::new(1, (0..).zip(gists).map(gist).collect(), &WordCounter)
}

fn pack(request: &ContextRequest, profile: &KnownProfile, gists: &KnownGists) -> Packed {
    pack_said(request, profile, gists, &[])
}

fn pack_said(request: &ContextRequest, profile: &KnownProfile, gists: &KnownGists, said: &[SaidLine]) -> Packed {
    let remembered = Remembered { profile: Some(profile), gists: Some(gists), events: &[], said };
    Packer::new(Arc::new(WordCounter)).pack(request, &remembered, now())
}

/// Lines of what was said, of four words each.
fn said(lines: usize) -> Vec<SaidLine> {
    (0..lines).map(|n| said_line(format!("- user: line {n}"))).collect()
}

fn said_line(text: String) -> SaidLine {
    SaidLine {
        text,
        source: Source { blob_id: BlobId(Uuid::nil()), message: 0, speaker: None, quote: None, heard: None },
    }
}

fn chat(words: &str) -> Option<Vec<String>> {
    Some(vec![words.to_owned()])
}

#[test]
fn a_context_has_both_parts_in_a_frame() {
    let gists = gists(&[("went hiking", Some("2023-05-08"), 1), ("likes tea", None, 2)]);
    let packed = pack(&request(500), &profile(&["nurse", "Rome"]), &gists);
    let lines: Vec<&str> = packed.text.lines().collect();
    assert_eq!(
        lines,
        [
            "## User profile",
            "- topic::sub: nurse",
            "- topic::sub: Rome",
            "## Events by day told [day it happened]",
            "- likes tea",
            "2023-05-08:",
            "- went hiking",
        ]
    );
    assert!(packed.text.ends_with('\n'));
    assert_eq!((packed.slots_shown, packed.slots_left_out, packed.events_shown, packed.events_left_out), (2, 0, 2, 0));
}

#[test]
fn too_small_a_budget_and_nothing_known_give_the_frame() {
    let empty = Packer::new(Arc::new(WordCounter)).pack(&request(500), &Remembered::default(), now());
    assert_eq!(WordCounter.count(&empty.text), FRAME_WORDS);
    for max_tokens in [0, 10, FRAME_WORDS] {
        let packed = pack(&request(max_tokens), &profile(&["nurse"]), &gists(&[("tea", None, 1)]));
        assert_eq!(packed.text, empty.text);
        assert_eq!((packed.slots_left_out, packed.events_left_out), (1, 1));
    }
}

#[test]
fn the_ratio_shares_the_budget() {
    // Lines of three words each.
    let (profile, gists) = (profile(&["a"; 50]), gists(&[("b c", None, 1); 50]));
    let shown = |ratio, fill| {
        let request = ContextRequest { profile_event_ratio: ratio, fill_window_with_events: fill, ..request(100) };
        let packed = pack(&request, &profile, &gists);
        assert!(WordCounter.count(&packed.text) <= 100);
        (packed.slots_shown, packed.events_shown)
    };
    assert_eq!(shown(0.2, false), (6, 22));
    assert_eq!(shown(0.5, true), (16, 12));
    assert_eq!(shown(1.0, false), (29, 0));
}

#[test]
fn what_the_profile_leaves_over_goes_to_events_when_asked() {
    let (profile, gists) = (profile(&["a"]), gists(&[("b c", None, 1); 50]));
    let full = |fill| pack(&ContextRequest { fill_window_with_events: fill, ..request(100) }, &profile, &gists);
    assert_eq!(full(false).events_shown, 16);
    assert_eq!(full(true).events_shown, 28);
    assert_eq!(full(true).events_left_out, 22);
}

#[test]
fn a_line_that_does_not_fit_ends_its_part() {
    let long = "word ".repeat(60);
    let (profile, gists) = (profile(&["a", &long, "b"]), gists(&[("x", None, 1), (&long, None, 1), ("y", None, 1)]));
    let packed = pack(&request(100), &profile, &gists);
    assert_eq!((packed.slots_shown, packed.slots_left_out), (1, 2));
    assert_eq!((packed.events_shown, packed.events_left_out), (1, 2));
}

#[test]
fn chats_search_and_days_limit() {
    let gists = gists(&[("met Ann", None, 1), ("red bike", None, 2), ("old red bike", None, 90)]);
    let shown = |chats, days| {
        let request = ContextRequest { chats, time_range_in_days: days, ..request(500) };
        pack(&request, &profile(&[]), &gists).text.lines().filter(|l| l.starts_with("- ")).collect::<Vec<_>>().join("|")
    };
    assert_eq!(shown(chat("which bike?"), 180), "- red bike|- old red bike");
    assert_eq!(shown(chat("which bike?"), 30), "- red bike");
    assert_eq!(shown(chat("boat"), 180), "");
    assert_eq!(shown(None, 30), "- met Ann|- red bike");
    assert_eq!(shown(Some(Vec::new()), 30), "- met Ann|- red bike");
    assert_eq!(shown(None, u32::MAX), "- met Ann|- red bike|- old red bike");
    assert_eq!(shown(None, 0), "");
}

#[test]
fn thresholds_that_nothing_reaches_show_nothing() {
    let gists = gists(&[("red bike", None, 2)]);
    for threshold in [2.0, f64::NAN] {
        let request = ContextRequest { chats: chat("red bike"), threshold, ..request(500) };
        assert_eq!(pack(&request, &profile(&[]), &gists).events_shown, 0);
    }
}

#[test]
fn gists_stand_under_their_dates_in_order_of_their_best() {
    let may = Some("2023-05");
    let gists = gists(&[("one", may, 1), ("two", Some("2023-06"), 2), ("three", None, 3), ("four", may, 4)]);
    let text = pack(&request(500), &profile(&[]), &gists).text;
    assert!(text.contains("happened]\n- three\n2023-05:\n- one\n- four\n2023-06:\n- two\n"), "{text}");
    // Five words: two of the first gist and one of its date, too few left for another date.
    let request = ContextRequest { profile_event_ratio: 0.01, ..request(FRAME_WORDS + 2 * EDGE_TOKENS + 5) };
    let packed = pack(&request, &profile(&[]), &gists);
    assert_eq!((packed.events_shown, packed.events_left_out), (1, 3), "a date is paid for");
}

#[test]
fn a_custom_prompt_is_literal_but_for_two_names() {
    let (profile, gists) = (profile(&["{event_section} {x}"]), gists(&[("{profile_section}", None, 1)]));
    let text = |prompt: &str, max_tokens| {
        let request = ContextRequest { custom_prompt: Some(prompt.into()), ..request(max_tokens) };
        pack(&request, &profile, &gists).text
    };
    let prompt = "P {profile_section} E {event_section} {foo} {profile_section.__class__} {{event_section}}";
    let expected = "P - topic::sub: {event_section} {x} E - {profile_section} {foo} {profile_section.__class__} \
                    {- {profile_section}}";
    assert_eq!(text(prompt, 500), expected);
    assert_eq!(text("nothing of it", 500), "nothing of it");
    assert_eq!(text("", 500), "");
    assert_eq!(text(prompt, 0), "P  E  {foo} {profile_section.__class__} {}");
    assert_eq!(text("{event_section}|{event_section}", 8).split_whitespace().count(), 3, "both are paid for");
    assert_eq!(text("{event_section} {event_section}", 6), " ", "twice two words do not fit into three");
}

#[test]
fn summaries_show_whole_events() {
    let gists = gists(&[("red bike", None, 1), ("met Ann", None, 2), ("blue bike", None, 3)]);
    let event = |id: u128, tip: Option<&str>, days| Event {
        id: EventId(Uuid::from_u128(id)),
        flush_id: None,
        data: EventData { event_tip: tip.map(str::to_owned), ..EventData::default() },
        created_at: ago(days),
        updated_at: ago(days),
    };
    let events =
        [event(0, Some("A new bike\n\n- red bike\n- fast"), 1), event(1, Some("- met Ann"), 2), event(2, None, 3)];
    let remembered = Remembered { profile: None, gists: Some(&gists), events: &events, said: &[] };
    let shown = |chats, max_tokens| {
        let request = ContextRequest { require_event_summary: true, chats, ..request(max_tokens) };
        let packed = Packer::new(Arc::new(WordCounter)).pack(&request, &remembered, now());
        let lines: Vec<&str> = packed.text.lines().filter(|line| line.starts_with("- ")).collect();
        (lines.join("|"), packed.events_shown, packed.events_left_out)
    };
    assert_eq!(shown(chat("bike"), 500), ("- A new bike|- red bike|- fast".into(), 1, 0));
    assert_eq!(shown(None, 500), ("- A new bike|- red bike|- fast|- met Ann".into(), 2, 0));
    assert_eq!(shown(None, FRAME_WORDS + 8), (String::new(), 0, 2), "an event is shown whole or not at all");
}

#[test]
fn what_was_just_said_is_shown_when_asked_for() {
    let (profile, gists, said) = (profile(&["nurse"]), gists(&[("likes tea", None, 1)]), said(2));
    let without = pack_said(&request(500), &profile, &gists, &said);
    assert_eq!((&without, without.said_left_out), (&pack(&request(500), &profile, &gists), 0));

    let asked = ContextRequest { include_buffer: true, ..request(500) };
    let packed = pack_said(&asked, &profile, &gists, &said);
    let section = "## Just said, newest first\n- user: line 0\n- user: line 1\n";
    assert_eq!(packed.text, without.text.clone() + section);
    assert_eq!((packed.said_shown, packed.said_left_out), (2, 0));
    let none = pack_said(&asked, &profile, &gists, &[]);
    assert_eq!(none.text, without.text + "## Just said, newest first\n\n");

    let events = ContextRequest { require_event_summary: true, ..asked };
    assert!(pack_said(&events, &profile, &gists, &said).text.ends_with(section));
}

#[test]
fn what_was_just_said_has_half_of_the_events_share_or_what_they_leave() {
    let heading = 5;
    // Gists are lines of three words, what was said of four; 40 words to share.
    let shown = |events: usize, lines: usize| {
        let max_tokens = FRAME_WORDS + heading + 3 * EDGE_TOKENS + 40;
        let request = ContextRequest { include_buffer: true, fill_window_with_events: true, ..request(max_tokens) };
        let packed = pack_said(&request, &profile(&[]), &gists(&vec![("b c", None, 1); events]), &said(lines));
        assert_eq!(
            (packed.said_shown + packed.said_left_out, packed.events_shown + packed.events_left_out),
            (lines, events)
        );
        (packed.events_shown, packed.said_shown)
    };
    assert_eq!(shown(50, 50), (6, 5), "each has half");
    assert_eq!(shown(2, 50), (2, 8), "what events leave over");
    assert_eq!(shown(50, 2), (10, 2), "what was said leaves the rest over");
    assert_eq!(shown(0, 50), (0, 10));
    assert_eq!(shown(50, 0), (13, 0));
}

#[test]
fn in_a_custom_prompt_it_stands_at_the_head_of_the_events() {
    let gists = gists(&[("tea", None, 1)]);
    let text = |prompt: &str, lines, gists: &KnownGists| {
        let custom_prompt = Some(prompt.into());
        let request = ContextRequest { include_buffer: true, custom_prompt, ..request(500) };
        pack_said(&request, &profile(&["nurse"]), gists, &said(lines)).text
    };
    let prompt = "<{event_section}>|{profile_section}";
    assert_eq!(text(prompt, 2, &gists), "<- user: line 0\n- user: line 1\n- tea>|- topic::sub: nurse");
    assert_eq!(text(prompt, 0, &gists), "<- tea>|- topic::sub: nurse");
    assert_eq!(text(prompt, 1, &self::gists(&[])), "<- user: line 0>|- topic::sub: nurse");
    assert_eq!(text("{profile_section}", 1, &gists), "- topic::sub: nurse");
    assert_eq!(text("{event_section}|{event_section}", 1, &gists).matches("- user: line 0\n- tea").count(), 2);
}

/// What varies from one packing to the next.
fn requests() -> impl Strategy<Value = ContextRequest> {
    let prompt = prop::option::of("(A |\\{profile_section\\} |\\{event_section\\} ){0,4}");
    let flags = (any::<bool>(), any::<bool>());
    (0.01..=1.0_f64, flags, prop::option::of("([a-d] ){0,3}"), -0.2..1.2_f64, prompt).prop_map(
        |(profile_event_ratio, (fill_window_with_events, include_buffer), chats, threshold, custom_prompt)| {
            ContextRequest {
                profile_event_ratio,
                fill_window_with_events,
                include_buffer,
                chats: chats.map(|words| vec![words]),
                threshold,
                custom_prompt,
                ..request(0)
            }
        },
    )
}

fn explain(
    request: &ContextRequest,
    profile: &KnownProfile,
    gists: &KnownGists,
    said: &[SaidLine],
) -> (Packed, Explanation) {
    let remembered = Remembered { profile: Some(profile), gists: Some(gists), events: &[], said };
    Packer::new(Arc::new(WordCounter)).explain(request, &remembered, now())
}

/// What is told of a context is in it, and adds up.
fn check_explanation(why: &Explanation, packed: &Packed, max_tokens: u32) {
    let shown = |part: &Explained| (part.shown, part.left_out);
    assert!([&why.profile, &why.events, &why.said].iter().all(|part| part.lines.len() == part.shown));
    assert_eq!(shown(&why.profile), (packed.slots_shown, packed.slots_left_out));
    assert_eq!(shown(&why.events), (packed.events_shown, packed.events_left_out));
    assert_eq!(shown(&why.said), (packed.said_shown, packed.said_left_out));
    assert!(why.tokens == WordCounter.count(&packed.text) && why.tokens <= max_tokens);
    for part in [&why.profile, &why.events, &why.said] {
        assert!(part.tokens <= part.max_tokens && part.next.len() == part.left_out.min(10));
        assert!(part.lines.iter().all(|line| packed.text.contains(&line.text)), "{part:?}");
        let sum: u32 = part.lines.iter().map(|line| line.tokens).sum();
        // A custom prompt may show a section more than once.
        assert!(sum <= part.tokens && (sum > 0 || part.tokens == 0), "{part:?}");
    }
    let left_out = why.gists.dissimilar + why.gists.stored_before + why.gists.of_other_times;
    assert!(left_out <= why.gists.considered + why.gists.stored_before + why.gists.of_other_times);
}

#[test]
fn a_context_tells_why_it_is_what_it_is() {
    let slots = profile(&["nurse", "Rome"]);
    let gists = gists(&[("red bike", Some("2023-05-08"), 1), ("met Ann", None, 2), ("a bike", None, 200)]);
    let filter = ProfileFilter { max_subtopic_size: Some(1), ..ProfileFilter::default() };
    let asked = ContextRequest { chats: chat("which bike?"), filter, include_buffer: true, ..request(500) };
    let (_, why) = explain(&asked, &slots, &gists, &said(1));
    let line = |line: &Line| (line.text.clone(), line.tokens);
    assert_eq!(why.profile.lines.iter().map(line).collect::<Vec<_>>(), [("- topic::sub: nurse".into(), 3)]);
    assert_eq!(why.slots, SlotTally { beyond_topic: 1, ..Default::default() });
    assert_eq!(why.events.lines.iter().map(line).collect::<Vec<_>>(), [("- red bike".into(), 4)], "with its date");
    let Origin::Gist(hit) = &why.events.lines[0].origin else { panic!("{why:?}") };
    assert!(hit.similarity == 1.0 && hit.scores.words > 0.0, "{hit:?}");
    assert_eq!(why.gists, Tally { considered: 2, stored_before: 1, dissimilar: 1, ..Tally::default() });
    assert_eq!(why.said.lines[0].origin, Origin::Said(said(1)[0].source.clone()));
    let newest = ContextRequest { chats: None, time_range_in_days: 1_000, ..asked.clone() };
    let (_, why) = explain(&ContextRequest { max_tokens: 22, ..newest }, &slots, &gists, &[]);
    assert_eq!((why.events.lines.len(), why.events.left_out), (0, 3), "{why:?}");
    assert_eq!(line(&why.events.next[0]), ("- red bike".into(), 4));
    let prompt = ContextRequest { custom_prompt: Some("{profile_section}".into()), ..asked.clone() };
    let (_, why) = explain(&prompt, &slots, &gists, &[]);
    assert_eq!((why.events.not_in_prompt, why.events.left_out, why.profile.not_in_prompt), (1, 0, 0));
    let only = ProfileFilter { only_topics: vec!["x".into()], ..ProfileFilter::default() };
    let (_, why) = explain(&ContextRequest { filter: only, ..asked }, &slots, &gists, &[]);
    assert_eq!(why.slots, SlotTally { other_topics: 2, ..Default::default() });
}

proptest! {
    // Each case packs 220 times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn budgets_are_kept_and_larger_ones_lose_nothing(
        slots in prop::collection::vec("([a-d] ){0,12}", 0..6),
        lines in prop::collection::vec(("([a-d] ){0,12}", prop::option::of("2023-0[1-3]")), 0..10),
        said in prop::collection::vec("- s: ([a-d] ){0,12}", 0..8),
        request in requests(),
        directions in prop::collection::vec((-9_i8..9, -9_i8..9), 0..12),
    ) {
        let profile = profile(&slots.iter().map(String::as_str).collect::<Vec<_>>());
        let said: Vec<SaidLine> = said.into_iter().map(said_line).collect();
        let lines: Vec<_> = lines.iter().map(|(text, date)| (text.as_str(), date.as_deref(), 1)).collect();
        // Some gists have a vector, and so has the chat, in some cases.
        let mut vectors = directions.iter().filter_map(|(x, y)| Vector::of(&[f32::from(*x), f32::from(*y)]));
        let request = ContextRequest { meaning: vectors.next(), ..request };
        let gists = gists(&lines);
        let ids: Vec<GistId> = (0..gists.len()).rev().map(|at| gists.gist(at).id).collect();
        let gists = gists.with_vectors(ids.into_iter().zip(vectors).collect());
        let frame = WordCounter.count(&pack_said(&request, &profile, &gists, &said).text);
        let mut before = Packed::default();
        for max_tokens in 0..220 {
            let packed = pack_said(&ContextRequest { max_tokens, ..request.clone() }, &profile, &gists, &said);
            prop_assert!(WordCounter.count(&packed.text) <= max_tokens.max(frame));
            prop_assert!(packed.slots_shown >= before.slots_shown, "at {}", max_tokens);
            prop_assert!(packed.events_shown >= before.events_shown, "at {}", max_tokens);
            prop_assert!(packed.said_shown >= before.said_shown, "at {}", max_tokens);
            prop_assert!(request.include_buffer || packed.said_shown == 0);
            if max_tokens % 20 == 0 {
                let request = ContextRequest { max_tokens, ..request.clone() };
                let (explained, why) = explain(&request, &profile, &gists, &said);
                prop_assert_eq!(&explained, &packed);
                check_explanation(&why, &packed, max_tokens.max(frame));
            }
            for line in before.text.lines().filter(|line| !line.is_empty()) {
                let count = |text: &str| text.lines().filter(|l| *l == line).count();
                prop_assert!(request.custom_prompt.is_some() || count(&packed.text) >= count(&before.text));
            }
            before = packed;
        }
    }
}
