-- Make a delivery's record if there is none: the one idempotent step of the intake.
--   KEYS[1]  the record                     KEYS[2]  the channel's due set
--   KEYS[3]  the deliveries of the job (sorted by when they were made)
--   ARGV     delivery id, now (ms), retention (ms), due (ms, "" for a skipped one), field, value, ...
--   returns  {"added"}
--   refuses  {"known"}: there is a record; nothing is written
local record, due_set, of_job = KEYS[1], KEYS[2], KEYS[3]
local id, now, retention, due = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('EXISTS', record) == 1 then
  return { 'known' }
end
for i = 5, #ARGV, 2 do
  redis.call('HSET', record, ARGV[i], ARGV[i + 1])
end
redis.call('ZADD', of_job, now, id)
redis.call('PEXPIRE', of_job, retention)
if due == '' then
  redis.call('PEXPIRE', record, retention)
else
  redis.call('ZADD', due_set, due, id)
end
return { 'added' }
