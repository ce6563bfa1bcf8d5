-- ARGV from 3: the number of buffers, kind and last sequence number of each; the number of blobs that wait; flush (or
-- ''), kind, attempts, tries and retried of the batch; then id, kind, number, instant of the append, tokens and
-- payload of each blob, first those that wait.
local at = 2
local function next()
    at = at + 1
    return ARGV[at]
end

clear()
for _ = 1, tonumber(next()) do
    local kind, last = next(), next()
    redis.call('HSET', state, 'last:' .. kind, last, 'blobs:' .. kind, 0, 'tokens:' .. kind, 0)
end
local waits = tonumber(next())
local flush, batch_kind, attempts, tries, retried = next(), next(), next(), next(), next()
if flush ~= '' then
    open_as(flush, batch_kind, exact(now()), attempts, tries, retried)
end
while at < #ARGV do
    local id, kind, seq, appended_at, tokens, payload = next(), next(), next(), next(), next(), next()
    if waits > 0 then
        waits = waits - 1
        redis.call('HINCRBY', state, 'blobs:' .. kind, 1)
        redis.call('HINCRBY', state, 'tokens:' .. kind, tokens)
        put(waiting, id, kind, seq, appended_at, tokens, payload)
    else
        put(sealed, id, kind, seq, appended_at, tokens, payload)
    end
end
index()
return 1
