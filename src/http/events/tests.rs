use serde_json::json;

use super::*;

struct Words;

impl TokenCounter for Words {
    fn count(&self, text: &str) -> u32 {
        text.split_whitespace().count().try_into().unwrap()
    }
}

fn event(tip: Option<&str>) -> Event {
    let data = EventData { event_tip: tip.map(str::to_owned), ..EventData::default() };
    let at = Timestamp::UNIX_EPOCH;
    Event { id: EventId(Uuid::nil()), flush_id: None, data, created_at: at, updated_at: at }
}

#[test]
fn a_budget_takes_the_first_that_fit() {
    let events = [event(Some("one two")), event(None), event(Some("one two three")), event(Some("one"))];
    for (budget, fit) in [(0, 0), (1, 0), (2, 2), (4, 2), (5, 3), (6, 4)] {
        assert_eq!(fitting(&events, budget, &Words), fit, "{budget}");
    }
}

#[test]
fn tags_are_separated_by_commas() {
    assert_eq!(tags(Some("emotion, goal,")), ["emotion", "goal"]);
    assert!(tags(None).is_empty());
    let pairs = tag_values(Some("emotion = happy,goal,a=b=c"));
    let shown: Vec<_> = pairs.iter().map(|p| (p.tag.as_str(), p.value.as_str())).collect();
    assert_eq!(shown, [("emotion", "happy"), ("a", "b=c")]);
}

#[test]
fn changes_of_events_are_checked() {
    let body = json!({
        "event_tip": 5,
        "event_tags": [{"tag": "x"}, []],
        "profile_delta": [{"content": "c", "attributes": null}, {"content": "c"}],
    });
    let mut problems = Problems::default();
    read_data(Node::root(&body, vec!["body".into()]), &mut problems);
    assert_eq!(
        problems.sentence(),
        "body.profile_delta.1.attributes: required; body.event_tip: must be a string; \
         body.event_tags.0.value: required; body.event_tags.1: must be an object"
    );
}
