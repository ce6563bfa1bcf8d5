use super::check;

#[test]
fn who_the_user_is() {
    check(&[
        ("My name is Clara Weiss.", "name=Clara Weiss"),
        ("my name's bob", "name=bob"),
        ("You can call me Zed!", "name=Zed"),
        ("Everyone calls me Kit.", "name=Kit"),
        ("Hi there! I'm Ines, nice to meet you", "name=Ines"),
        ("Hello, I am Tom Baker and I live in Leeds.", "name=Tom Baker | location=Leeds"),
        ("I'm 34 years old", "age=34"),
        ("I am thirty-two.", "age=32"),
        ("I just turned 40!", "age=40"),
        ("I'm 27, and I work as a tiler", "age=27 | title=tiler"),
        ("I'm a 29-year-old nurse from Cork.", "age=29 | title=nurse"),
        ("My birthday is May 5th.", "birth_date=May 5"),
        ("my birthday is on 3 June 1991", "birth_date=1991-06-03"),
        ("My birthday is tomorrow!", "birth_date=May 9"),
        ("I was born in 1984.", "birth_date=1984"),
        ("I was born on 2 March 1990 in Porto", "birth_date=1990-03-02 | birthplace=Porto"),
        ("I was born in Naples", "birthplace=Naples"),
        ("I'm from Brazil.", "origin=Brazil"),
        ("I'm originally from the Netherlands, you know.", "origin=Netherlands"),
        ("I grew up in Cape Town with my aunt", "origin=Cape Town"),
        ("I live in Lyon, France.", "location=Lyon, France"),
        ("Well, I currently live in New York City with two friends.", "location=New York City"),
        ("i live in london now", "location=london"),
        ("I'm based in Rio de Janeiro", "location=Rio de Janeiro"),
        ("I live in a small flat in Berlin.", "location=Berlin"),
        ("I just moved to Vienna from Graz", "location=Vienna"),
        ("I'm Italian.", "nationality=Italian"),
        ("I am a Canadian citizen", "nationality=Canadian"),
        ("I'm a trans woman.", "gender=trans woman"),
        ("I'm a guy", "gender=male"),
        (
            "I speak Spanish, English and a little Portuguese.",
            "language_spoken=Spanish | language_spoken=English | language_spoken=Portuguese",
        ),
        ("I'm fluent in Japanese", "language_spoken=Japanese"),
        ("My native language is Tamil", "language_spoken=Tamil"),
        ("My email is lee@example.org.", "email=lee@example.org"),
    ]);
}

#[test]
fn work_and_school() {
    check(&[
        ("I'm a nurse.", "title=nurse"),
        ("I am a senior software engineer at Initech.", "title=senior software engineer | company=Initech"),
        ("I work as a dog groomer in Bath", "title=dog groomer"),
        ("I'm working as a sous chef for Noma", "title=sous chef | company=Noma"),
        ("I work at Siemens, mostly remote.", "company=Siemens"),
        ("I just started a new job at Blue Door Press!", "company=Blue Door Press"),
        ("I work in finance.", "industry=finance"),
        ("I'm retired now", "retirement=retired"),
        ("I studied at Kyoto University", "school=Kyoto University"),
        ("I'm a student at Trinity College.", "school=Trinity College | title=student"),
        ("I graduated from the University of Oslo in 2012", "school=University of Oslo"),
        ("I'm studying marine biology at home", "major=marine biology"),
        ("My major is computer science.", "major=computer science"),
        ("I have a master's degree in economics", "degree=master's in economics"),
    ]);
}

#[test]
fn those_who_are_theirs() {
    check(&[
        ("I'm married", "marital_status=married"),
        ("I got married last June!", "marital_status=married | marriage=married (2022-06)"),
        ("I'm single and 30.", "marital_status=single"),
        ("I have three kids.", "number_of_children=3"),
        ("I have two daughters", "children=two daughters"),
        ("I have an older brother named Ravi.", "siblings=an older brother named Ravi"),
        ("My brother is a doctor.", "brother=doctor"),
        ("My sister's name is Mira", "sister=Mira"),
        ("My older sister Lena plays the cello.", "sister=Lena"),
        ("My mom is 61 years old", "mother=61 years old"),
        ("My wife is French.", "wife=French"),
        ("My son lives in Perth", "son=lives in Perth"),
        ("I have a dog named Biscuit", "pets=dog named Biscuit"),
        ("I have two cats.", "pets=two cats"),
        ("My cat is called Mochi, she is old", "pets=cat named Mochi"),
        ("We adopted a puppy!", "pets=a puppy"),
    ]);
}

#[test]
fn tastes_and_plans() {
    check(&[
        ("I love hiking.", "likes=hiking"),
        ("I really like jazz, green tea and old maps", "likes=jazz | likes=green tea | likes=old maps"),
        ("I enjoy baking because it calms me", "likes=baking"),
        ("I'm into chess", "likes=chess"),
        ("I enjoy rowing, but, of course, it is cold", "likes=rowing"),
        ("I'm a big fan of Studio Ghibli!", "likes=Studio Ghibli"),
        ("I hate mushrooms.", "dislikes=mushrooms"),
        ("I don't like horror films", "dislikes=horror films"),
        ("I can't stand traffic jams!", "dislikes=traffic jams"),
        ("My favorite color is teal.", "likes=teal (favourite color)"),
        ("My favourite food is ramen", "foods=ramen"),
        ("My favorite book is Dune.", "books=Dune"),
        ("I'm allergic to peanuts and cats.", "allergies=peanuts | allergies=cats"),
        ("I'm vegan", "diet=vegan"),
        ("I plan to visit Japan next month.", "plans=visit Japan next month (2023-06)"),
        ("I'm planning to learn welding", "plans=learn welding"),
        ("My dream is to open a bakery.", "goals=open a bakery"),
        ("I want to become a pilot", "goals=a pilot"),
    ]);
}
