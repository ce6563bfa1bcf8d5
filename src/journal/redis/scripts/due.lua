-- KEYS: 1 the buffers, 2 the batches of one shard. ARGV: 1 shift of the clock, 2 age, 3 from or '', 4 limit.
-- For either key: how many entries it gives at most, then the entries, each as member and the instant since when it is
-- due, the longest due first. It gives `limit` at least, and enough to go beyond the instant `from`.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[1])
local limit = tonumber(ARGV[4])

local function list(key, age)
    local first, count = '-inf', limit
    if ARGV[3] ~= '' then
        first = string.format('%.0f', tonumber(ARGV[3]) - age)
        count = math.max(limit, redis.call('ZCOUNT', key, first, first) + 1)
    end
    local last = string.format('%.0f', now - age)
    local found = redis.call('ZRANGEBYSCORE', key, first, last, 'WITHSCORES', 'LIMIT', 0, count)
    for i = 2, #found, 2 do
        found[i] = string.format('%.0f', tonumber(found[i]) + age)
    end
    return {count, found}
end

return {list(KEYS[1], tonumber(ARGV[2])), list(KEYS[2], 0)}
