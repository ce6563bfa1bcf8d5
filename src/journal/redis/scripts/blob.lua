-- ARGV: 3 id. {meta, payload}, both nil when it is not here.
return {redis.call('HGET', meta, ARGV[3]), redis.call('HGET', data, ARGV[3])}
