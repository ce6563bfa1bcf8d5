//! Chinese dates.

use jiff::Span;
use jiff::civil::Date;

use super::relative::{count, monday, span};
use super::{Hit, Rule, Tense, When, absolute, shift};

/// A small number, in digits or Chinese numerals, as one group.
pub(super) const NUMERAL: &str = r"(\d{1,4}|[〇零一二两三四五六七八九十]{1,4})";

pub(super) const RULES: [Rule; 9] = [
    (r"(大前|前|昨|今|明|大后|后)(?:[天日]|[早晚])", |h| {
        let by = match h.group(1)? {
            "大前" => -3,
            "前" => -2,
            "昨" => -1,
            "今" => 0,
            "明" => 1,
            "后" => 2,
            _ => 3,
        };
        shift(h.said_on?, Span::new().days(by)).map(When::Day)
    }),
    (r"(上上|下下|上|下|这|本)个?{week}([一二三四五六日天末])?", week),
    (r"(上上|下下|上|下|这|本)个?月", |h| span(h, steps(h.group(1)?), "month")),
    (r"{c}(天|周|个?星期|个?礼拜|个月|年)(?:之|以)?(前|后)", |h| {
        // 十几年前, 二三十天前: no number.
        let n = numeral(h.group(1)?)?;
        let ahead = h.group(3)? == "后";
        if h.before.ends_with(['几', '多', '第', '.']) || ahead && h.tense() == Tense::Past {
            return None;
        }
        count(h, unit(h.group(2)?), if ahead { n } else { -n })
    }),
    (r"(大前年|前年|去年|今年|明年|后年)(?:的?{c}月(?:份|{c}[日号])?)?", |h| {
        let year = shifted_year(h.said_on?, h.group(1)?)?;
        month_and_day(h, year, 2)
    }),
    (
        r"(?:^|\D)((?:19|20)\d\d|[一二][〇零一二三四五六七八九]{3})\s*年(?:\s*{c}\s*月(?:份|\s*{c}\s*[日号])?)?",
        |h| {
            let year = digits(h.group(1)?)?;
            // 2000年前 is long ago, 2000年来 a span.
            if h.group(2).is_none() && h.after.starts_with(['前', '来', '以', '之', '多', '间', '历']) {
                return None;
            }
            month_and_day(h, year, 2)
        },
    ),
    (r"(?:^|[^年\d一二三四五六七八九十])(上|下)?{c}月{c}[日号]", |h| {
        let (month, day) = (small(h.group(2)?)?, small(h.group(3)?)?);
        if h.recurs() {
            return None;
        }
        absolute::nearest(h, |year| Date::new(year, month, day).ok()).map(When::Day)
    }),
    (r"(?:^|[^年\d一二三四五六七八九十个]){c}月份", |h| {
        let month = small(h.group(1)?)?;
        if h.recurs() {
            return None;
        }
        let date = absolute::nearest(h, |year| Date::new(year, month, 1).ok())?;
        When::month(date.year(), date.month())
    }),
    (r"每个?(?:天|日|年|月|{week}.)", |_| None),
];

fn week(h: &Hit<'_>) -> Option<When> {
    // 晚上周六: the evening, then a Saturday.
    if h.before.ends_with(['晚', '早', '马', '加', '线']) {
        return None;
    }
    let monday = shift(monday(h.said_on?)?, Span::new().weeks(steps(h.group(1)?)))?;
    let day = match h.group(2) {
        // 上周一直在下雨: all week long.
        Some("一") if h.after.starts_with(['直', '共', '般', '起', '些', '样', '个', '次', '整', '定']) => {
            None
        }
        Some(day) => "一二三四五六日".find(day).map(|i| i / '一'.len_utf8()).or(match day {
            "天" => Some(6),
            "末" => Some(5),
            _ => None,
        }),
        None => None,
    };
    match day {
        Some(offset) => shift(monday, Span::new().days(i64::try_from(offset).ok()?)).map(When::Day),
        None => When::week(monday),
    }
}

fn steps(word: &str) -> i64 {
    match word {
        "上上" => -2,
        "上" => -1,
        "下" => 1,
        "下下" => 2,
        _ => 0,
    }
}

fn unit(word: &str) -> &'static str {
    match word {
        "天" => "day",
        "个月" => "month",
        "年" => "year",
        _ => "week",
    }
}

fn shifted_year(today: Date, word: &str) -> Option<i16> {
    let by = match word {
        "大前年" => -3,
        "前年" => -2,
        "去年" => -1,
        "今年" => 0,
        "明年" => 1,
        _ => 2,
    };
    today.year().checked_add(by)
}

/// The year, or its month in group `at`, or the day in the group behind it.
fn month_and_day(h: &Hit<'_>, year: i16, at: usize) -> Option<When> {
    match (h.group(at), h.group(at + 1)) {
        (Some(month), Some(day)) => When::day(year, small(month)?, small(day)?),
        (Some(month), None) => When::month(year, small(month)?),
        (None, _) => When::year(year),
    }
}

fn small(word: &str) -> Option<i8> {
    numeral(word).and_then(|n| i8::try_from(n).ok())
}

/// A year written digit by digit: 2023, 二〇二三.
fn digits(word: &str) -> Option<i16> {
    word.chars().map(digit).try_fold(0_i16, |n, d| n.checked_mul(10)?.checked_add(i16::try_from(d?).ok()?))
}

fn digit(c: char) -> Option<i64> {
    match c {
        '零' | '〇' => Some(0),
        '两' => Some(2),
        _ => c
            .to_digit(10)
            .map(i64::from)
            .or_else(|| (1..).zip("一二三四五六七八九".chars()).find_map(|(n, d)| (d == c).then_some(n))),
    }
}

/// A number up to 99 in Chinese numerals, or any in digits.
pub(crate) fn numeral(word: &str) -> Option<i64> {
    if let Ok(n) = word.parse() {
        return Some(n);
    }
    let value = |part: &str, empty: i64| {
        let mut chars = part.chars();
        match (chars.next(), chars.next()) {
            (None, _) => Some(empty),
            (Some(c), None) => digit(c),
            _ => None,
        }
    };
    match word.split_once('十') {
        Some((tens, ones)) => Some(value(tens, 1)? * 10 + value(ones, 0)?),
        None => value(word, 0).filter(|_| !word.is_empty()),
    }
}
