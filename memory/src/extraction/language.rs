use super::{Language, Request};
use crate::blob::Role;

impl Request {
    /// The language that memory is to be written in: the policy's, else that of what the user says.
    pub fn language(&self) -> Language {
        self.policy.language.unwrap_or_else(|| {
            let said = self.lines.iter().filter(|line| line.role == Role::User);
            language_of(said.map(|line| line.text.as_str()))
        })
    }
}

/// The language by script. Han and kana are weighed against words in letters: a Chinese or Japanese word takes about
/// one and a half characters, so neither a foreign name nor a quoted word turns a chat over. Kana make it Japanese,
/// unless they are so few (a tenth) that a Chinese text merely quotes them.
fn language_of<'a>(texts: impl Iterator<Item = &'a str>) -> Language {
    let (mut han, mut kana, mut words) = (0_u64, 0_u64, 0_u64);
    for text in texts {
        let mut in_word = false;
        for c in text.chars() {
            let (is_han, is_kana) = (is_han(c), is_kana(c));
            let letter = c.is_alphabetic() && !is_han && !is_kana;
            han += u64::from(is_han);
            kana += u64::from(is_kana);
            words += u64::from(letter && !in_word);
            in_word = letter || (in_word && matches!(c, '\'' | '’' | '-'));
        }
    }
    let characters = han + kana;
    if characters == 0 || characters * 2 < words * 3 {
        Language::En
    } else if kana * 10 >= characters {
        Language::Ja
    } else {
        Language::Zh
    }
}

/// The ideographs of the Unicode standard.
fn is_han(c: char) -> bool {
    matches!(c,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// Hiragana and katakana, the half-width ones too.
fn is_kana(c: char) -> bool {
    matches!(c,
        '\u{3041}'..='\u{309F}' | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}'
        | '\u{FF66}'..='\u{FF9F}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extraction::{Line, Policy};
    use crate::ids::BlobId;
    use std::sync::Arc;
    use uuid::Uuid;

    #[test]
    fn the_script_says_the_language() {
        let cases: [(&[&str], Language); 16] = [
            (&[], Language::En),
            (&["", "123 🎉"], Language::En),
            (&["I moved to Rome."], Language::En),
            (&["Я живу в Москве"], Language::En),
            (&["저는 서울에 살아요"], Language::En),
            (&["我住在北京"], Language::Zh),
            (&["東京に住んでいます"], Language::Ja),
            (&["ｶﾀｶﾅ"], Language::Ja),
            (&["I had 北京烤鸭 yesterday"], Language::En),
            (&["She said すし is great"], Language::En),
            (&["我用iPhone和MacBook"], Language::Zh),
            (&["今日Pythonを勉強した"], Language::Ja),
            (&["我很喜欢喝优の良品的奶茶，每天都买"], Language::Zh),
            (&["我叫小明", "ok", "我在上海工作"], Language::Zh),
            (&["My name is 小明 and I've a dog", "I live in 上海"], Language::En),
            (&["会議資料確認済み、明日提出予定です"], Language::Ja),
        ];
        for (texts, language) in cases {
            assert_eq!(language_of(texts.iter().copied()), language, "{texts:?}");
        }
    }

    #[test]
    fn the_policy_goes_first_and_only_the_user_counts() {
        let line = |role, text: &str| Line {
            number: 1,
            blob_id: BlobId(Uuid::nil()),
            message: 0,
            role,
            alias: None,
            said_on: None,
            text: text.into(),
        };
        let lines = vec![line(Role::Assistant, "Where do you live, and since when?"), line(Role::User, "我住在北京")];
        let request = |language| {
            let policy = Arc::new(Policy { language, ..crate::testing::policy() });
            Request { lines: lines.clone(), profile: vec![], named: vec![], policy }
        };
        assert_eq!(request(None).language(), Language::Zh);
        assert_eq!(request(Some(Language::Ja)).language(), Language::Ja);
    }
}
