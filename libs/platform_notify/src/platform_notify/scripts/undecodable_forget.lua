-- Forget one message that was kept for the operator; what was kept meanwhile stays.
--   KEYS[1]  the list
--   ARGV     the message as it is kept
--   returns  {how many were forgotten}
return { tostring(redis.call('LREM', KEYS[1], -1, ARGV[1])) }
