-- Append one line of a handler to its job's log.
--   KEYS[1]  the job's hash
--   ARGV     lease ("" for a job that runs under none), level, message
--   returns  {"ok"}
--   refuses  {"missing"}, {"lease", status}; error KEYTAKEN: a key holds what does not belong there.
--            Nothing is written
local key = KEYS[1]
local fault = taken('hash', { key }) or taken('stream', { key .. ':log' })
if fault then
  return fault
end
local status, locked_by = unpack(redis.call('HMGET', key, 'status', 'locked_by'))
if not status then
  return { 'missing' }
end
if (locked_by or '') ~= ARGV[1] then
  return { 'lease', status }
end
log_line(key, ARGV[2], ARGV[3])
local left = redis.call('PTTL', key)
if left > 0 then
  -- The job has its outcome: the log must not outlive the record.
  redis.call('PEXPIRE', key .. ':log', left)
end
return { 'ok' }
