-- ARGV: 3 flush, 4 new flush, 5 token or '', 6 and on: the ids that leave. 1 when it is done, 0 when there is no such
-- batch, or not under that claim.
local flush, kind, holder = open_batch()
local token = ARGV[5]
if flush ~= ARGV[3] or (token ~= '' and holder ~= token) then
    return 0
end
for i = 6, #ARGV do
    local known = redis.call('HGET', meta, ARGV[i])
    if known then
        local _, seq = unmeta(known)
        -- One that waits is left alone.
        if redis.call('ZREM', sealed, member(kind, seq, ARGV[i])) == 1 then
            forget({ARGV[i]})
        end
    end
end
if redis.call('ZCARD', sealed) == 0 then
    close_batch()
    index()
    return 1
end
redis.call('HSET', state, 'flush', ARGV[4])
-- Who held the claim loses it, unless it is the one that reseals; a wait for the next attempt goes on.
if token == '' and holder then
    redis.call('HDEL', state, 'token')
    ready_at(kind, exact(now()))
end
return 1
