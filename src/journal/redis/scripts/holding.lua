-- {all fields of the state with their values in turn, what waits, what is sealed}, the last two as id, meta and
-- payload in turn.
return {redis.call('HGETALL', state), read_into({}, waiting), read_into({}, sealed)}
