use super::*;
use crate::ids::GistId;
use crate::ids::{BlobId, EventId};
use crate::recall::Period;
use crate::testing::WordCounter;
use jiff::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

/// A gist of an event, stored at a second.
fn gist(event: u128, position: u32, second: i64, text: &str) -> Gist {
    let at = Timestamp::from_second(second).unwrap();
    Gist {
        id: GistId(Uuid::nil()),
        event_id: EventId(Uuid::from_u128(event)),
        position,
        text: text.into(),
        occurred_at: None,
        said_at: None,
        sources: Vec::new(),
        created_at: at,
        updated_at: at,
    }
}

fn known(gists: Vec<Gist>) -> KnownGists {
    KnownGists::new(1, gists, &WordCounter)
}

fn search(query: &str, threshold: f64) -> Search {
    Search::by_words(query, 10, threshold)
}

fn since(second: i64) -> TimeRange {
    TimeRange { stored_since: Timestamp::from_second(second).unwrap(), ..TimeRange::default() }
}

fn texts(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.gist.text.as_str()).collect()
}

fn texts_of(found: &Found) -> Vec<String> {
    found.hits.iter().map(|hit| hit.gist.text.clone()).collect()
}

fn sample() -> KnownGists {
    known(vec![
        gist(3, 0, 30, "I bought a red bike"),
        gist(2, 1, 20, "my brother paints"),
        gist(2, 0, 20, "the bike shop closed"),
        gist(1, 0, 10, "I bought a red bike"),
    ])
}

#[test]
fn the_best_comes_first_and_of_equals_the_newest() {
    let hits = sample().search(&search("Which red bikes?", 0.2)).hits;
    assert_eq!(texts(&hits), ["I bought a red bike", "I bought a red bike", "the bike shop closed"]);
    assert!(hits[0].gist.created_at > hits[1].gist.created_at);
    assert_eq!((hits[0].similarity, hits[1].similarity), (1.0, 1.0));
    assert!(hits[2].similarity < 1.0);
}

fn direction(x: f32, y: f32) -> Vector {
    Vector::of(&[x, y]).unwrap()
}

/// Gists of one event each, newest first, with their directions where they have one.
fn meaning(gists: &[(&str, Option<(f32, f32)>)]) -> KnownGists {
    let id = |number: u128| GistId(Uuid::from_u128(number));
    let known = (1..).zip(gists).map(|(n, (text, _))| Gist { id: id(n), ..gist(n, 0, 100 - n as i64, text) });
    let vectors = (1..).zip(gists).filter_map(|(n, (_, at))| Some((id(n), direction(at.as_ref()?.0, at.as_ref()?.1))));
    self::known(known.collect()).with_vectors(vectors.collect())
}

fn asked(query: &str, meaning: Vector) -> Search {
    Search { meaning: Some(meaning), ..search(query, -1.0) }
}

#[test]
fn words_and_meaning_count_together() {
    let known = meaning(&[
        ("tea is fine", Some((-1.0, 0.1))),
        ("we have a hound", Some((1.0, 0.1))),
        ("a red bike", Some((0.0, 1.0))),
        ("my dog is red", Some((0.9, 0.2))),
    ]);
    let found = known.search(&asked("dog", direction(1.0, 0.0))).hits;
    assert_eq!(texts(&found), ["my dog is red", "we have a hound", "a red bike", "tea is fine"]);
    assert!((found[0].similarity - 1.0).abs() < 1e-9 && found.is_sorted_by(|a, b| a.similarity > b.similarity));
    assert!(found[3].similarity.abs() < 1e-9, "neither word nor meaning");
    // Without a word in common, the meaning alone.
    let found = known.search(&asked("puppies", direction(1.0, 0.0))).hits;
    assert_eq!(texts(&found)[..2], ["we have a hound", "my dog is red"]);
    assert!(texts(&known.search(&search("puppies", 0.1)).hits).is_empty());
}

#[test]
fn a_gist_without_a_vector_is_found_by_its_words() {
    let hound = ("we have a hound", Some((1.0, 0.1)));
    let known = meaning(&[("my dog is red", None), hound, ("tea is fine", Some((-1.0, 0.1)))]);
    let found = known.search(&asked("dog", direction(1.0, 0.0))).hits;
    assert_eq!(texts(&found), ["my dog is red", "we have a hound", "tea is fine"]);
}

#[test]
fn one_of_few_is_found_by_its_meaning() {
    let known = meaning(&[("we have a hound", Some((1.0, 0.1))), ("and a pony", Some((1.0, 0.2)))]);
    let found = known.search(&Search { threshold: 0.2, ..asked("puppies", direction(1.0, 0.0)) });
    assert_eq!(texts(&found.hits), ["we have a hound", "and a pony"]);
    assert!(found.hits[1].similarity > 0.9, "they are as near as each other");
    let known = meaning(&[("we have a hound", Some((1.0, 0.1)))]);
    assert_eq!(known.search(&Search { threshold: 0.2, ..asked("puppies", direction(1.0, 0.0)) }).hits.len(), 1);
    assert!(known.search(&Search { threshold: 0.2, ..asked("puppies", direction(-1.0, 0.0)) }).hits.is_empty());
}

#[test]
fn what_is_out_of_range_is_no_measure() {
    let old = ("we have a hound", Some((1.0, 0.0)));
    let known = meaning(&[("a red bike", Some((0.1, 1.0))), ("tea is fine", Some((0.0, 1.0))), old]);
    let range = since(98);
    let found = known.search(&Search { range, threshold: 0.2, ..asked("puppies", direction(1.0, 0.0)) });
    assert_eq!(texts(&found.hits), ["a red bike"]);
    assert_eq!((found.hits[0].similarity, found.tally.stored_before), (1.0, 1));
    let found = known.search(&Search { range, threshold: 0.2, ..asked("bike", direction(1.0, 0.0)) });
    assert_eq!(found.hits[0].similarity, 1.0);
}

#[test]
fn few_vectors_and_those_of_other_dimensions_count_nothing() {
    let few = meaning(&[("my dog is red", None), ("a red bike", None), ("we have a hound", Some((1.0, 0.1)))]);
    assert!(!few.has_meanings());
    let most = meaning(&[("my dog is red", None), ("we have a hound", Some((1.0, 0.1)))]);
    assert!(most.has_meanings());
    let other = Vector::of(&[1.0, 0.0, 0.0]).unwrap();
    for (known, meaning) in [(few, direction(1.0, 0.0)), (most, other)] {
        let by_words = known.search(&search("dog", -1.0)).hits;
        assert_eq!(known.search(&asked("dog", meaning)).hits, by_words);
    }
}

#[test]
fn thresholds() {
    let count = |threshold| sample().search(&search("red bike", threshold)).hits.len();
    assert_eq!([count(1.0), count(0.2), count(1e-300)], [2, 3, 3]);
    assert_eq!([count(2.0), count(f64::NAN), count(f64::INFINITY)], [0, 0, 0]);
    let all = sample().search(&search("red bike", -1.0)).hits;
    assert_eq!((all.len(), all[3].similarity, all[3].gist.text.as_str()), (4, 0.0, "my brother paints"));
    let none = sample().search(&search("boat", 0.0)).hits;
    let seconds: Vec<i64> = none.iter().map(|hit| hit.gist.created_at.as_second()).collect();
    assert_eq!(seconds, [30, 20, 20, 10], "what matches nothing comes newest first");
    assert!(sample().search(&search("boat", 0.2)).hits.is_empty());
}

#[test]
fn nothing_asked_is_nothing_found() {
    assert!(sample().search(&search(" \n", -1.0)).hits.is_empty());
    assert!(sample().search(&Search { topk: 0, ..search("bike", -1.0) }).hits.is_empty());
    assert!(known(Vec::new()).search(&search("bike", -1.0)).hits.is_empty());
    assert!(sample().search_events(&Search { topk: 0, ..search("bike", -1.0) }).events.is_empty());
}

#[test]
fn a_range_of_time_hides_what_is_older_and_its_scores() {
    let range = since(20);
    let found = sample().search(&Search { range, ..search("bike shop brother", 0.0) });
    assert_eq!(found.hits.len(), 3);
    assert_eq!(found.tally, Tally { considered: 3, stored_before: 1, ..Tally::default() });
    let late = known(vec![gist(1, 1, 20, "a bike"), gist(1, 0, 10, "bike, bike and bike shop")]);
    let hits = late.search(&Search { range, ..search("bike shop", 0.2) }).hits;
    assert_eq!(hits[0].similarity, 1.0, "the best in the range is the measure");
    let ranked = late.rank(&Search { range, ..search("bike shop", 0.2) }, Lending::CONTEXT);
    assert_eq!(ranked.hits, [(1, 1.0)]);
}

#[test]
fn an_event_is_as_good_as_its_best_gist() {
    let found = sample().search_events(&search("red bike", 0.2));
    let ids: Vec<u128> = found.events.iter().map(|(id, _)| id.0.as_u128()).collect();
    assert_eq!(ids, [3, 1, 2]);
    let best: Vec<(f64, &str)> = found.events.iter().map(|(_, hit)| (hit.similarity, hit.gist.text.as_str())).collect();
    assert_eq!(best[..2], [(1.0, "I bought a red bike"); 2]);
    assert_eq!((best[2].1, found.tally.beyond_topk), ("the bike shop closed", 0));
    let two = sample().search_events(&Search { topk: 2, ..search("red bike", -1.0) });
    assert_eq!((two.events.len(), two.tally.beyond_topk), (2, 1), "the limit counts events, not gists");
}

#[test]
fn hits_lend_to_their_neighbours_in_their_event_alone() {
    let known = known(vec![
        gist(2, 0, 20, "something else"),
        gist(1, 3, 10, "far away from it"),
        gist(1, 2, 10, "it was great fun"),
        gist(1, 1, 10, "I went to the lake"),
        gist(1, 0, 10, "hello again"),
    ]);
    let ranked = known.rank(&search("lake", 0.2), Lending::CONTEXT);
    let places: Vec<usize> = ranked.hits.iter().map(|hit| hit.0).collect();
    assert_eq!(places, [1, 2, 0], "neighbours pass the default threshold, others of the event do not");
    let ranked = known.rank(&search("lake", 0.1), Lending::CONTEXT);
    assert_eq!(ranked.hits.len(), 4, "nothing is lent to another event");
    assert_eq!(known.search(&search("lake", 0.1)).hits.len(), 1, "a search does not lend");
}

#[test]
fn dates_are_found_in_words() {
    let mut dated = gist(1, 0, 10, "went hiking");
    dated.occurred_at = Some("2023-05-08".into());
    let mut month = gist(2, 0, 20, "went hiking");
    month.said_at = Some("2023-06".into());
    let mut odd = gist(3, 0, 30, "went hiking");
    odd.said_at = Some("Year 32637-99-x".into());
    let known = known(vec![odd, month, dated]);

    assert_eq!(known.search(&search("8 May 2023", 1.0)).hits[0].gist.event_id.0.as_u128(), 1);
    assert_eq!(known.search(&search("in June", 1.0)).hits[0].gist.event_id.0.as_u128(), 2);
}

#[test]
fn lines_are_one_line_and_counted() {
    let known = known(vec![gist(1, 0, 10, "one\n# two")]);
    assert_eq!((known.line(0), known.line_tokens(0)), ("- one # two", 4));
}

#[test]
fn the_last_three_messages_ask() {
    let chat = ["a", "b", "c", "d"].map(str::to_owned);
    assert_eq!(chat_query(&chat), "b\nc\nd");
    assert_eq!(chat_query(&chat[..1]), "a");
    assert_eq!(chat_query(&[]), "");
}

#[test]
fn chinese_is_found() {
    let known = known(vec![gist(2, 0, 20, "我喜欢喝咖啡"), gist(1, 0, 10, "我住在北京")]);
    assert_eq!(texts(&known.search(&search("北京怎么样？", 0.2)).hits), ["我住在北京"]);
}

proptest! {
    #[test]
    fn similarities_lie_between_0_and_1_and_fall(
        texts in prop::collection::vec("([a-d] ){0,4}", 0..10), query in "([a-e] ){0,4}", threshold in -0.5..1.5_f64,
        topk in 0..12_u32, second in 0..10_i64,
    ) {
        let gists = (0..).zip(&texts).map(|(i, t)| gist(u128::from(i / 3_u32), i % 3, 10 - i64::from(i), t));
        let known = known(gists.collect());
        let search = Search { topk, range: since(second), ..search(&query, threshold) };
        for lending in [Lending::NONE, Lending::CONTEXT] {
            let ranking = known.rank(&search, lending);
            prop_assert!(ranking.hits.len() <= topk as usize);
            for &(at, similarity) in &ranking.hits {
                prop_assert!((0.0..=1.0).contains(&similarity) && similarity >= threshold);
                prop_assert!(known.gist(at).created_at >= search.range.stored_since);
            }
            prop_assert!(ranking.hits.windows(2).all(|w| w[0].1 > w[1].1 || (w[0].1 == w[1].1 && w[0].0 > w[1].0)));
            let Tally { considered, stored_before, dissimilar, beyond_topk, .. } = ranking.tally;
            prop_assert_eq!(considered + stored_before, texts.len());
            prop_assert_eq!(considered, ranking.hits.len() + dissimilar + beyond_topk);
        }
    }

    #[test]
    fn a_snapshot_that_grew_is_one_that_was_read(
        events in prop::collection::vec(prop::collection::vec(("([a-d] ){0,4}", -9_i8..9, -9_i8..9), 1..4), 1..6),
        searched in 0..6_usize, query in "([a-e] ){1,4}", x in -9_i8..9,
    ) {
        let mut newest_first = Vec::new();
        let mut vectors = Vec::new();
        let mut grown = known(Vec::new());
        let asked = Search { meaning: Vector::of(&[f32::from(x), 1.0]), ..search(&query, 0.0) };
        for (number, texts) in events.iter().enumerate() {
            let mut event = Vec::new();
            for (position, (text, x, y)) in (0..).zip(texts) {
                let id = GistId(Uuid::from_u128((number as u128) << 8 | u128::from(position)));
                event.push(Gist { id, ..gist(number as u128, position, 10 + number as i64 / 2, text) });
                vectors.extend(Vector::of(&[f32::from(*x), f32::from(*y)]).map(|vector| (id, vector)));
            }
            let new = vectors.iter().filter(|(id, _)| event.iter().any(|gist| gist.id == *id)).cloned().collect();
            newest_first.splice(0..0, event.clone());
            grown = grown.with_event(number as i64, event, &WordCounter).unwrap().with_vectors(new);
            if number == searched {
                // From here on its index grows, too.
                grown.search(&asked);
            }
        }
        let read = KnownGists::new(grown.revision, newest_first, &WordCounter).with_vectors(vectors);
        prop_assert_eq!(grown.search(&asked), read.search(&asked));
        prop_assert_eq!(grown.rank(&asked, Lending::CONTEXT).hits, read.rank(&asked, Lending::CONTEXT).hits);
        prop_assert_eq!((&grown.line_tokens, &grown.date_tokens), (&read.line_tokens, &read.date_tokens));
        prop_assert_eq!((grown.len(), grown.bytes() >= read.bytes()), (read.len(), true));
    }
}

#[test]
fn what_is_told_later_is_found_by_all_that_it_is_found_by() {
    let lake = || known(vec![gist(1, 0, 10, "went to the lake")]);
    assert_eq!(lake().search(&search("lake", 0.1)).hits.len(), 1);
    let source = Source::new(BlobId(Uuid::nil()), 0, Some("Ann"), "fine");
    let told = Gist {
        said_at: Some("2023-05-08".into()),
        sources: vec![Source { heard: Some("How was the opera?".into()), ..source }],
        ..gist(2, 0, 20, "fine")
    };
    let known = lake();
    known.search(&search("lake", 0.1));
    let grown = known.with_event(2, vec![told], &WordCounter).unwrap();
    for query in ["fine", "opera", "Ann", "in May"] {
        assert_eq!(grown.search(&search(query, 0.9)).hits[0].gist.event_id.0.as_u128(), 2, "{query}");
    }
}

#[test]
fn vectors_that_come_one_by_one_are_those_that_come_at_once() {
    let id = |n| GistId(Uuid::from_u128(n));
    let gists = || (0..3_u32).map(|n| Gist { id: id(n.into()), ..gist(1, n, 10, "x") }).collect::<Vec<_>>();
    let vectors = [direction(1.0, 0.0), direction(0.2, 1.0), direction(-1.0, 0.5)];
    let vectors: Vec<(GistId, Vector)> = (0..).zip(vectors).map(|(n, vector)| (id(n), vector)).collect();
    let at_once = known(gists()).with_vectors(vectors.clone());
    let one_by_one = vectors.into_iter().fold(known(gists()), |known, vector| known.with_vectors(vec![vector]));
    let asked = asked("puppies", direction(0.5, 1.0));
    let hits = |known: &KnownGists| known.rank(&asked, Lending::CONTEXT).hits;
    assert_eq!(hits(&one_by_one), hits(&at_once));
}

#[test]
fn an_event_that_is_not_the_newest_has_no_place_at_the_end() {
    let late = || known(vec![gist(1, 0, 10, "late")]);
    assert!(late().with_event(2, vec![gist(2, 0, 9, "early")], &WordCounter).is_none());
    let grown = late().with_event(2, vec![gist(2, 0, 10, "of one instant")], &WordCounter).unwrap();
    assert_eq!((grown.revision, grown.gist(1).text.as_str()), (2, "of one instant"));
    assert_eq!(late().with_event(2, Vec::new(), &WordCounter).map(|grown| grown.revision), Some(2));
}

#[test]
fn a_question_may_name_its_time() {
    let on =
        |event, date: &str| Gist { said_at: Some(date.into()), ..gist(event, 0, 10 + event as i64, "went swimming") };
    let known = known(vec![on(3, "2026-11-02"), on(2, "2026-07-03"), on(1, "2025-07-03")]);
    let asked = |query: &str| {
        let asked_on = Some(jiff::civil::date(2026, 11, 26));
        known.search(&Search { asked_on, ..search(query, 1.0) }).hits[0].gist.event_id.0.as_u128()
    };
    assert_eq!((asked("swimming last summer"), asked("swimming last year"), asked("swimming this month")), (2, 1, 3));
    assert_eq!(known.search(&search("swimming last summer", 1.0)).hits.len(), 3, "without a day it means nothing");
    let happened = Period { until: "2026-07-31".parse().ok(), ..Period::default() };
    let range = TimeRange { happened, ..TimeRange::default() };
    let found = known.search(&Search { range, ..search("swimming", 0.0) });
    assert_eq!(found.hits.iter().map(|hit| hit.gist.event_id.0.as_u128()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(found.tally, Tally { considered: 2, of_other_times: 1, ..Tally::default() });
}

#[test]
fn the_first_and_the_latest_are_asked_for() {
    let texts = ["a job at the mill", "we had rain", "a job at the bank", "a job at the port"];
    let known = known((0..).zip(texts).map(|(n, text)| gist(n, 0, 10 - n as i64, text)).collect());
    let best = |query: &str| texts_of(&known.search(&search(query, 0.2)));
    assert_eq!(best("my first job?")[0], "a job at the port");
    assert_eq!(best("my latest job?"), ["a job at the mill", "a job at the bank", "a job at the port"]);
    assert_eq!(best("did the latest job have rain?").len(), 4, "nothing is hidden");
}

#[test]
fn an_answer_is_found_by_its_question_and_by_who_gave_it() {
    let source = |speaker: &str, heard: &str| Source {
        heard: Some(heard.into()),
        ..Source::new(BlobId(Uuid::nil()), 0, Some(speaker), "yes, a lot")
    };
    let said = |event, sources| Gist { sources, ..gist(event, 0, 10 - event as i64, "yes, a lot") };
    let known = known(vec![
        said(1, vec![source("Ann", "Ben: Do you like tea?")]),
        said(2, vec![source("Cid", "Do you like beer?")]),
        said(3, vec![]),
    ]);
    let best = |query| known.search(&search(query, 1.0)).hits.iter().map(|h| h.gist.event_id.0.as_u128()).collect();
    let one = |query| -> Vec<u128> { best(query) };
    assert_eq!((one("tea"), one("beer"), one("Who is Ann?"), one("Ben")), (vec![1], vec![2], vec![1], vec![1]));
}

#[test]
fn a_hit_tells_its_scores() {
    let known = meaning(&[("a red bike", Some((0.0, 1.0))), ("my dog is red", Some((1.0, 0.0)))]);
    let found = known.search(&asked("dog", direction(1.0, 0.0)));
    let scores = found.hits[0].scores;
    assert!(scores.words > 0.0 && scores.lent == 0.0 && scores.meaning.unwrap() > 0.99, "{scores:?}");
    assert_eq!(known.search(&search("dog", 0.1)).hits[0].scores.meaning, None);
    let event = self::known(vec![gist(1, 1, 10, "it was fun"), gist(1, 0, 10, "I went to the lake")]);
    let ranking = event.rank(&search("lake", 0.1), Lending::CONTEXT);
    let (own, near) = (ranking.scores(0), ranking.scores(1));
    assert_eq!((near.words, near.lent > 0.0), (0.0, true));
    assert!((own.lent - 0.2 * own.words).abs() < 1e-9, "{own:?}");
}
