//! The scripts: each is one step of the journal.

use std::sync::LazyLock;

use redis::Script;

/// What the scripts of one owner begin with.
#[cfg(test)]
pub(super) const COMMON: &str = include_str!("scripts/common.lua");

/// Scripts that append are refused when Redis is full. Those that take things out again are not: without them it would
/// stay full.
macro_rules! scripts {
    ($($name:ident: $flags:literal $file:literal;)*) => {$(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!("#!lua ", $flags, "\n", include_str!("scripts/common.lua"), include_str!($file)))
        });
    )*};
}

scripts! {
    APPEND: "" "scripts/append.lua";
    TAKE: "flags=allow-oom" "scripts/take.lua";
    RENEW: "flags=allow-oom" "scripts/renew.lua";
    RELEASE: "flags=allow-oom" "scripts/release.lua";
    RESEAL: "flags=allow-oom" "scripts/reseal.lua";
    DISCARD: "flags=allow-oom" "scripts/discard.lua";
    BLOB: "flags=no-writes" "scripts/blob.lua";
    REMOVE: "flags=allow-oom" "scripts/remove.lua";
    REQUEUE: "" "scripts/requeue.lua";
    PURGE: "flags=allow-oom" "scripts/purge.lua";
    HOLDING: "flags=no-writes" "scripts/holding.lua";
    ADOPT: "" "scripts/adopt.lua";
    HAND_OVER: "flags=allow-oom" "scripts/hand_over.lua";
}

/// Asks one shard what is due.
pub(super) static DUE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!("#!lua flags=no-writes\n", include_str!("scripts/due.lua"))));
