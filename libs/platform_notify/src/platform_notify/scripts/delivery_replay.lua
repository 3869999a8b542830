-- Bring one dead delivery back: due at once, its attempts counted anew. With a digest comes all that was gathered
-- into it. The lists of their jobs' deliveries are kept anew, or they would expire while it waits.
--   KEYS[1]  the record    KEYS[2]  the channel's due set    KEYS[3]  the channel's dead set
--   KEYS[4]  the list of what was gathered into it; empty if it is no digest
--   ARGV     delivery id, now (ms), now (ISO), when it had died (ISO), all its replays with this one (JSON),
--            prefix of the records' keys, prefix of the keys of jobs' deliveries, retention (ms)
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

local function keep_in_job(its_record, its_id)
  local found = redis.call('HMGET', its_record, 'domain', 'job_id')
  -- A record that a person broke must not end the script in the middle.
  if found[1] and found[2] then
    local of_job = ARGV[7] .. found[1] .. ':' .. found[2]
    redis.call('ZADD', of_job, 'NX', ARGV[2], its_id)
    redis.call('PEXPIRE', of_job, ARGV[8])
  end
end

if redis.call('HEXISTS', record, 'gathered') == 0 then
  keep_in_job(record, id)
end
for _, member in ipairs(redis.call('LRANGE', KEYS[4], 0, -1)) do
  local its_record = ARGV[6] .. member
  if redis.call('EXISTS', its_record) == 1 then
    redis.call('HSET', its_record, 'state', 'gathered', 'detail', '')
    redis.call('HDEL', its_record, 'settled_at')
    redis.call('PERSIST', its_record)
    keep_in_job(its_record, member)
  end
end
redis.call('PERSIST', KEYS[4])
redis.call('ZREM', KEYS[3], id)
redis.call('ZADD', KEYS[2], ARGV[2], id)
return { 'replayed' }
