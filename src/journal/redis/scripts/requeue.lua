-- ARGV: 3 flush, 4 kind, then id, tokens, instant of the append and payload of each blob. 'gone', 'queued' or 'busy'.
if redis.call('EXISTS', gone) == 1 then
    return 'gone'
end
for i = 5, #ARGV, 4 do
    if redis.call('HEXISTS', meta, ARGV[i]) == 1 then
        return 'queued'
    end
end
if redis.call('HEXISTS', state, 'flush') == 1 then
    return 'busy'
end
for i = 5, #ARGV, 4 do
    put(sealed, ARGV[i], ARGV[4], exact((i - 1) / 4), ARGV[i + 2], ARGV[i + 1], ARGV[i + 3])
end
open_as(ARGV[3], ARGV[4], exact(now()), '0', '0', '1')
index()
return 'queued'
