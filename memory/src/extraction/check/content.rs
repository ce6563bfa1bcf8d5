//! Whether a memo says anything (`profile_validate_mode`).

use crate::profile::SlotName;

/// What a word adds to a memo.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Weight {
    /// Nothing: it only joins others.
    Filler,
    /// It says that nothing is known.
    Absent,
    /// No and not. Next to a noun it is a fact: "no pets".
    Negation,
    /// A noun that a slot's name says already: "job".
    Noun,
    /// Anything else.
    Content,
}

const FILLER: &str = "a an the user users user's he she they i you we it its his her their my your our him them me \
    has have had having is are was were be been being does do did got gets some any certain specific of and or in \
    to at as for on by with from that this which there kind type exists currently also yes \
    用户 用戶 使用者 他 她 我 其 的 了 有 是 为 為 在 和 一个 一個 一份 一种 一種 某 某种 某些 某个 一些 具有 拥有 是的 \
    ユーザー ユーザ は が の を に も です ます である だ ある あり あります いる います 持っている 持つ 特に こと はい";

const ABSENT: &str = "unknown none null nil n/a n.a na n undefined nothing something unclear undisclosed unspecified \
    mentioned specified provided known stated given available applicable disclosed information info details \
    detail data idea tbd empty \
    未知 不详 不詳 不明 不清楚 不知道 不确定 未提及 未提到 未提供 未说明 未說明 未指定 未明确 未透露 未填写 暂无 暫無 \
    提及 提到 提供 说明 說明 明确 信息 資訊 资料 相关 相關 具体 \
    不明確 未記載 未回答 未設定 言及 記載 情報 わからない 分からない されていない されていません";

const NEGATION: &str = "no not without 没有 沒有 没 沒 无 無 未 不 なし 無し 無い ない いない ありません いません";

const NOUN: &str = "job jobs work works working worker occupation profession career employment employer hobby hobbies \
    interest interests name names age gender thing things stuff \
    工作 职业 職業 职位 職位 职务 爱好 愛好 兴趣 興趣 姓名 名字 年龄 年齡 年纪 性别 \
    仕事 趣味 名前 年齢 性別 働いている 働いています";

/// False for memos like "unknown", "not mentioned", "用户有工作" or "user has a job": words of no content, nouns that
/// say no more than the slot's name does, and that name itself.
pub(super) fn says_something(memo: &str, name: &SlotName) -> bool {
    let own: Vec<&str> = name.topic.split('_').chain(name.sub_topic.split('_')).filter(|w| !w.is_empty()).collect();
    let (mut negated, mut noun, mut absent, mut filler) = (false, false, false, false);
    // A name like もも is made of what elsewhere are particles.
    let mut particles = false;
    for word in memo.split(|c: char| c.is_whitespace() || "、，。；：！？（）「」".contains(c)) {
        let mut rest = word.trim_matches(|c: char| !c.is_alphanumeric());
        while !rest.is_empty() {
            let (part, weight) = next_part(rest, &own);
            match weight {
                Weight::Content => return true,
                Weight::Filler if is_kana(&rest[..part]) => particles = true,
                Weight::Filler => filler = true,
                Weight::Absent => absent = true,
                Weight::Negation => negated = true,
                Weight::Noun => noun = true,
            }
            rest = rest[part..].trim_start_matches(|c: char| !c.is_alphanumeric());
        }
    }
    negated && noun && !absent || particles && !(filler || negated || noun || absent)
}

/// One kana.
fn is_kana(part: &str) -> bool {
    let mut chars = part.chars();
    chars.next().is_some_and(|c| matches!(c, '\u{3041}'..='\u{30FF}')) && chars.next().is_none()
}

/// The length of the first part of a word, and its weight. In scripts without spaces it is the longest known one.
fn next_part(word: &str, own: &[&str]) -> (usize, Weight) {
    let plain = word.find(|c: char| !is_spaced(c)).unwrap_or(word.len());
    if plain > 0 {
        return (plain, weight(&word[..plain], own));
    }
    let listed = lists().flat_map(|(list, weight)| list.split_whitespace().map(move |known| (known, weight)));
    let known = listed.chain(own.iter().map(|known| (*known, Weight::Noun)));
    let longest = known.filter(|(known, _)| word.starts_with(known)).max_by_key(|(known, _)| known.len());
    longest.map_or((word.len(), Weight::Content), |(known, weight)| (known.len(), weight))
}

fn weight(word: &str, own: &[&str]) -> Weight {
    let lower = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    // Capitals are a name: a trade called IT, a country called US.
    let named = lower.len() > 1 && word.chars().all(char::is_uppercase);
    let one = |word: &str| word.strip_suffix('s').map_or(word.to_owned(), str::to_owned);
    match lists().find(|(list, _)| list.split_whitespace().any(|known| known == lower)) {
        Some((_, Weight::Filler)) if named => Weight::Content,
        Some((_, weight)) => weight,
        None if own.iter().any(|own| one(own) == one(&lower)) => Weight::Noun,
        None => Weight::Content,
    }
}

fn lists() -> impl Iterator<Item = (&'static str, Weight)> {
    [(FILLER, Weight::Filler), (ABSENT, Weight::Absent), (NEGATION, Weight::Negation), (NOUN, Weight::Noun)].into_iter()
}

/// False for the scripts that write no spaces: Han and kana.
fn is_spaced(c: char) -> bool {
    !matches!(c, '\u{3005}' | '\u{3041}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptiness_is_seen() {
        let cases = [
            ("work", "title", "user has a job"),
            ("work", "title", "The user works."),
            ("work", "title", "Works"),
            ("work", "title", "has work; a job"),
            ("work", "title", "Title: unknown"),
            ("work", "title", "job title not specified"),
            ("work", "title", "no information"),
            ("work", "company", "N/A"),
            ("work", "company", "n.a."),
            ("work", "company", "None"),
            ("work", "company", "not mentioned"),
            ("work", "company", "-"),
            ("work", "company", "no"),
            ("interest", "hobbies", "User has hobbies"),
            ("interest", "likes", "a hobby"),
            ("basic_info", "name", "user's name"),
            ("basic_info", "age", "the age is not known"),
            ("family", "pets", "has a pet"),
            ("family", "pets", "yes"),
            ("work", "title", "未知"),
            ("work", "title", "无"),
            ("work", "title", "没有"),
            ("work", "title", "不明"),
            ("work", "title", "なし"),
            ("work", "title", "特になし。"),
            ("work", "title", "未提及"),
            ("work", "title", "没有提到相关信息"),
            ("work", "title", "用户有工作"),
            ("work", "title", "用户有一份工作。"),
            ("work", "title", "用户有job"),
            ("interest", "hobbies", "ユーザーは趣味がある"),
            ("work", "title", "仕事：不明"),
            ("工作", "公司", "用户的公司"),
        ];
        for (topic, sub_topic, memo) in cases {
            assert!(!says_something(memo, &SlotName::new(topic, sub_topic)), "{memo}");
        }
    }

    #[test]
    fn content_passes() {
        let cases = [
            ("work", "title", "nurse"),
            ("work", "title", "user has a job as a nurse"),
            ("work", "title", "no job"),
            ("work", "title", "无业"),
            ("work", "title", "没有工作"),
            ("work", "title", "工作狂"),
            ("work", "title", "用户是护士"),
            ("work", "title", "看護師"),
            ("work", "industry", "IT"),
            ("work", "location", "无锡"),
            ("basic_info", "location", "US"),
            ("basic_info", "age", "42"),
            ("basic_info", "name", "小明"),
            ("basic_info", "name", "名前は健"),
            ("family", "pets", "もも"),
            ("demographics", "number_of_children", "one"),
            ("basic_info", "gender", "they/them"),
            ("family", "pets", "dog"),
            ("family", "pets", "no pets"),
            ("family", "children", "yes, two"),
            ("family", "children", "没有孩子"),
            ("health", "diet", "vegetarian"),
            ("health", "allergies", "no allergies"),
            ("demographics", "marital_status", "married"),
            ("interest", "likes", "tea"),
            ("interest", "music", "ジャズ"),
            ("psychological", "values", "family"),
        ];
        for (topic, sub_topic, memo) in cases {
            assert!(says_something(memo, &SlotName::new(topic, sub_topic)), "{memo}");
        }
    }
}
