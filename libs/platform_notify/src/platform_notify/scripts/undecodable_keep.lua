-- Keep one message that was passed over for the operator, newest first, and only so many.
--   KEYS[1]  the list
--   ARGV     the message as JSON, how many to keep, for how long (ms)
--   returns  {how many are kept}
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { tostring(redis.call('LLEN', KEYS[1])) }
