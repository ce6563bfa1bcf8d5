-- ARGV: 3 id, 4 kind, 5 tokens, 6 payload. Nil when the owner is gone, or else the number and the level.
local id, kind, tokens, payload = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.call('EXISTS', gone) == 1 then
    return false
end
local known = redis.call('HGET', meta, id)
if known then
    local known_kind, seq = unmeta(known)
    return {seq, level(known_kind)}
end
redis.call('HINCRBY', state, 'last:' .. kind, 1)
redis.call('HINCRBY', state, 'blobs:' .. kind, 1)
redis.call('HINCRBY', state, 'tokens:' .. kind, tokens)
local seq, blobs, sum = level(kind)
local at = exact(now())
put(waiting, id, kind, seq, at, tokens, payload)
if blobs == '1' then
    redis.call('ZADD', owners, 0, owner)
    redis.call('PERSIST', state)
    if redis.call('HEXISTS', state, 'flush') == 0 then
        redis.call('ZADD', due_waiting, at, kind .. ':' .. owner)
    end
end
return {seq, seq, blobs, sum}
