use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::{date_in, days_of, occurred};

/// A Monday.
const SAID: Date = date(2023, 5, 8);

#[test]
fn words_of_clients() {
    let day = Some(SAID);
    for words in [
        "1:56 pm on 8 May, 2023",
        "8 May, 2023",
        "May 8, 2023",
        "May 8th 2023",
        "the 8th of May 2023",
        "2023/05/08",
        "2023-05-08",
        "2023-05-08T10:00:00Z",
        "2023-05-08T23:30:00-08:00",
        "2023-05-08 10:00:00.123",
        "2023年5月8日",
        "2023年5月8日 下午3点",
        "2023.5.8",
        "8.5.2023",
        "Mon, 08 May 2023 10:00:00 GMT",
        "Mon May  8 10:00:00 2023",
        "Mon May 8 10:00:00 UTC 2023",
        "Monday, 8-May-2023",
        "1683554160",
        "1683554160.25",
        "1683554160000",
        "20230508",
        "20230508T100000Z",
        " 8 may 2023 ",
        "said on 2023-05-08, in the morning",
    ] {
        assert_eq!(date_in(words), day, "{words}");
    }
    assert_eq!(date_in("13/05/2024"), Some(date(2024, 5, 13)));
    assert_eq!(date_in("05/13/2024"), Some(date(2024, 5, 13)));
    assert_eq!(date_in("04/04/2024"), Some(date(2024, 4, 4)));
    for words in [
        "",
        "Year 32637",
        "nonsense",
        "yesterday",
        "May 2023",
        "2023",
        "03/04/2024",
        "31 February 2023",
        "12:30",
        "8 May",
        "99999999999999999999",
        "2023-13-01",
        "1.2.3.2024",
        "may be 20",
        "07.05.23",
    ] {
        assert_eq!(date_in(words), None, "{words}");
    }
}

#[test]
fn english_phrases() {
    for (text, expected) in [
        ("I went to the gym yesterday.", "2023-05-07"),
        ("We met the day before yesterday", "2023-05-06"),
        ("Last night I could not sleep", "2023-05-07"),
        ("I had soup today", "2023-05-08"),
        ("See you tomorrow!", "2023-05-09"),
        ("I ran a race last Saturday", "2023-05-06"),
        ("I ran a race last Monday", "2023-05-01"),
        ("We moved two weeks ago", "2023-04-24"),
        ("It broke 3 days ago", "2023-05-05"),
        ("A year ago I quit", "2022"),
        ("I started three months ago", "2023-02"),
        ("Next month I fly to Oslo", "2023-06"),
        ("Last year was hard", "2022"),
        ("It was in May", "2023-05"),
        ("I got it in december", "2022-12"),
        ("We will marry in August", "2023-08"),
        ("We married last June", "2022-06"),
        ("We marry next May", "2024-05"),
        ("I met her on 7 May", "2023-05-07"),
        ("I met her on May 7th", "2023-05-07"),
        ("The exam was on December 20", "2022-12-20"),
        ("The exam will be on March 3", "2024-03-03"),
        ("I was hired on 3 March 2019 in Rome", "2019-03-03"),
        ("I left in March 2019", "2019-03"),
        ("I have lived here since 2015", "2015"),
        ("Back in 2015, I was a cook", "2015"),
        ("In the summer of 2018 we sailed", "2018"),
        ("I went to a concert last weekend", "2023-05-06"),
        ("I will be in Rome this weekend", "2023-05-13"),
        ("On Friday I went to the beach", "2023-05-05"),
        ("I will call her on Friday", "2023-05-12"),
        ("This past Sunday we hiked", "2023-05-07"),
        ("Next Monday is a holiday", "2023-05-15"),
        ("I will graduate in two weeks", "2023-05-22"),
        ("Two months from now I am free", "2023-07"),
        ("It is due 2023-06-01 or later", "2023-06-01"),
        ("Yesterday I heard of the party on 12 June 2023", "2023-05-07"),
        ("Next week I fly", "2023-05"),
        ("I have had it since May 5, 2020", "2020-05-05"),
    ] {
        assert_eq!(occurred(text, Some(SAID)).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn chinese_phrases() {
    for (text, expected) in [
        ("我昨天去了健身房", "2023-05-07"),
        ("前天下雨了", "2023-05-06"),
        ("大前天我病了", "2023-05-05"),
        ("明天见", "2023-05-09"),
        ("后天出发", "2023-05-10"),
        ("上周六我们去爬山了", "2023-05-06"),
        ("上星期一开会了", "2023-05-01"),
        ("这周五有考试", "2023-05-12"),
        ("下周三去上海", "2023-05-17"),
        ("上周末看了电影", "2023-05-06"),
        ("上周一直在下雨", "2023-05"),
        ("三天前我丢了钱包", "2023-05-05"),
        ("两个星期前搬家了", "2023-04-24"),
        ("三个月前换了工作", "2023-02"),
        ("十二年前毕业的", "2011"),
        ("三天后我要考试", "2023-05-11"),
        ("去年我去了日本", "2022"),
        ("去年五月我去了日本", "2022-05"),
        ("今年3月15日入职", "2023-03-15"),
        ("明年打算结婚", "2024"),
        ("上个月生病了", "2023-04"),
        ("下个月搬家", "2023-06"),
        ("2019年我在北京", "2019"),
        ("二〇一九年十月一日", "2019-10-01"),
        ("我们5月1日去了公园", "2023-05-01"),
        ("十二月二十五号我们去了教堂", "2022-12-25"),
        ("八月份我要去旅行", "2023-08"),
    ] {
        assert_eq!(occurred(text, Some(SAID)).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn words_that_are_no_dates() {
    for text in [
        "",
        "I may go there",
        "They march 20 miles",
        "Wait a second",
        "At last!",
        "The last one",
        "the last week of it",
        "Over the last year I grew",
        "a few years ago",
        "about two weeks ago",
        "one or two weeks ago",
        "I am 20 years old",
        "Every Saturday I swim",
        "each year in May",
        "My birthday is on May 7",
        "Next Friday maybe",
        "I like Saturdays",
        "It cost 2000 dollars",
        "in 2000 steps",
        "I read it in two days",
        "the other day",
        "Mar 5% more",
        "31 February 2023",
        "on Friday",
        "几天前",
        "十几年前",
        "每周六",
        "每年五月我都去",
        "三个月",
        "晚上周六",
        "2000年前",
        "我的生日是5月1日",
    ] {
        assert_eq!(occurred(text, Some(SAID)), None, "{text}");
    }
    assert_eq!(occurred("I ran yesterday, in 2019 not", None).as_deref(), Some("2019"));
    assert_eq!(occurred("last Saturday", None), None);
}

#[test]
fn the_last_saturday_on_a_saturday_is_a_week_ago() {
    let saturday = date(2023, 5, 6);
    assert_eq!(occurred("last Saturday", Some(saturday)).as_deref(), Some("2023-04-29"));
    assert_eq!(occurred("上周六", Some(date(2023, 5, 7))).as_deref(), Some("2023-04-29"));
    assert_eq!(occurred("last month", Some(date(2023, 5, 31))).as_deref(), Some("2023-04"));
}

proptest! {
    #[test]
    fn nothing_panics(words in ".*", year in -9999_i16..=9999, pick in 0_usize..12) {
        let parts = ["last ", "年", "5月", "31", "/", "-", "May ", "999 years ago", "上周", "2023", "next month", "十"];
        let _ = date_in(&words);
        for said_on in [date(year, 1, 1), date(year, 12, 31)] {
            let found = occurred(&format!("{words}{}{words}{}", parts[pick], parts[11 - pick]), Some(said_on));
            if let Some(found) = found {
                prop_assert!(matches!(found.trim_start_matches('-').len(), 4 | 7 | 10), "{found}");
            }
        }
    }

    #[test]
    fn every_day_is_read_back(year in 1000_i16..=9999, month in 1_i8..=12, day in 1_i8..=28) {
        let day = date(year, month, day);
        prop_assert_eq!(date_in(&day.to_string()), Some(day));
        prop_assert_eq!(date_in(&day.strftime("%-d %B, %Y").to_string()), Some(day));
        prop_assert_eq!(date_in(&day.strftime("%b %d %Y").to_string()), Some(day));
    }
}

#[test]
fn a_date_has_days() {
    let days = |iso| days_of(iso).map(|(first, last)| format!("{first} {last}"));
    assert_eq!(days("2024-02").as_deref(), Some("2024-02-01 2024-02-29"));
    assert_eq!(days("2023").as_deref(), Some("2023-01-01 2023-12-31"));
    assert_eq!(days("2023-05-08").as_deref(), Some("2023-05-08 2023-05-08"));
    for wrong in ["", "2023-13", "2023-02-30", "2023-5-8", "23", "2023-05-08T00", "-023-05-08", "2023-05-", "x", "+023"]
    {
        assert_eq!(days(wrong), None, "{wrong}");
    }
}
