-- ARGV: 3 id, 4 kind, 5 tokens, 6 payload. Nil when the owner is gone, or else the number and the level. The most frequent
-- step by far, so it makes as few calls as it can.
local id, kind, tokens, payload = ARGV[3], ARGV[4], ARGV[5], ARGV[6]
if redis.call('EXISTS', gone) == 1 then
    return false
end
local function level(of)
    return redis.call('HMGET', state, 'last:' .. of, 'blobs:' .. of, 'tokens:' .. of, 'flush')
end
local found = level(kind)
local seq, at = exact((tonumber(found[1]) or 0) + 1), exact(now())
if redis.call('HSETNX', meta, id, kind .. ':' .. seq .. ':' .. at .. ':' .. tokens) == 0 then
    local known_kind, known_seq = unmeta(redis.call('HGET', meta, id))
    found = level(known_kind)
    return {known_seq, found[1] or '0', found[2] or '0', found[3] or '0'}
end
local blobs, sum = exact((tonumber(found[2]) or 0) + 1), exact((tonumber(found[3]) or 0) + tonumber(tokens))
redis.call('HSET', state, 'last:' .. kind, seq, 'blobs:' .. kind, blobs, 'tokens:' .. kind, sum)
redis.call('HSET', data, id, payload)
redis.call('ZADD', waiting, 0, member(kind, seq, id))
if blobs == '1' then
    redis.call('ZADD', owners, 0, owner)
    redis.call('PERSIST', state)
    if not found[4] then
        redis.call('ZADD', due_waiting, at, kind .. ':' .. owner)
    end
end
return {seq, seq, blobs, sum}
