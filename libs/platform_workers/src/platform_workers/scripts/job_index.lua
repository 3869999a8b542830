-- Shared part: the index sorted sets and counters around a job's hash. Joined in front of the scripts that
-- move a job, so that a hash and its index entries change in one atomic step.
--
-- Names are built from the domain, because which status set a job leaves is known only from its hash. So all
-- keys of a domain must live on one Redis node (docs/adr/0002).
--
--   <d>:jobs:all                 every job, score = created (ms)
--   <d>:jobs:status:<status>     by status, score = created (ms)
--   <d>:jobs:type:<job type>     by job type, score = created (ms)
--   <d>:jobs:user:<user id>      by user, score = created (ms)
--   <d>:jobs:finished            "<job id> <job type> <user id>", score = finished (ms); drives expiry and sweeps
--   <d>:jobs:leases:<queue>      running jobs under a lease, score = lease ends (ms); the workers of that queue
--                                look after it
--   <d>:jobs:totals              counters since ever: <status reached>, <status reached>:<job type>
--   platform:domains             every domain that has a job

local FINAL = { completed = true, failed = true, cancelled = true }

local function jobs_key(domain, name)
  return domain .. ':jobs:' .. name
end

-- Fields of the hash as a table; empty when there is no hash.
local function read_job(key)
  local flat = redis.call('HGETALL', key)
  local job = {}
  for i = 1, #flat, 2 do
    job[flat[i]] = flat[i + 1]
  end
  return job
end

-- What the finished set remembers, so that expiry can clean the indexes after the hash itself is gone.
local function finished_member(job_id, job)
  local function word(text)
    return string.match(text or '', '^%S+$') or '-'
  end
  return job_id .. ' ' .. word(job.job_type) .. ' ' .. word(job.user_id)
end

local function index_job(domain, job_id, job, score)
  redis.call('SADD', 'platform:domains', domain)
  redis.call('ZADD', jobs_key(domain, 'all'), 'NX', score, job_id)
  redis.call('ZADD', jobs_key(domain, 'status:' .. job.status), score, job_id)
  if job.job_type then
    redis.call('ZADD', jobs_key(domain, 'type:' .. job.job_type), 'NX', score, job_id)
  end
  if job.user_id then
    redis.call('ZADD', jobs_key(domain, 'user:' .. job.user_id), 'NX', score, job_id)
  end
end

local function count(domain, job, status)
  redis.call('HINCRBY', jobs_key(domain, 'totals'), status, 1)
  if job.job_type then
    redis.call('HINCRBY', jobs_key(domain, 'totals'), status .. ':' .. job.job_type, 1)
  end
end

local function leases_key(domain, job)
  return jobs_key(domain, 'leases:' .. (job.queue or ''))
end

-- Remove up to `limit` jobs that finished more than `retention` (ms) ago from every index, with hash and log.
-- Of the caller's clock and the server's the earlier one counts: one that is ahead must not remove fresh jobs.
local function purge_finished(domain, now, retention, limit)
  local finished = jobs_key(domain, 'finished')
  local before = math.min(now, tonumber(redis.call('TIME')[1]) * 1000 + 999) - retention
  local members = redis.call('ZRANGEBYSCORE', finished, '-inf', '(' .. before, 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    local job_id, job_type, user_id = string.match(member, '^(%S+) (%S+) (%S+)$')
    redis.call('ZREM', finished, member)
    if job_id then
      redis.call('ZREM', jobs_key(domain, 'all'), job_id)
      for status in pairs(FINAL) do
        redis.call('ZREM', jobs_key(domain, 'status:' .. status), job_id)
      end
      redis.call('ZREM', jobs_key(domain, 'type:' .. job_type), job_id)
      redis.call('ZREM', jobs_key(domain, 'user:' .. user_id), job_id)
      redis.call('DEL', domain .. ':job:' .. job_id, domain .. ':job:' .. job_id .. ':log')
    end
  end
  return #members
end

-- Bring the indexes from the state `old` to the state `new` of one job.
--   now, retention: milliseconds. A job reaching an outcome gets its expiry here and nowhere else.
local function reindex(domain, job_id, old, new, now, retention)
  local score = redis.call('ZSCORE', jobs_key(domain, 'all'), job_id) or now
  if old.status and old.status ~= new.status then
    redis.call('ZREM', jobs_key(domain, 'status:' .. old.status), job_id)
  end
  index_job(domain, job_id, new, score)
  if old.status ~= new.status then
    count(domain, new, new.status)
  end
  local key = domain .. ':job:' .. job_id
  if FINAL[new.status] then
    redis.call('ZREM', leases_key(domain, new), job_id)
    redis.call('ZADD', jobs_key(domain, 'finished'), 'NX', now, finished_member(job_id, new))
    redis.call('PEXPIRE', key, retention)
    redis.call('PEXPIRE', key .. ':log', retention)
  else
    redis.call('ZREM', jobs_key(domain, 'finished'), finished_member(job_id, new))
    redis.call('PERSIST', key)
    redis.call('PERSIST', key .. ':log')
  end
end

-- Append one line to the job's bounded log.
local function log_line(key, level, message)
  redis.call('XADD', key .. ':log', 'MAXLEN', 200, '*', 'level', level, 'message', message)
end
