-- ARGV: 3 kind, 4 flush, 5 token, 6 lease, 7 most tokens, 8 most blobs, 9 ignore_backoff ('1' or '0').
-- {'batch', flush, kind, attempts, tries, retried, last, blobs, tokens, then id, meta and payload of each blob},
-- {'busy', microseconds} or {'empty', last, blobs, tokens}.
local token, max_tokens, max_blobs = ARGV[5], tonumber(ARGV[7]), tonumber(ARGV[8])
local now = now()
local until_then = exact(now + tonumber(ARGV[6]))

-- Moves the longest prefix that fits, its first blob in any case.
local function seal(kind)
    local first, last = bounds(kind)
    local blobs, tokens = 0, 0
    repeat
        local members = redis.call('ZRANGEBYLEX', waiting, first, last, 'LIMIT', 0, CHUNK)
        if #members == 0 then
            break
        end
        local metas = redis.call('HMGET', meta, unpack(ids_of(members)))
        local moved, scored = {}, {}
        for i = 1, #members do
            local _, _, _, more = unmeta(metas[i])
            more = tonumber(more)
            if blobs > 0 and (blobs >= max_blobs or tokens + more > max_tokens) then
                break
            end
            blobs, tokens = blobs + 1, tokens + more
            moved[i] = members[i]
            scored[2 * i - 1], scored[2 * i] = 0, members[i]
        end
        if #moved > 0 then
            redis.call('ZREM', waiting, unpack(moved))
            redis.call('ZADD', sealed, unpack(scored))
        end
    until #moved < CHUNK
    if blobs > 0 then
        lower(kind, blobs, tokens)
    end
    return blobs > 0
end

local flush, kind, holder, ready, attempts, tries, retried = open_batch()
if flush then
    local waived = not holder and ARGV[9] == '1'
    if tonumber(ready) > now and holder ~= token and not waived then
        return {'busy', exact(tonumber(ready) - now)}
    end
    redis.call('HSET', state, 'token', token)
    ready_at(kind, until_then)
else
    flush, kind, attempts, tries, retried = ARGV[4], ARGV[3], '0', '0', '0'
    if not seal(kind) then
        return {'empty', level(kind)}
    end
    open_as(flush, kind, until_then, attempts, tries, retried)
    redis.call('HSET', state, 'token', token)
    index()
end
return read_into({'batch', flush, kind, attempts, tries, retried, level(kind)}, sealed)
