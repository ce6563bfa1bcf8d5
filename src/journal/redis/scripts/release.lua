-- ARGV: 3 flush, 4 token, 5 wait, 6 attempts and 7 tries to add. 1 when it was the present claim, or else 0.
local flush, kind, token = open_batch()
if flush ~= ARGV[3] or token ~= ARGV[4] then
    return 0
end
redis.call('HDEL', state, 'token')
redis.call('HINCRBY', state, 'tries', ARGV[7])
redis.call('HINCRBY', state, 'attempts', ARGV[6])
ready_at(kind, exact(now() + tonumber(ARGV[5])))
return 1
