-- ARGV: 3 how long the tombstone stands, in milliseconds.
clear()
redis.call('SET', gone, '', 'PX', ARGV[3])
return 1
