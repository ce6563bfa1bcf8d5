-- What all scripts of one owner begin with: the names of the keys, and how entries are written. KEYS and the first two of
-- ARGV are the same for all of them. The keys are described in mod.rs.
local state, meta, data, waiting, sealed, gone, due_waiting, due_batches, owners = unpack(KEYS)
local owner, clock_shift = ARGV[1], tonumber(ARGV[2])

-- Numbers turn into text with 14 digits by themselves, and instants have 16.
local function exact(number)
    return string.format('%.0f', number)
end

-- Microseconds since 1970.
local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2]) + clock_shift
end

local function member(kind, seq, id)
    return kind .. ':' .. string.rep('0', 20 - #seq) .. seq .. ':' .. id
end

-- Kind, sequence number, instant of the append and tokens, all as text.
local function unmeta(text)
    local kind, seq, at, tokens = string.match(text, '^(%l+):(%d+):(-?%d+):(%d+)$')
    assert(kind, 'unreadable entry')
    return kind, seq, at, tokens
end

