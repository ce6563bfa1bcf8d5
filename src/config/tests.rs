use std::collections::BTreeSet;
use std::fs;

use secrecy::ExposeSecret;
use serde_json::json;
use tempfile::TempDir;

use super::layers::DEFAULTS;
use super::*;

/// A working directory with files, and an environment.
struct World {
    dir: TempDir,
    inputs: Inputs,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let inputs = Inputs { working_dir: dir.path().to_owned(), ..Inputs::default() };
        Self { dir, inputs }
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.dir.path().join(name), text).unwrap();
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, name: &'static str, value: &str) -> Self {
        self.inputs.flags.push((name, value.to_owned()));
        self
    }

    fn settings(&self) -> Settings {
        Settings::load(&self.inputs).unwrap()
    }

    /// All errors, with the temporary directory cut out.
    fn errors(&self) -> Vec<String> {
        let prefix = format!("{}/", self.dir.path().display());
        let errors = Settings::load(&self.inputs).unwrap_err();
        errors.lines().iter().map(|line| line.replace(&prefix, "")).collect()
    }
}

/// The one error of a configuration with one variable.
fn error_of(name: &str, value: &str) -> String {
    let errors = World::new().env(name, value).errors();
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors[0].clone()
}

/// The keys of config.yaml in order, and the lines before each.
fn documented() -> Vec<(&'static str, &'static str)> {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    let pairs = lines.windows(2).filter(|pair| !pair[1].starts_with('#') && !pair[1].is_empty());
    pairs.map(|pair| (pair[1].split_once(": ").unwrap().0, pair[0])).collect()
}

#[test]
fn every_key_has_a_comment_and_a_field() {
    for (key, comment) in documented() {
        assert!(comment.starts_with("# ") && comment.ends_with('.'), "{key}: {comment}");
    }
    let keys: BTreeSet<&str> = documented().into_iter().map(|(key, _)| key).collect();
    let message = serde_json::from_value::<Config>(json!({"?": 1})).unwrap_err().to_string();
    let fields: BTreeSet<&str> = message.split('`').skip(3).step_by(2).collect();
    assert_eq!(keys, fields);
    assert_eq!(World::new().settings().sources.len(), keys.len());
}

#[test]
fn defaults_alone_are_valid_and_need_no_file() {
    let settings = World::new().settings();
    assert!(settings.warnings.is_empty() && settings.sources.values().all(|s| *s == Source::Default));
    assert_eq!((settings.config.port, settings.config.host.as_str()), (8019, "127.0.0.1"));
    let policy = settings.config.policy();
    assert_eq!((policy.max_sub_topics, policy.max_memo_tokens), (15, 128));
    assert_eq!(policy.schema, memory::schema::Schema::default());
}

#[test]
fn layers_win_in_order_and_are_told_apart() {
    let world = World::new()
        .file("config.yaml", &DEFAULTS.replace("port: 8019", "port: 1").replace("log: info", "log: warn"))
        .file("powermemo.yaml", "port: 2\nflush_workers: 2\nlog: null\n")
        .file(".env", "POWERMEMO_PORT=3\nPOWERMEMO_FLUSH_WORKERS=3\nPROJECT_ID=dot\nOTHER=x\n")
        .env("POWERMEMO_PORT", "4")
        .env("PROJECT_ID", "shared")
        .env("POWERMEMO_PROJECT_ID", "prefixed")
        .env("POWERMEMO_HOST", "")
        .flag("port", "5");
    let Settings { config, sources, .. } = world.settings();
    assert_eq!((config.port, sources["port"].to_string().as_str()), (5, "flag --port"));
    assert_eq!(
        (config.flush_workers, sources["flush_workers"].to_string().as_str()),
        (3, ".env POWERMEMO_FLUSH_WORKERS")
    );
    assert_eq!(
        (config.log.as_str(), sources["log"].clone()),
        ("info,actix_server=warn,sqlx=error", Source::File(world.dir.path().join("powermemo.yaml")))
    );
    assert_eq!(config.project_id, "prefixed");
    assert_eq!(sources["project_id"].to_string(), "environment POWERMEMO_PROJECT_ID");
    assert_eq!(sources["host"], Source::Default, "an empty variable is not set");
    assert_eq!(sources["cors_origins"], Source::Default, "config.yaml repeats the default");
}

#[test]
fn a_named_file_stands_in_for_those_of_the_working_directory() {
    let mut world = World::new().file("config.yaml", "port: 1").file("mine.yaml", "# mine\nport: 2\n");
    let mine = world.dir.path().join("mine.yaml");
    world.inputs.environment = vec![("POWERMEMO_CONFIG".into(), mine.clone().into())];
    assert_eq!(world.settings().config.port, 2);
    world.inputs.config_file = Some(world.dir.path().join("config.yaml"));
    assert_eq!(world.settings().config.port, 1);
    world.inputs.config_file = Some(world.dir.path().join("gone.yaml"));
    assert!(world.errors()[0].starts_with("gone.yaml: cannot be read"));
}

#[test]
fn files_of_comments_alone_are_fine_and_broken_ones_are_named() {
    assert_eq!(World::new().file("config.yaml", "# nothing\n\n").settings().config.port, 8019);
    for text in ["port: [", "- port", "port: 1\nport: 2"] {
        let errors = World::new().file("powermemo.yaml", text).errors();
        assert!(errors.len() == 1 && errors[0].starts_with("powermemo.yaml: "), "{errors:?}");
    }
    let errors = World::new().file(".env", "A=1\nACCESS_TOKEN=hunter2 hunter3\n").errors();
    assert!(errors[0].starts_with(".env: entry 2") && !errors[0].contains("hunter"), "{errors:?}");
}

#[test]
fn unknown_keys_name_the_file_and_the_nearest_key() {
    let errors = World::new()
        .file("config.yaml", "buffer_flush_intervall: 3")
        .file(".env", "POWERMEMO_PROT=1")
        .env("POWERMEMO_FLUSH_WORKER", "1")
        .env("HOME", "/")
        .errors();
    let expected = [
        "config.yaml: unknown key buffer_flush_intervall; the nearest known one is buffer_flush_interval",
        ".env POWERMEMO_PROT: unknown key prot; the nearest known one is POWERMEMO_PORT",
        "environment POWERMEMO_FLUSH_WORKER: unknown key flush_worker; the nearest known one is POWERMEMO_FLUSH_WORKERS",
    ];
    assert!(errors.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{errors:#?}");
}

#[test]
fn lists_and_maps_in_variables_are_yaml() {
    let Settings { config, .. } = World::new()
        .env("ACCESS_TOKEN", "12345")
        .env("POWERMEMO_CORS_ORIGINS", "[https://a.example, 'http://localhost:3000']")
        .env("POWERMEMO_EVENT_TAGS", "- name: mood\n  description: how it felt\n- {name: place}")
        .env("POWERMEMO_ADDITIONAL_USER_PROFILES", r#"[{"topic":"Game State","sub_topics":["level"]}]"#)
        .env("POWERMEMO_LLM_OPENAI_DEFAULT_HEADER", "{X-Tenant: blue}")
        .env("POWERMEMO_PERSISTENT_CHAT_BLOBS", "true")
        .settings();
    assert_eq!(config.access_token.as_ref().unwrap().expose_secret(), "12345", "a text stays a text");
    assert_eq!(config.cors_origins, ["https://a.example", "http://localhost:3000"]);
    assert_eq!(config.event_tags[1], EventTag { name: "place".into(), description: String::new() });
    assert_eq!(config.policy().event_tags[0].description, "how it felt");
    assert_eq!(config.schema().topics.last().unwrap().name, "game_state");
    assert_eq!(config.llm_openai_default_header["X-Tenant"].expose_secret(), "blue");
    assert!(config.persistent_chat_blobs);
}

#[test]
fn each_check_names_key_value_source_and_what_is_allowed() {
    let cases = [
        ("PORT", "65536", "port: 65536 (environment POWERMEMO_PORT) must be a whole number from 0 to 65535"),
        ("PORT", "http", r#"port: "http" (environment POWERMEMO_PORT) must be a whole number from 0 to 65535"#),
        ("FLUSH_WORKERS", "3.7", "flush_workers: 3.7 "),
        ("FLUSH_WORKERS", "-1", "flush_workers: -1 "),
        ("MAX_BODY_BYTES", "0", "must be a whole number from 1024 to 1073741824"),
        ("PROFILE_STRICT_MODE", "maybe", "must be true or false"),
        ("USE_TIMEZONE", "Europe/Atlantis", "must be an IANA time zone"),
        ("USE_TIMEZONE", "+02:00", "must be an IANA time zone"),
        ("LANGUAGE", "fr", "expected one of `en`, `zh`, `ja`"),
        ("LLM_STYLE", "doubao_cache", "expected one of `auto`, `openai`, `rules`"),
        ("LOG_FORMAT", "xml", "expected `text` or `json`"),
        ("LOG", "inof", "log: \"inof\" (environment POWERMEMO_LOG) must be off, error"),
        ("LOG", "info,powermemo=loud", "must be off, error"),
        ("DATA_DIR", " ", "must not be empty"),
        ("PROJECT_ID", "a b", "must be 1 to 64 letters"),
        ("PROJECT_ID", &"x".repeat(65), "must be 1 to 64 letters"),
        ("HOST", "no host", "must be an IP address or a host name"),
        ("HOST", "0.0.0.0", "set ACCESS_TOKEN, or host to 127.0.0.1"),
        ("HOST", "memory.example.org", "set ACCESS_TOKEN, or host to 127.0.0.1"),
        ("CORS_ORIGINS", "[https://a.example/path]", "must list origins"),
        ("CORS_ORIGINS", "['*']", "set ACCESS_TOKEN"),
        ("CORS_ORIGINS", "https://a.example", "cors_origins: \"https://a.example\""),
        ("FLUSH_BACKOFF_MIN_SECONDS", "301", "must not be greater than flush_backoff_max_seconds"),
        ("EVENT_TAGS", "[{description: x}]", "missing field `name`"),
        ("EVENT_TAGS", "[{name: ' '}]", "must give every tag a name"),
        ("OVERWRITE_USER_PROFILES", "[{topic: '-'}]", "empty name"),
        ("LLM_BASE_URL", "api.example.org", "must be an http:// or https:// address"),
        ("LLM_BASE_URL", "https://a:b@api.example.org", "https://a:***@api.example.org/"),
        ("LLM_BASE_URL", "https://api.example.org/?key=x", "?key=***"),
        ("LLM_STYLE", "openai", "set llm_base_url, or OPENAI_API_KEY"),
        ("LLM_TEMPERATURE", "2.5", "must be a number from 0 to 2"),
        ("LLM_REQUESTS_PER_MINUTE", "-1", "must be a whole number from 0 to 100000000"),
        ("PROFILE_FILTER", "model", "needs a language model"),
        ("ENABLE_EVENT_EMBEDDING", "true", "needs an endpoint: set embedding_base_url"),
        ("EMBEDDING_PROVIDER", "cohere", "expected one of `openai`, `jina`, `ollama`, `lmstudio`"),
        ("EMBEDDING_BASE_URL", "api.example.org", "must be an http:// or https:// address"),
        ("EMBEDDING_DIM", "0", "must be a whole number from 1 to 16000"),
        ("EMBEDDING_MODEL", &"x".repeat(191), "must have 190 characters at most"),
    ];
    for (key, value, expected) in cases {
        let error = error_of(&format!("POWERMEMO_{key}"), value);
        assert!(error.contains(expected), "{error}\n  lacks: {expected}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let world = World::new().file("config.yaml", "port: x\nlanguage: fr\nhost: 0.0.0.0\nprot: 1\n");
    assert_eq!(world.errors().len(), 4);
    let text = Settings::load(&world.inputs).unwrap_err().to_string();
    assert!(text.starts_with("the configuration has 4 errors:\n  "), "{text}");
}

#[test]
fn a_token_opens_the_server_to_others() {
    for host in ["0.0.0.0", "::", "memory.example.org"] {
        let world = World::new().env("POWERMEMO_HOST", host).env("ACCESS_TOKEN", "s3cret");
        assert_eq!(world.settings().config.host, host);
    }
    for host in ["::1", "localhost", "127.8.8.8"] {
        assert_eq!(World::new().env("POWERMEMO_HOST", host).settings().config.host, host);
    }
}

#[test]
fn addresses_of_stores_are_checked_and_shown_without_their_passwords() {
    for good in ["postgres://ann:hunter2@db/memo?sslpassword=hunter3", "postgresql://db"] {
        let settings = World::new().env("DATABASE_URL", good).settings();
        assert!(settings.config.database_url.is_some() && !settings.yaml.contains("hunter"), "{}", settings.yaml);
    }
    for good in ["redis://:hunter2@cache", "rediss://cache:6380/1", "redis+unix:///run/redis.sock?pass=hunter2"] {
        let settings = World::new().env("REDIS_URL", good).settings();
        assert!(settings.config.redis_url.is_some() && !settings.yaml.contains("hunter"), "{}", settings.yaml);
    }
    let error = error_of("DATABASE_URL", "mysql://ann:hunter2@db/memo");
    assert!(error.contains("must begin with postgres://") && error.contains("DATABASE_URL"), "{error}");
    assert!(!error.contains("hunter"), "{error}");
    let error = error_of("DATABASE_URL", "postgres ://ann:hunter2@db/memo");
    assert!(error.contains("without a scheme") && !error.contains("hunter"), "{error}");
    for missing in ["ann:hunter2@db:5432/memo", "db:hunter2", "//ann:hunter2@db", "hunter2"] {
        let error = error_of("DATABASE_URL", missing);
        assert!(error.contains("*** (without a scheme") && !error.contains("hunter"), "{error}");
    }
    let error = error_of("DATABASE_URL", "mysql://ann:hunter2@db:port/memo");
    assert!(error.contains("mysql://***") && !error.contains("hunter"), "{error}");
    let error = error_of("REDIS_URL", "hunter2");
    assert!(error.contains("must begin with redis://") && !error.contains("hunter"), "{error}");
}

#[test]
fn what_is_not_there_yet_is_told() {
    let warnings = |world: World| world.settings().warnings;
    let model = || World::new().env("POWERMEMO_BEST_LLM_MODEL", "big");
    let loud = warnings(model());
    assert!(loud.len() == 1 && loud[0].contains("NO LANGUAGE MODEL IS CALLED"), "{loud:?}");
    assert!(warnings(model().env("OPENAI_API_KEY", "sk-x")).is_empty());
    assert!(warnings(model().env("POWERMEMO_LLM_STYLE", "rules")).is_empty());
    assert!(warnings(World::new().file("config.yaml", "enable_event_embedding: false")).is_empty());
    let world = World::new().file("config.yaml", "embedding_dim: 384\ncache_user_profiles_ttl: 3\n");
    let told = warnings(world);
    assert!(told.len() == 2 && told.iter().any(|told| told.contains("enable_event_embedding is false")), "{told:?}");
    let topic = "[{topic: a, sub_topics: [{name: b, update_description: c}]}]";
    assert!(warnings(World::new().env("POWERMEMO_OVERWRITE_USER_PROFILES", topic))[0].contains("update_description"));
}

#[test]
fn the_configuration_prints_with_sources_and_without_secrets() {
    let settings = World::new()
        .env("ACCESS_TOKEN", "hunter1")
        .env("OPENAI_API_KEY", "hunter2")
        .env("POWERMEMO_EMBEDDING_API_KEY", "hunter3")
        .env("POWERMEMO_LLM_OPENAI_DEFAULT_HEADER", "{X-Key: hunter4}")
        .flag("port", "1")
        .settings();
    let (yaml, debug) = (&settings.yaml, format!("{:?}", settings.config));
    assert!(!yaml.contains("hunter") && !debug.contains("hunter"), "{yaml}\n{debug}");
    for line in [
        "port: 1  # flag --port\n",
        "host: \"127.0.0.1\"  # default\n",
        "access_token: \"***\"  # environment ACCESS_TOKEN\n",
        "llm_openai_default_header: {\"X-Key\":\"***\"}  # environment",
        "database_url: null  # default\n",
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
    let order: Vec<&str> = yaml.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(order, documented().into_iter().map(|(key, _)| key).collect::<Vec<_>>());
    let world = World::new().file("config.yaml", yaml);
    assert_eq!(world.settings().config.port, 1, "what is printed can be read back");
}

#[test]
fn a_secret_of_a_wrong_type_is_not_shown() {
    let errors = World::new().file("config.yaml", "access_token: 31337\nllm_openai_default_query: [hunter]\n").errors();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().all(|e| !e.contains("31337") && !e.contains("hunter")), "{errors:?}");
}

/// A configuration with embeddings.
fn embedding(envs: &[(&'static str, &str)]) -> World {
    envs.iter().fold(World::new().env("POWERMEMO_ENABLE_EVENT_EMBEDDING", "true"), |world, (name, value)| {
        world.env(name, value)
    })
}

#[test]
fn embeddings_come_from_where_their_provider_is() {
    let address = |envs: &[(&'static str, &str)]| embedding(envs).settings().config.embedding_address().to_owned();
    let provider = |name| ("POWERMEMO_EMBEDDING_PROVIDER", name);
    let llm = ("OPENAI_BASE_URL", "https://llm.example/v1");
    let own = ("POWERMEMO_EMBEDDING_BASE_URL", "https://own.example/v1");
    let key = ("POWERMEMO_EMBEDDING_API_KEY", "sk-own");
    assert_eq!(address(&[("OPENAI_API_KEY", "sk-x")]), "https://api.openai.com/v1");
    assert_eq!(address(&[key]), "https://api.openai.com/v1");
    assert_eq!(address(&[llm]), "https://llm.example/v1");
    assert_eq!(address(&[llm, own]), "https://own.example/v1");
    assert_eq!(address(&[llm, provider("jina"), key]), "https://api.jina.ai/v1");
    assert_eq!(address(&[llm, provider("ollama")]), "http://localhost:11434/v1");
    assert_eq!(address(&[llm, provider("lmstudio")]), "http://localhost:1234/v1");
    assert_eq!(address(&[llm, own, provider("ollama")]), "https://own.example/v1");
}

#[test]
fn the_key_of_the_language_model_goes_nowhere_else() {
    let key = |envs: &[(&'static str, &str)]| {
        let config = embedding(envs).settings().config;
        config.embedding_key().map(|key| key.expose_secret().to_owned())
    };
    let (sent, none) = (Some("sk-llm".to_owned()), None);
    let llm = ("OPENAI_API_KEY", "sk-llm");
    let at = |url| ("OPENAI_BASE_URL", url);
    let own = |url| ("POWERMEMO_EMBEDDING_BASE_URL", url);
    assert_eq!(key(&[llm]), sent);
    assert_eq!(key(&[llm, at("https://llm.example/v1")]), sent);
    assert_eq!(key(&[llm, at("https://llm.example/v1"), own("https://LLM.example:443/embed/v1")]), sent);
    assert_eq!(key(&[llm, own("https://api.openai.com/v1")]), sent);
    for other in ["http://llm.example/v1", "https://llm.example:8443/v1", "https://llm.example.org/v1"] {
        assert_eq!(key(&[llm, at("https://llm.example/v1"), own(other)]), none, "{other}");
    }
    assert_eq!(key(&[llm, at("http://localhost:8000/v1"), own("https://api.openai.com/v1")]), none);
    assert_eq!(key(&[llm, ("POWERMEMO_EMBEDDING_PROVIDER", "ollama")]), none);
    let own_key = ("POWERMEMO_EMBEDDING_API_KEY", "sk-own");
    assert_eq!(key(&[llm, own_key, own("http://other.example/v1")]), Some("sk-own".to_owned()));
}

#[test]
fn jina_needs_a_key_of_its_own() {
    let jina = ("POWERMEMO_EMBEDDING_PROVIDER", "jina");
    let errors = embedding(&[jina, ("OPENAI_API_KEY", "sk-llm")]).errors();
    assert!(errors.len() == 1 && errors[0].starts_with("embedding_api_key: "), "{errors:?}");
    embedding(&[jina, ("POWERMEMO_EMBEDDING_API_KEY", "jina_x")]).settings();
    embedding(&[jina, ("POWERMEMO_EMBEDDING_BASE_URL", "http://localhost:8080/v1")]).settings();
}
