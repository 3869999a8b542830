-- Bring one dead delivery back: due at once, its attempts counted anew.
--   KEYS[1]  the record    KEYS[2]  the channel's due set    KEYS[3]  the channel's dead set
--   ARGV     delivery id, now (ms), now (ISO), when it had died (ISO), all its replays with this one (JSON)
--   returns  {"replayed"}
--   refuses  {"not dead"}: it is not dead, or not since then; nothing is written
local record, id = KEYS[1], ARGV[1]
local found = redis.call('HMGET', record, 'state', 'settled_at', 'unsure')
if found[1] ~= 'dead' or found[2] ~= ARGV[4] then
  return { 'not dead' }
end
redis.call('HSET', record, 'state', 'waiting', 'due_at', ARGV[3], 'replays', ARGV[5], 'detail', '')
redis.call('HDEL', record, 'settled_at', 'attempt', 'first_attempt_at')
if found[3] then
  -- A person has decided: it is sent even if it may have been delivered.
  redis.call('HSET', record, 'unsure', 'send_anyway')
end
redis.call('PERSIST', record)
redis.call('ZREM', KEYS[3], id)
redis.call('ZADD', KEYS[2], ARGV[2], id)
return { 'replayed' }
