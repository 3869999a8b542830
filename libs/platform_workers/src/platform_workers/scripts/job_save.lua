-- Write a job's hash and keep its indexes in step.
--   KEYS[1]  the job's hash
--   ARGV     domain, job id, mode ("create" | "save"), now (ms), retention (ms), log message ("" for none),
--            number of fields to set, field, value, ..., then fields to remove
--   returns  {"ok"}
--   refuses  {"exists"}: mode "create" and there is a record under this key; nothing is written
--            error KEYTAKEN: a key holds what does not belong there; nothing is written
local key = KEYS[1]
local domain, job_id, mode = ARGV[1], ARGV[2], ARGV[3]
local now, retention, message = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local pairs_end = 7 + 2 * tonumber(ARGV[7])

local old, fault = read_job(key)
if fault then
  return fault
end
if mode == 'create' and next(old) ~= nil then
  return { 'exists' }
end
local set, gone = { unpack(ARGV, 8, pairs_end) }, { unpack(ARGV, pairs_end + 1) }
note_queued(set, old.status, after(old, set, gone).status)
local move = plan_move(domain, job_id, old, after(old, set, gone), now)
fault = taken_of_move(move, message)
if fault then
  return fault
end
redis.call('HSET', key, unpack(set))
if next(old) ~= nil and gone[1] then
  redis.call('HDEL', key, unpack(gone))
end
if message ~= '' then
  log_line(key, 'info', message)
end
reindex(move, retention)
purge_finished(domain, now, retention, 4)
return { 'ok' }
