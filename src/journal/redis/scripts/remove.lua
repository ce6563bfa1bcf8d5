-- ARGV: 3 id. {'waiting', kind, last, blobs, tokens}, {'sealed', flush} or {'unknown'}.
local id = ARGV[3]
local known = redis.call('HGET', meta, id)
if not known then
    return {'unknown'}
end
local kind, seq, _, tokens = unmeta(known)
if redis.call('ZREM', waiting, member(kind, seq, id)) == 0 then
    return {'sealed', redis.call('HGET', state, 'flush')}
end
forget({id})
lower(kind, 1, tonumber(tokens))
index()
return {'waiting', kind, level(kind)}
