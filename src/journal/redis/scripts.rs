//! The scripts: each is one step of the journal.

use std::sync::LazyLock;

use redis::Script;

/// What most scripts of one owner share.
#[cfg(test)]
pub(super) const COMMON: &str = include_str!("scripts/common.lua");

/// Scripts that append are refused when Redis is full. Those that take things out again are not: without them it would
/// stay full.
macro_rules! scripts {
    ($($name:ident: $flags:literal $($file:literal)+;)*) => {$(
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!("#!lua ", $flags, "\n", include_str!("scripts/base.lua"), $(include_str!($file)),+))
        });
    )*};
}

scripts! {
    APPEND: "" "scripts/append.lua";
    TAKE: "flags=allow-oom" "scripts/common.lua" "scripts/take.lua";
    RENEW: "flags=allow-oom" "scripts/common.lua" "scripts/renew.lua";
    RELEASE: "flags=allow-oom" "scripts/common.lua" "scripts/release.lua";
    RESEAL: "flags=allow-oom" "scripts/common.lua" "scripts/reseal.lua";
    DISCARD: "flags=allow-oom" "scripts/common.lua" "scripts/discard.lua";
    BLOB: "flags=no-writes" "scripts/common.lua" "scripts/blob.lua";
    REMOVE: "flags=allow-oom" "scripts/common.lua" "scripts/remove.lua";
    REQUEUE: "" "scripts/common.lua" "scripts/requeue.lua";
    PURGE: "flags=allow-oom" "scripts/common.lua" "scripts/purge.lua";
    HOLDING: "flags=no-writes" "scripts/common.lua" "scripts/holding.lua";
    ADOPT: "" "scripts/common.lua" "scripts/adopt.lua";
    HAND_OVER: "flags=allow-oom" "scripts/common.lua" "scripts/hand_over.lua";
}

/// Asks one shard what is due.
pub(super) static DUE: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!("#!lua flags=no-writes\n", include_str!("scripts/due.lua"))));
