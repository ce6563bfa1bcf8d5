//! First-person phrases in Chinese. Each must fill a clause from its start to its end.

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexSet};

use crate::dates::{self, numeral, pattern};

use super::english::one;
use super::{
    AGE, ALLERGIES, BIRTH_DATE, BIRTHPLACE, BOOKS, BROTHER, CHILD_COUNT, CHILDREN, COMPANY, DAUGHTER, DIET, DISLIKES,
    EMAIL, FATHER, FOODS, Fact, GENDER, GOALS, GRANDFATHER, GRANDMOTHER, HUSBAND, LANGUAGES, LIKES, LOCATION, MAJOR,
    MARITAL, MOTHER, MOVIES, MUSIC, NAME, NATIONALITY, ORIGIN, PARTNER, PETS, PLANS, RETIREMENT, SCHOOL, SIBLINGS,
    SISTER, SON, SPORTS, SlotRef, TITLE, Told, WIFE, WORKPLACE,
};

/// Places that people say they are from: the rest of "我是…人" is too often no place ("好人").
const PLACES: &str = "中国 美国 英国 法国 德国 日本 韩国 加拿大 澳大利亚 新加坡 马来西亚 泰国 越南 印度 俄罗斯 意大利 西班牙 \
    北京 上海 天津 重庆 广州 深圳 成都 杭州 南京 武汉 西安 长沙 苏州 青岛 大连 厦门 郑州 沈阳 哈尔滨 长春 济南 合肥 福州 \
    南昌 昆明 贵阳 南宁 海口 太原 石家庄 兰州 西宁 银川 乌鲁木齐 拉萨 呼和浩特 宁波 无锡 佛山 东莞 温州 香港 澳门 台湾 台北 \
    河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南 广东 海南 四川 贵州 云南 陕西 甘肃 青海 广西 \
    内蒙古 宁夏 新疆 西藏 东北";
/// Countries among [`PLACES`].
const COUNTRIES: &str =
    "中国 美国 英国 法国 德国 日本 韩国 加拿大 澳大利亚 新加坡 马来西亚 泰国 越南 印度 俄罗斯 意大利 西班牙";
/// What occupations end with.
const JOBS: &str = "医生|护士|程序员|老师|教师|工程师|设计师|律师|会计师?|记者|大学生|高中生|初中生|研究生|博士生|学生|司机|厨师|警察|\
    军人|作家|演员|歌手|教授|研究员|经理|销售|店员|公务员|摄影师|翻译|编辑|画家|音乐家|科学家|农民|工人|消防员|飞行员|快递员|外卖员|药剂师|\
    牙医|兽医|导游|理发师|建筑师|架构师|分析师|咨询师|顾问|护工|保安|木匠|电工|产品经理|创业者|自由职业者|全职妈妈|家庭主妇|编剧|导演|主播|博主";

struct Phrase<'a> {
    groups: Captures<'a>,
    told: Told,
}

impl<'a> Phrase<'a> {
    fn group(&self, index: usize) -> &'a str {
        self.groups.get(index).map_or("", |m| m.as_str())
    }
}

type Rule = (&'static str, Read);

/// How to read a phrase.
type Read = fn(&Phrase<'_>) -> Vec<Fact>;

/// `{v}` is a value of up to 16 characters, `{n}` a number, `{very}` adverbs of degree.
const RULES: [Rule; 27] = [
    (
        r"(?:我(?:的名字)?(?:叫|名叫|是叫)|我的(?:名字|姓名)是|(?:大家|你|朋友们?)?(?:可以|都)?叫我){v}(?:吧|就好|就行|即可)?",
        name,
    ),
    (r"我(?:今年|现在)?(?:已经|刚满?|快要?)?{n}(?:周)?岁(?:了|啦)?", |p| {
        let young = numeral(p.group(1)).filter(|n| (3..=110).contains(n) && !p.group(0).contains('快'));
        one(AGE, young.map(|n| n.to_string()))
    }),
    (r"我(?:现在|目前|一直|家)?(?:住在|定居在|居住在|常住)(.{2,10}?)(?:了|呢)?", |p| {
        one(LOCATION, place(p.group(1)))
    }),
    (r"我(?:现在|目前|一直)?在(.{2,8}?)(?:生活|定居|居住)(?:了.{1,4}年了?)?", |p| {
        one(LOCATION, place(p.group(1)))
    }),
    (r"我(?:已经|刚刚?|最近|去年|今年)*搬(?:到|来|去)了?(.{2,8}?)(?:了|住了?|生活)?", |p| {
        one(LOCATION, place(p.group(1)))
    }),
    (r"(?:我来自|我老家[在是]|我的家乡[在是]){v}", |p| one(ORIGIN, place(p.group(1)))),
    (r"我是(?:土生土长的|地道的?)?(\p{Han}{2,6})人", native),
    (r"我(?:出生在|出生于|生在|是在)(\p{Han}{2,8}?)(?:出生的|长大的)?", |p| {
        let here = p.group(0).contains("出生") || p.group(0).contains("生在");
        one(BIRTHPLACE, place(p.group(1)).filter(|v| here && listed(PLACES, v)))
    }),
    (r"(?:我的?(?:生日|出生日期)是|我生于|我出生于|我是){date}(?:出生的?|生的|生)?", |p| {
        let told = ["生日", "日期", "生于", "出生", "生的"].iter().any(|w| p.group(0).contains(w));
        one(BIRTH_DATE, birthday(p.group(1)).filter(|_| told))
    }),
    (r"我(?:现在|目前)?(?:是|当|做)(?:一[名个位]|个|名|位)?(\p{Han}{0,6}?(?:{jobs}))", |p| {
        one(TITLE, job(p.group(1)))
    }),
    (r"我的(?:工作|职业)是(?:一[名个位])?(\p{Han}{2,8})", |p| one(TITLE, job(p.group(1)))),
    (r"我(?:现在|目前)?在(.{2,14}?)(?:工作|上班|任职|就职)(?:了.{1,4}年了?)?", work),
    (r"我(?:现在|目前)?在(.{2,14}?)(?:当|做)(?:一[名个位])?(\p{Han}{0,4}(?:{jobs}))", |p| {
        [work(p), one(TITLE, job(p.group(2)))].concat()
    }),
    (
        r"我(?:现在|目前)?在(.{2,12}(?:大学|学院|中学|高中|小学|一中|二中|附中))(?:读书|上学|念书|学习|就读|读研|读博|读.{2,8})?",
        school,
    ),
    (r"我(?:毕业于|就读于|是从|从|考上了|就读)(.{2,12}(?:大学|学院|中学|高中))(?:毕业的?|了)?", school),
    (r"我(?:的专业是|学的是|主修|读的是)(\p{Han}{2,8}?)(?:专业)?", |p| one(MAJOR, value(p.group(1)))),
    (r"我{very}(?:喜欢|爱(吃|喝|看|听|玩)|热爱|酷爱|喜爱){v}", |p| list(LIKES, p.group(2), p.group(1))),
    (
        r"我(?:{very}(?:讨厌|反感|厌恶)|(?:很|真的|从来|一直)?不(?:太|怎么)?(?:喜欢|爱(吃|喝|看|听|玩))){v}",
        |p| list(DISLIKES, p.group(2), p.group(1)),
    ),
    (r"我最(?:喜欢|爱)的(\p{Han}{1,4})是{v}", favourite),
    (
        r"(?:我家?里?|我们家)(?:有|养了|养着|领养了|收养了)({n}[只条匹头个]|只|条)(\p{Han}{0,4}?(?:猫|狗|犬|兔子?|仓鼠|鹦鹉|乌龟|金鱼|鱼|马|鸟|柯基|金毛|哈士奇|泰迪|布偶|英短|猫咪|小猫|小狗))",
        |p| one(PETS, Some(format!("{}{}", p.group(1), p.group(2)))),
    ),
    (
        r"我(?:家)?的?(\p{Han}{0,2}(?:猫|狗|猫咪|狗狗|兔子|仓鼠|鹦鹉|乌龟))(?:名字)?(?:叫|名叫){v}",
        |p| one(PETS, value(p.group(2)).map(|v| format!("{}{v}", p.group(1)))),
    ),
    (r"(?:我(?:会|能)(?:说|讲)|我的母语是){v}", languages),
    (r"我(?:打算|计划)(.{2,24})", |p| intent(PLANS, p)),
    (r"我的(?:目标|梦想|理想|愿望)是(.{2,24})", |p| intent(GOALS, p)),
    (
        r"我(?:现在|目前|已经|还)?(?:是)?(结婚|已婚|单身|未婚|离婚|离异|订婚|退休)(?:了|的|啦)?",
        |p| one(if p.group(1) == "退休" { RETIREMENT } else { MARITAL }, Some(p.group(1).to_owned())),
    ),
    (r"我有({n}个)(孩子|小孩|儿子|女儿|哥哥|弟弟|姐姐|妹妹)", relatives),
    (
        r"我(?:的)?(爸爸|父亲|爸|妈妈|母亲|妈|哥哥|弟弟|姐姐|妹妹|老婆|妻子|太太|老公|丈夫|先生|女朋友|男朋友|女友|男友|儿子|女儿|爷爷|奶奶|外公|外婆)(?:的名字)?(?:是|叫|今年)(?:一[名个位])?(.{1,8})",
        kin,
    ),
];

const MORE: [Rule; 4] = [
    (r"我对(.{1,8})过敏", |p| list(ALLERGIES, p.group(1), "")),
    (r"我(?:是|一直)?(?:个|一个|一名)?(素食者|素食主义者|吃素)的?", |_| {
        one(DIET, Some("素食".to_owned()))
    }),
    (r"我的?(?:邮箱|电子邮件|邮件地址)(?:地址)?是\s*([\w.+-]+@[\w.-]+\w)", |p| {
        one(EMAIL, Some(p.group(1).to_owned()))
    }),
    (r"我是(?:一?[个名位])?(男生|女生|男人|女人|男孩|女孩|男的|女的|男性|女性)", |p| {
        one(GENDER, p.group(1).chars().next().map(String::from))
    }),
];

struct Reader {
    set: RegexSet,
    rules: Vec<(Regex, Read)>,
}

static READER: LazyLock<Reader> = LazyLock::new(|| {
    let number = r"\d{1,3}|[一二两三四五六七八九十]{1,3}";
    let rules = [&RULES[..], &MORE].concat();
    let expand = |p: &str| {
        let p = p.replace("({n}", &format!("((?:{number})")).replace("{n}", &format!("({number})"));
        let p = p.replace("{v}", r"([\p{Han}A-Za-z0-9·《》、 ]{1,16}?)").replace("{jobs}", JOBS);
        let p = p.replace("{very}", "(?:真的|平时|一直|也|还|很|特别|非常|最|超级?|比较|都|就|从小|十分|挺|尤其)*");
        let day =
            r"(?:\d{4}\s*年)?(?:\s*[\d一二三四五六七八九十]{1,3}\s*月(?:\s*[\d一二三四五六七八九十]{1,3}\s*[日号])?)?";
        format!("^{}$", p.replace("{date}", &format!("({day})")))
    };
    let sources: Vec<String> = rules.iter().map(|(p, _)| expand(p)).collect();
    #[expect(clippy::expect_used, reason = "the patterns are constants, and every test compiles them all")]
    let set = RegexSet::new(&sources).expect("constant patterns");
    Reader { set, rules: sources.iter().zip(&rules).map(|(s, (_, read))| (pattern(s), *read)).collect() }
});

/// What a sentence tells of its speaker.
pub(super) fn facts(sentence: &str, told: Told) -> Vec<Fact> {
    static FILLER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"^(?:你好|您好|大家好|嗨|其实|对了|那个|嗯|另外|而且|还有|因为|所以|但是?|不过|然后|顺便说一?下?|是的|哈哈|\s)+",
        )
    });
    if !sentence.contains('我') {
        return Vec::new();
    }
    let mut facts = Vec::new();
    for clause in sentence.split(['，', ',', '；', ';', '。', '！', '!', '：', ':', '~', '～', '…', '\n']) {
        let clause = clause.trim().trim_end_matches('.');
        let clause = clause[FILLER.find(clause).map_or(0, |m| m.end())..].trim();
        for index in READER.set.matches(clause) {
            let (regex, rule) = &READER.rules[index];
            if let Some(groups) = regex.captures(clause) {
                facts.extend(rule(&Phrase { groups, told }));
            }
        }
    }
    facts
}

/// True when a list holds a word.
fn listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|w| w == word.trim_end_matches(['省', '市']))
}

/// A value that does not point to somebody or something said elsewhere.
fn value(text: &str) -> Option<String> {
    const POINTERS: [&str; 21] = [
        "你",
        "您",
        "他",
        "她",
        "它",
        "我",
        "这",
        "那",
        "哪",
        "谁",
        "什么",
        "怎么",
        "的人",
        "的是",
        "东西",
        "的时候",
        "别人",
        "大家",
        "一样",
        "似的",
        "为了",
    ];
    let text = text.trim().trim_end_matches(['了', '啊', '呀', '哦', '啦', '呢', '嘛']);
    let points = POINTERS.iter().any(|p| text.contains(p));
    (!text.is_empty() && !points && text.chars().any(char::is_alphanumeric)).then(|| text.to_owned())
}

fn name(p: &Phrase<'_>) -> Vec<Fact> {
    const NOT: [char; 33] = [
        '了', '不', '过', '做', '什', '到', '来', '车', '醒', '个', '去', '别', '起', '回', '好', '的', '在', '是',
        '外', '上', '下', '出', '滚', '吃', '喝', '一', '两', '几', '大', '朋', '人', '救', '帮',
    ];
    let Some(name) = value(p.group(1)) else { return Vec::new() };
    let (chinese, count) = (!name.is_ascii(), name.chars().count());
    let fits = if chinese {
        (2..=4).contains(&count) && name.chars().all(|c| !c.is_ascii()) && !name.starts_with(NOT)
    } else {
        name.starts_with(|c: char| c.is_ascii_uppercase()) && name.split(' ').count() <= 3
    };
    one(NAME, fits.then_some(name))
}

fn place(text: &str) -> Option<String> {
    const NOT: [&str; 20] = [
        "朋友", "酒店", "宾馆", "宿舍", "楼", "学校", "公司", "农村", "乡下", "城里", "附近", "隔壁", "一起", "老家",
        "国外", "家里", "里", "一个", "边", "梦",
    ];
    let home = !listed(PLACES, text) && text.ends_with('家');
    value(text).filter(|v| !home && !NOT.iter().any(|n| v.contains(n)))
}

fn native(p: &Phrase<'_>) -> Vec<Fact> {
    let home = p.group(1);
    if !listed(PLACES, home) {
        return Vec::new();
    }
    if listed(COUNTRIES, home) { one(NATIONALITY, Some(home.to_owned())) } else { one(ORIGIN, Some(home.to_owned())) }
}

/// "1990-05-01", or "5月1日" where no year is named.
fn birthday(text: &str) -> Option<String> {
    let text = text.trim();
    let yearless = || (text.contains('月') && text.ends_with(['日', '号'])).then(|| text.to_owned());
    if text.is_empty() { None } else { dates::occurred(text, None).or_else(yearless) }
}

fn job(text: &str) -> Option<String> {
    const NOT: [&str; 12] = ["好", "坏", "前", "未来", "不", "你", "他", "她", "的", "假", "冒牌", "差"];
    value(text).filter(|v| !NOT.iter().any(|n| v.contains(n)))
}

/// "在腾讯公司工作" names an employer, "在北京工作" a place, "在努力工作" neither.
fn work(p: &Phrase<'_>) -> Vec<Fact> {
    const KINDS: [&str; 18] = [
        "公司",
        "集团",
        "医院",
        "银行",
        "大学",
        "学校",
        "学院",
        "中学",
        "小学",
        "研究所",
        "事务所",
        "工厂",
        "厂",
        "超市",
        "餐厅",
        "报社",
        "出版社",
        "幼儿园",
    ];
    const KNOWN: &str =
        "腾讯 阿里巴巴 阿里 华为 百度 字节跳动 字节 京东 美团 小米 网易 滴滴 拼多多 微软 谷歌 苹果 亚马逊 比亚迪";
    let Some(at) = value(p.group(1)) else { return Vec::new() };
    let latin = at.is_ascii() && at.starts_with(|c: char| c.is_ascii_uppercase());
    if listed(PLACES, &at) {
        one(WORKPLACE, Some(at))
    } else if latin || listed(KNOWN, &at) || KINDS.iter().any(|k| at.ends_with(k)) {
        one(COMPANY, Some(at.trim_start_matches("一家").trim_start_matches("一所").to_owned()))
    } else {
        Vec::new()
    }
}

fn school(p: &Phrase<'_>) -> Vec<Fact> {
    // 我在大学: which one is not said.
    one(SCHOOL, value(p.group(1)).filter(|v| v.chars().count() > 3 && !v.starts_with(['一', '读', '上'])))
}

/// Things joined by 、, 和 and the like; `verb` is kept where it says what is liked of them (看, 吃).
fn list(slot: SlotRef, text: &str, verb: &str) -> Vec<Fact> {
    static JOINT: LazyLock<Regex> = LazyLock::new(|| pattern("、|和|跟|以及|还有|与"));
    let mut facts = Vec::new();
    for item in JOINT.split(text) {
        let short = value(item).filter(|v| v.chars().count() <= 12 && !v.starts_with(['上', '过', '了', '的', '一']));
        let Some(item) = short else { break };
        facts.push(Fact { slot, value: format!("{verb}{item}") });
    }
    facts
}

fn favourite(p: &Phrase<'_>) -> Vec<Fact> {
    let slot = match p.group(1) {
        "食物" | "菜" | "水果" | "美食" | "零食" | "饮料" => FOODS,
        "电影" | "影片" => MOVIES,
        "书" | "小说" | "书籍" => BOOKS,
        "歌" | "音乐" | "歌手" | "乐队" | "歌曲" => MUSIC,
        "运动" | "球队" => SPORTS,
        "颜色" | "动物" | "季节" | "城市" | "作家" | "演员" | "花" | "爱好" | "节日" => LIKES,
        _ => return Vec::new(),
    };
    let kind = p.group(1);
    one(slot, value(p.group(2)).map(|v| if slot == LIKES { format!("{v}（最喜欢的{kind}）") } else { v }))
}

fn languages(p: &Phrase<'_>) -> Vec<Fact> {
    const KNOWN: &str = "中文 汉语 普通话 英语 英文 日语 日文 韩语 法语 法文 德语 俄语 西班牙语 葡萄牙语 意大利语 阿拉伯语 泰语 越南语 粤语 \
        广东话 上海话 四川话 闽南语 客家话 蒙古语 藏语 维吾尔语";
    let facts = list(LANGUAGES, p.group(1), "");
    facts.into_iter().take_while(|f| listed(KNOWN, &f.value)).collect()
}

fn intent(slot: SlotRef, p: &Phrase<'_>) -> Vec<Fact> {
    let text = p.group(1);
    let date = dates::occurred(&format!("我要{text}"), p.told.said_on).map(|d| format!("（{d}）")).unwrap_or_default();
    one(slot, value(text).filter(|v| v.chars().count() > 1).map(|v| format!("{v}{date}")))
}

fn relatives(p: &Phrase<'_>) -> Vec<Fact> {
    let (count, who) = (p.group(1), p.groups.get(p.groups.len() - 1).map_or("", |m| m.as_str()));
    match who {
        "孩子" | "小孩" => one(CHILD_COUNT, numeral(count.trim_end_matches('个')).map(|n| n.to_string())),
        "儿子" | "女儿" => one(CHILDREN, Some(format!("{count}{who}"))),
        _ => one(SIBLINGS, Some(format!("{count}{who}"))),
    }
}

/// 我爸爸是医生, 我妹妹叫小红, 我儿子今年五岁.
fn kin(p: &Phrase<'_>) -> Vec<Fact> {
    static JOB: LazyLock<Regex> = LazyLock::new(|| pattern(&format!(r"^\p{{Han}}{{0,4}}(?:{JOBS})$")));
    static YEARS: LazyLock<Regex> = LazyLock::new(|| pattern(r"^(?:\d{1,3}|[一二三四五六七八九十]{1,3})岁$"));
    let slot = match p.group(1) {
        "爸爸" | "父亲" | "爸" => FATHER,
        "妈妈" | "母亲" | "妈" => MOTHER,
        "哥哥" | "弟弟" => BROTHER,
        "姐姐" | "妹妹" => SISTER,
        "老婆" | "妻子" | "太太" => WIFE,
        "老公" | "丈夫" | "先生" => HUSBAND,
        "儿子" => SON,
        "女儿" => DAUGHTER,
        "爷爷" | "外公" => GRANDFATHER,
        "奶奶" | "外婆" => GRANDMOTHER,
        _ => PARTNER,
    };
    let Some(text) = value(p.group(2)) else { return Vec::new() };
    let called = p.group(0).contains('叫') || p.group(0).contains("名字");
    let person = called && (2..=4).contains(&text.chars().count()) && text.chars().all(char::is_alphabetic);
    let fits = person || !called && (JOB.is_match(&text) && job(&text).is_some() || YEARS.is_match(&text));
    one(slot, fits.then_some(text))
}
