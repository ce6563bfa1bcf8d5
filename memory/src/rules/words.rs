//! Word lists: what makes "I'm a nurse" a job and "I'm a mess" none.

/// Occupations, by their last word.
pub(super) const JOBS: &str = "accountant actor actress administrator advisor analyst animator architect artist \
    assistant astronomer attorney auditor author baker banker barber barista bartender biologist bookkeeper botanist \
    broker builder butcher captain caretaker carpenter cashier ceo cfo cto chef chemist chiropractor cleaner clerk \
    coach coder composer concierge consultant contractor cook copywriter counselor counsellor courier curator dancer \
    dentist dermatologist designer detective developer dietitian director doctor dramatist driver economist editor \
    electrician engineer entrepreneur farmer filmmaker firefighter fisherman florist founder freelancer gardener \
    geologist graphic-designer guard hairdresser historian illustrator instructor interpreter investor janitor \
    jeweler journalist judge lawyer lecturer librarian lifeguard linguist locksmith machinist manager marketer mason \
    mathematician mechanic meteorologist midwife miner model musician nanny neurologist neuroscientist nurse \
    nutritionist officer operator optician optometrist painter paralegal paramedic pastor pediatrician pharmacist \
    photographer physician physicist physiotherapist pianist pilot plumber poet policeman policewoman politician \
    postman potter priest principal producer professor programmer psychiatrist psychologist publisher radiologist \
    realtor receptionist recruiter reporter researcher sailor salesman salesperson saleswoman scientist sculptor \
    secretary sheriff singer soldier statistician stylist supervisor surgeon surveyor tailor teacher technician \
    therapist translator trucker tutor undergraduate veterinarian vet waiter waitress welder writer student \
    streamer youtuber stuntman blogger violinist drummer guitarist homemaker housewife specialist trainer";

/// Words before an occupation that take it back.
pub(super) const NOT_YET: &str = "aspiring former ex future wannabe would-be failed fake good bad terrible great \
    decent amazing lousy better best big huge horrible awful lucky born natural armchair amateur hobby wonderful real \
    true proud new home pretend backseat closet";

/// Nationalities.
pub(super) const NATIONS: &str = "american british english scottish welsh irish french german italian spanish \
    portuguese dutch belgian swiss austrian swedish norwegian danish finnish icelandic polish czech slovak hungarian \
    romanian bulgarian greek turkish russian ukrainian serbian croatian canadian mexican brazilian argentinian \
    chilean colombian peruvian venezuelan cuban egyptian moroccan nigerian kenyan ethiopian ghanaian south-african \
    israeli lebanese iranian iraqi indian pakistani bangladeshi chinese japanese korean vietnamese thai indonesian \
    malaysian filipino singaporean taiwanese australian estonian latvian lithuanian jamaican nepalese";

/// Languages.
pub(super) const LANGUAGES: &str = "english french german italian spanish portuguese dutch swedish norwegian danish \
    finnish polish czech slovak hungarian romanian bulgarian greek turkish russian ukrainian serbian croatian arabic \
    hebrew persian farsi hindi urdu bengali tamil telugu punjabi chinese mandarin cantonese japanese korean \
    vietnamese thai indonesian malay tagalog swahili amharic yoruba catalan basque welsh irish latin esperanto \
    icelandic estonian latvian lithuanian asl";

/// Fields of study, by any word of them.
pub(super) const FIELDS: &str = "biology physics math maths mathematics chemistry computer engineering law medicine \
    nursing economics history psychology philosophy art arts music literature business finance accounting marketing \
    design architecture linguistics education journalism politics political sociology anthropology geography geology \
    theology statistics astronomy botany zoology pharmacy dentistry agriculture archaeology informatics neuroscience \
    film theater theatre biochemistry criminology logistics management english french german spanish chinese japanese";

/// Lines of work.
pub(super) const INDUSTRIES: &str = "marketing finance it tech hr sales healthcare education advertising banking \
    construction retail hospitality insurance logistics real-estate publishing journalism law tourism agriculture \
    accounting manufacturing engineering cybersecurity consulting biotech fashion aviation gaming";

/// Animals that people keep.
pub(super) const ANIMALS: &str = "dog puppy pup cat kitten kitty rabbit bunny hamster parrot goldfish turtle tortoise \
    horse pony snake lizard ferret chicken canary budgie gecko hedgehog chinchilla gerbil iguana cockatiel labrador \
    poodle beagle dachshund corgi husky bulldog retriever terrier pug chihuahua greyhound collie dalmatian";

/// True when a list holds a word, in any case.
pub(super) fn holds(list: &str, word: &str) -> bool {
    let word = word.to_lowercase();
    list.split_whitespace().any(|w| w == word)
}
