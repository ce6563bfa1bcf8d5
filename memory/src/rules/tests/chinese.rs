use super::check;

#[test]
fn who_the_user_is() {
    check(&[
        ("我叫王小明。", "name=王小明"),
        ("你好，我叫李雷，我今年28岁了。", "name=李雷 | age=28"),
        ("我的名字是陈静", "name=陈静"),
        ("叫我小美吧", "name=小美"),
        ("我今年三十五岁", "age=35"),
        ("我住在上海。", "location=上海"),
        ("我现在住在杭州西湖区", "location=杭州西湖区"),
        ("我去年搬到了成都", "location=成都"),
        ("我来自四川，很高兴认识你", "origin=四川"),
        ("我是北京人", "origin=北京"),
        ("我是中国人。", "nationality=中国"),
        ("我的生日是5月1日。", "birth_date=5月1日"),
        ("我是1990年8月出生的", "birth_date=1990-08"),
        ("我出生在西安", "birthplace=西安"),
        ("我会说英语、日语和粤语", "language_spoken=英语 | language_spoken=日语 | language_spoken=粤语"),
        ("我的母语是法语", "language_spoken=法语"),
        ("我是女生", "gender=女"),
        ("我结婚了", "marital_status=结婚"),
        ("我的邮箱是li@example.org", "email=li@example.org"),
    ]);
}

#[test]
fn work_family_and_tastes() {
    check(&[
        ("我是一名护士。", "title=护士"),
        ("我是软件工程师", "title=软件工程师"),
        ("我在腾讯工作", "company=腾讯"),
        ("我在一家银行上班。", "company=银行"),
        ("我在深圳工作", "location=深圳"),
        ("我的职业是律师", "title=律师"),
        ("我毕业于复旦大学", "school=复旦大学"),
        ("我在南京大学读书", "school=南京大学"),
        ("我的专业是建筑学", "major=建筑学"),
        ("我喜欢爬山和摄影", "likes=爬山 | likes=摄影"),
        ("我特别爱吃火锅！", "likes=吃火锅"),
        ("我不喜欢香菜", "dislikes=香菜"),
        ("我最讨厌下雨天", "dislikes=下雨天"),
        ("我最喜欢的电影是霸王别姬", "movies=霸王别姬"),
        ("我养了一只橘猫", "pets=一只橘猫"),
        ("我家的狗叫豆豆", "pets=狗豆豆"),
        ("我打算下个月去云南旅游", "plans=下个月去云南旅游（2023-06）"),
        ("我的梦想是开一家咖啡店", "goals=开一家咖啡店"),
        ("我爸爸是医生", "father=医生"),
        ("我妹妹叫小红", "sister=小红"),
        ("我有两个孩子", "number_of_children=2"),
        ("我有一个姐姐", "siblings=一个姐姐"),
        ("我对花生过敏", "allergies=花生"),
    ]);
}
