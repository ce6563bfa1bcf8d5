-- Small steps that the scripts of one owner share, but for the append, which has to be quick.
local KINDS = {'chat', 'summary', 'doc', 'image', 'code', 'transcript'}
-- Lua hands fewer than 8000 values to a call.
local CHUNK = 1000
-- How long the numbers of an owner are kept of whom nothing else is: 90 days, in seconds.
local IDLE_RETENTION = 7776000

-- The bounds of one kind in `waiting` and `sealed`.
local function bounds(kind)
    return '[' .. kind .. ':', '(' .. kind .. ';'
end

local function ids_of(members)
    local ids = {}
    for i = 1, #members do
        ids[i] = string.match(members[i], '(%x+)$')
    end
    return ids
end

local function put(place, id, kind, seq, at, tokens, payload)
    redis.call('HSET', meta, id, kind .. ':' .. seq .. ':' .. at .. ':' .. tokens)
    redis.call('HSET', data, id, payload)
    redis.call('ZADD', place, 0, member(kind, seq, id))
end

-- Calls `act` with slices of a list.
local function in_chunks(list, act)
    for from = 1, #list, CHUNK do
        act(from, unpack(list, from, math.min(from + CHUNK - 1, #list)))
    end
end

local function forget(ids)
    in_chunks(ids, function(_, ...)
        redis.call('HDEL', meta, ...)
        redis.call('HDEL', data, ...)
    end)
end

-- Last sequence number, blobs and tokens of one buffer.
local function level(kind)
    local found = redis.call('HMGET', state, 'last:' .. kind, 'blobs:' .. kind, 'tokens:' .. kind)
    return found[1] or '0', found[2] or '0', found[3] or '0'
end

local function lower(kind, blobs, tokens)
    redis.call('HINCRBY', state, 'blobs:' .. kind, exact(0 - blobs))
    redis.call('HINCRBY', state, 'tokens:' .. kind, exact(0 - tokens))
end

-- Appends id, meta and payload of each entry of a place to `reply`.
local function read_into(reply, place)
    in_chunks(ids_of(redis.call('ZRANGE', place, 0, -1)), function(_, ...)
        local ids, metas, payloads = {...}, redis.call('HMGET', meta, ...), redis.call('HMGET', data, ...)
        for i = 1, #ids do
            reply[#reply + 1] = ids[i]
            reply[#reply + 1] = metas[i]
            reply[#reply + 1] = payloads[i]
        end
    end)
    return reply
end

-- The open batch: flush, kind, token, ready, attempts, tries, retried. Flush is false when there is none, token when
-- nobody has claimed it.
local function open_batch()
    local found = redis.call('HMGET', state, 'flush', 'kind', 'token', 'ready', 'attempts', 'tries', 'retried')
    return unpack(found)
end

local function open_as(flush, kind, ready, attempts, tries, retried)
    redis.call('HSET', state, 'flush', flush, 'kind', kind, 'ready', ready, 'attempts', attempts, 'tries', tries,
        'retried', retried)
end

-- Forgets the open batch with its blobs.
local function close_batch()
    forget(ids_of(redis.call('ZRANGE', sealed, 0, -1)))
    redis.call('DEL', sealed)
    redis.call('HDEL', state, 'flush', 'kind', 'token', 'ready', 'attempts', 'tries', 'retried')
end

-- When the batch is due next.
local function ready_at(kind, ready)
    redis.call('HSET', state, 'ready', ready)
    redis.call('ZADD', due_batches, ready, kind .. ':' .. owner)
end

-- Brings the indexes of the shard in line with what the owner holds. An open batch hides what waits behind it.
local function index()
    local flush, open_kind, _, ready = open_batch()
    local names = {}
    for i, kind in ipairs(KINDS) do
        names[i] = kind .. ':' .. owner
    end
    redis.call('ZREM', due_waiting, unpack(names))
    redis.call('ZREM', due_batches, unpack(names))
    local waits = redis.call('EXISTS', waiting) == 1
    if flush then
        redis.call('ZADD', due_batches, ready, open_kind .. ':' .. owner)
    elseif waits then
        for i, kind in ipairs(KINDS) do
            local first, last = bounds(kind)
            local oldest = redis.call('ZRANGEBYLEX', waiting, first, last, 'LIMIT', 0, 1)
            if oldest[1] then
                local _, _, at = unmeta(redis.call('HGET', meta, ids_of(oldest)[1]))
                redis.call('ZADD', due_waiting, at, names[i])
            end
        end
    end
    if flush or waits then
        redis.call('ZADD', owners, 0, owner)
        redis.call('PERSIST', state)
    else
        redis.call('ZREM', owners, owner)
        redis.call('EXPIRE', state, IDLE_RETENTION)
    end
end

-- Removes all that is held of the owner, its numbers included.
local function clear()
    redis.call('DEL', state, meta, data, waiting, sealed)
    index()
end

