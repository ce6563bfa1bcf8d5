-- ARGV: 3 flush. Nothing happens when it is not the open batch.
if redis.call('HGET', state, 'flush') == ARGV[3] then
    close_batch()
    index()
end
return 1
