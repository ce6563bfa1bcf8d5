//! What is not read for slots: whole messages and sentences in which "I" may be somebody else, or not so.

use std::sync::LazyLock;

use regex::{Regex, RegexSet};

use crate::dates::pattern;

/// Bytes of a message that are read for slots. What is longer was rarely typed by its user.
const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Messages that give a text to work on, or a role to play.
static TASKS: LazyLock<RegexSet> = LazyLock::new(|| {
    set(&[
        r"(?i)^\W*(?:please |can you |could you |now |ok |okay |help me )*(?:translate|rewrite|re-write|rephrase|proofread|paraphrase|summari[sz]e|correct|fix|edit|improve|polish|continue|act as|pretend|imagine|write|draft|compose|generate|you are|you're|let's play|role-?play|complete|classify|analy[sz]e|say|repeat)\b",
        r"(?i)\b(?:role-?play|lyrics|cover letter|dear (?:sir|madam|hiring|mr|ms)|in the voice of|from the perspective of|as if you were|system prompt)\b|```",
        r"^\W*(?:请|帮我|帮忙|麻烦你?)*(?:把|将)?.{0,8}?(?:翻译|润色|改写|续写|扩写|改成|写一|写个|写首|写封|扮演|假设|假装|想象|总结|你是|翻成|造句|分析)",
        r"角色扮演|歌词|作文|求职信|小说|台词|剧本",
    ])
});

/// Sentences that ask, wish, suppose, quote, deny or tell a tale.
static NOT_SO: LazyLock<RegexSet> = LazyLock::new(|| {
    set(&[
        r#"[?？"“”„«»「」『』`|<>{}]|^\s*>"#,
        r"(?:^|\s)'\w|\w'(?:\s\W|$)",
        r"(?i)\b(?:if|wish|wished|imagine|imagining|pretend|pretending|suppose|supposedly|would|wouldn't|could|might|maybe|perhaps|probably|unless|hypothetically|dreamt|dreamed|dreaming|in my dreams?|should|almost|guess|seems?)\b|(?:'|’)d (?:be|have|like|love|live|work)\b",
        r"(?i)\b(?:said|says|saying|told|tells|asked|asks|thinks|thought|thinking|claims?|claimed|joked|joking|kidding|lied|lying|according|quote|heard|hear|believes?|assumed?|insists?|calls me (?:a|an|the|his|her|their)|accused|mistook|considers?|like i'm|like i am)\b",
        r"(?i)\b(?:no longer|anymore|any more|never|used to|not true|nobody|no one|neither|nor|hardly|barely|far from|anything but)\b",
        r"(?i)\b(?:story|novel|character|script|poem|roleplay|costume|halloween|cosplay|another life|past life|alternate|fictional|sarcasm|sarcastic|figuratively|metaphor|the game|the play|the movie|the film|avatar|movie role)\b",
        r"如果|假如|要是|假设|假装|倘若|若是|希望|梦见|梦到|做梦|梦里|据说|听说|可能|也许|大概|或许|说不定|好像|仿佛|似乎|是不是|有没有|难道|吗[。！!]?$|呢[。]?$|什么|为啥|怎么|谁",
        r"[他她它们人妈爸姐哥弟妹友师板事家]+(?:总|都|常|还)?(?:们)?(?:说|觉得|认为|以为|问|告诉|讲|叫我(?:是|当))|说我|以为|(?:故事|电影|游戏|小说|剧|梦)(?:里|中)|不再|曾经|以前|从前|本来|当时|小时候|原来|再也|差点|开玩笑|骗你|假的",
    ])
});

static GREETING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)^\W*(?:hi|hello|hey|greetings|good (?:morning|afternoon|evening|day)|nice to meet you|howdy)\b")
});

/// Quotations and lines that quote an earlier message.
static QUOTED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?m)^\s*>.*$|"[^"]*"|“[^”]*”|«[^»]*»|「[^」]*」|『[^』]*』"#));

fn set(patterns: &[&str]) -> RegexSet {
    #[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles them all")]
    RegexSet::new(patterns).expect("constant patterns")
}

/// The message with plain apostrophes and one mark in place of each quotation, so that a sentence inside of one is
/// gone and the sentence around it is known to quote. None when it is a text to work on.
pub(super) fn message(text: &str) -> Option<String> {
    if text.len() > MAX_MESSAGE_BYTES || TASKS.is_match(text) {
        return None;
    }
    Some(QUOTED.replace_all(&text.replace(['’', '‘'], "'"), "\"").into_owned())
}

/// True when a message begins by greeting.
pub(super) fn greets(message: &str) -> bool {
    GREETING.is_match(message)
}

/// True when a sentence may be read for slots.
pub(super) fn sentence(text: &str) -> bool {
    !NOT_SO.is_match(text)
}
