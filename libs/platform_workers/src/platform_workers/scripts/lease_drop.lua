-- Take away a lease that has run out and under which nobody runs the job.
--   KEYS[1]  the leases of a queue     KEYS[2]  the job's hash
--   ARGV     job id, the queue's name, now (ms)
--   returns  {"dropped"}
--   refuses  {"kept"}: it was renewed meanwhile, or the job runs under it and has to be settled; nothing is written
local leases, key = KEYS[1], KEYS[2]
local job_id, queue, now = ARGV[1], ARGV[2], tonumber(ARGV[3])

local ends = redis.call('ZSCORE', leases, job_id)
if ends and tonumber(ends) >= now then
  return { 'kept' }
end
-- Something else than a hash is no record: nobody can settle that.
local values = redis.pcall('HMGET', key, 'status', 'queue')
if values[1] == 'processing' and (values[2] or '') == queue then
  return { 'kept' }
end
redis.call('ZREM', leases, job_id)
return { 'dropped' }
