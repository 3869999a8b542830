-- Shared part: the index sorted sets around a job's hash. Joined in front of the scripts that move a job, so that a
-- hash and its index entries change in one atomic step. It needs key_types.lua and job_buckets.lua in front of itself.
--
-- Names are built from the domain, because which status set a job leaves is known only from its hash. So all
-- keys of a domain must live on one Redis node (docs/adr/0002).
--
--   <d>:jobs:all                               every job
--   <d>:jobs:[status:<s>][:type:<t>][:user:<u>]
--       the jobs with this status, job type and user id, for each of the seven ways to name one, two or all three
--       of them in this order: `status:failed`, `type:csv.row_count:user:7`, ... (docs/adr/0007)
--   All of these have score = created (ms), of the record's created_at as it was first stored.
--   <d>:jobs:types               every job type that has a job
--   <d>:jobs:finished            "<job id> <job type> <user id>", score = finished (ms); drives expiry and sweeps
--   <d>:jobs:leases:<queue>      running jobs under a lease, score = lease ends (ms); the workers of that queue
--                                look after it
--   platform:domains             every domain that has a job

local FINAL = { completed = true, failed = true, cancelled = true }

local function jobs_key(domain, name)
  return domain .. ':jobs:' .. name
end

-- Fields of the hash as a table, empty when there is no hash; and why it can't be read, if it can't.
local function read_job(key)
  local flat = redis.pcall('HGETALL', key)
  if flat.err then
    return {}, taken('hash', { key }) or flat
  end
  local job = {}
  for i = 1, #flat, 2 do
    job[flat[i]] = flat[i + 1]
  end
  return job
end

-- The fields of a job after `set` (field, value, ...) was written and the fields `gone` were removed: what read_job
-- would find, without asking.
local function after(old, set, gone)
  local new = {}
  for field, value in pairs(old) do
    new[field] = value
  end
  for i = 1, #set, 2 do
    new[set[i]] = set[i + 1]
  end
  for _, field in ipairs(gone) do
    new[field] = nil
  end
  return new
end

-- The job type and the user id as parts of index names; nil for what can't be one (a team's own words): a colon
-- would make a name that belongs to other jobs.
local function index_words(job)
  return string.match(job.job_type or '', '^[^%s:]+$'), string.match(job.user_id or '', '^%-?%d+$')
end

-- The index sets of the jobs of one type and user (nil for a job without) in one status, or (nil) in any.
local function sets_of(domain, status, job_type, user_id)
  local whole = jobs_key(domain, status and 'status:' .. status or 'all')
  local head = status and whole .. ':' or jobs_key(domain, '')
  local names = { whole }
  if job_type then
    names[#names + 1] = head .. 'type:' .. job_type
  end
  if user_id then
    names[#names + 1] = head .. 'user:' .. user_id
  end
  if job_type and user_id then
    names[#names + 1] = head .. 'type:' .. job_type .. ':user:' .. user_id
  end
  return names
end

local function enter(job_id, names, score)
  for _, name in ipairs(names) do
    redis.call('ZADD', name, 'NX', score, job_id)
  end
end

local function leave(job_id, names)
  for _, name in ipairs(names) do
    redis.call('ZREM', name, job_id)
  end
end

-- Forget a job type when its last job has gone.
local function tidy_types(domain, job_type)
  if job_type and redis.call('EXISTS', jobs_key(domain, 'type:' .. job_type)) == 0 then
    redis.call('SREM', jobs_key(domain, 'types'), job_type)
  end
end

-- What the finished set remembers, so that expiry can clean the indexes after the hash itself is gone.
local function finished_member(job_id, job)
  local job_type, user_id = index_words(job)
  return job_id .. ' ' .. (job_type or '-') .. ' ' .. (user_id or '-')
end

local function leases_key(domain, job)
  return jobs_key(domain, 'leases:' .. (job.queue or ''))
end

-- Remove a job that has ended from every index.
local function leave_all(domain, job_id, job_type, user_id)
  leave(job_id, sets_of(domain, nil, job_type, user_id))
  for status in pairs(FINAL) do
    if redis.call('ZREM', jobs_key(domain, 'status:' .. status), job_id) == 1 then
      leave(job_id, sets_of(domain, status, job_type, user_id))
    end
  end
  tidy_types(domain, job_type)
end

-- The record that is there under the id of an expired job, if it is another job's: an id can come again (a team's
-- own, or that of an idempotency key).
local function successor(domain, job_id, member)
  local values = redis.call('HMGET', domain .. ':job:' .. job_id, 'status', 'job_type', 'user_id')
  local record = { status = values[1] or nil, job_type = values[2] or nil, user_id = values[3] or nil }
  if record.status and not (FINAL[record.status] and finished_member(job_id, record) == member) then
    return record
  end
  return nil
end

-- Of the old job's entries remove those that are not the other job's too.
local function leave_to(domain, job_id, record, job_type, user_id)
  local own_type, own_user = index_words(record)
  for _, status in ipairs({ 'completed', 'failed', 'cancelled', 'none' }) do
    local own = {}
    for _, name in ipairs(sets_of(domain, record.status == status and status or nil, own_type, own_user)) do
      own[name] = true
    end
    for _, name in ipairs(sets_of(domain, FINAL[status] and status or nil, job_type, user_id)) do
      if not own[name] then
        redis.call('ZREM', name, job_id)
      end
    end
  end
  tidy_types(domain, job_type)
end

-- Remove one finished job from every index, with hash and log. `member` is its entry in the finished set.
local function forget(domain, member)
  redis.call('ZREM', jobs_key(domain, 'finished'), member)
  local job_id, job_type, user_id = string.match(member, '^(%S+) (%S+) (%S+)$')
  if not job_id then
    return
  end
  local record = successor(domain, job_id, member)
  if record then
    leave_to(domain, job_id, record, job_type, user_id)
  else
    leave_all(domain, job_id, job_type, user_id)
    redis.call('DEL', domain .. ':job:' .. job_id, domain .. ':job:' .. job_id .. ':log')
  end
end

-- Remove up to `limit` jobs that finished more than `retention` (ms) ago from every index, with hash and log.
-- Of the caller's clock and the server's the earlier one counts: one that is ahead must not remove fresh jobs.
-- This comes after a step, which must not be told as refused any more: what can't be removed is passed over.
local function purge_finished(domain, now, retention, limit)
  local finished = jobs_key(domain, 'finished')
  local before = math.min(now, tonumber(redis.call('TIME')[1]) * 1000 + 999) - retention
  local members = redis.pcall('ZRANGEBYSCORE', finished, '-inf', '(' .. before, 'LIMIT', 0, limit)
  for _, member in ipairs(members) do
    pcall(forget, domain, member)
  end
  return #members
end

-- Remove up to `limit` of the oldest finished jobs whose hash has expired already from every index. For who reads:
-- it knows no retention, takes nothing away that is still there, and keeps nobody from reading.
local function purge_expired(domain, limit)
  for _ = 1, limit do
    local member = redis.pcall('ZRANGE', jobs_key(domain, 'finished'), 0, 0)[1]
    if not member or redis.call('EXISTS', domain .. ':job:' .. string.match(member, '^%S*')) == 1 then
      return
    end
    pcall(forget, domain, member)
  end
end

local function append(list, more)
  for _, item in ipairs(more) do
    list[#list + 1] = item
  end
end

-- Note in `set` (field, value, ...) when a job enters the queue, going from the status `old` to `new`.
local function note_queued(set, old, new)
  if new == 'queued' and old ~= 'queued' then
    append(set, { 'queued_ms', server_millis() })
  end
end

-- What there is to do in the indexes when a job goes from the state `old` (empty for a new job) to the state `new`.
-- Nothing is written yet, so that every key can be looked at before.
local function plan_move(domain, job_id, old, new, now)
  local job_type, user_id = index_words(new)
  local old_type, old_user = index_words(old)
  local renamed = old_type ~= job_type or old_user ~= user_id
  local move = { domain = domain, job_id = job_id, old = old, new = new, now = now, leave = {}, enter = {} }
  local score = redis.pcall('ZSCORE', jobs_key(domain, 'all'), job_id)
  if type(score) == 'table' then
    -- Something else lies there: the job is to enter it, and so the key is looked at.
    score = nil
  end
  if score and not old.status then
    -- What an expired record under the same id has left: this is another job.
    for status in pairs(FINAL) do
      append(move.leave, sets_of(domain, status, job_type, user_id))
    end
    append(move.leave, sets_of(domain, nil, job_type, user_id))
    move.unfinish = finished_member(job_id, new)
    score = nil
  elseif score and (renamed or old.status ~= new.status) then
    append(move.leave, sets_of(domain, old.status, old_type, old_user))
    if renamed then
      append(move.leave, sets_of(domain, nil, old_type, old_user))
      move.left_type = old_type
    end
  end
  if not score or renamed then
    append(move.enter, sets_of(domain, nil, job_type, user_id))
    move.is_new, move.job_type = true, job_type
  end
  append(move.enter, sets_of(domain, new.status, job_type, user_id))
  if FINAL[old.status] and (renamed or not FINAL[new.status]) then
    move.unfinish = finished_member(job_id, old)
  end
  if FINAL[new.status] then
    move.finish = finished_member(job_id, new)
  end
  -- A record of another team may lack its time, or write it in its own way: then it is as old as its index.
  move.score = score or string.format('%.0f', millis_of(new.created_at) or now)
  return move
end

-- The error that names the first key of a move, and of its line in the job's log if it has one, which holds what does
-- not belong there; nil if there is none.
local function taken_of_move(move, message)
  local domain, beside, streams = move.domain, {}, {}
  if move.finish or move.unfinish then
    beside[1] = jobs_key(domain, 'finished')
    beside[2] = leases_key(domain, move.new)
  end
  if message ~= '' then
    streams[1] = domain .. ':job:' .. move.job_id .. ':log'
  end
  return taken('zset', move.leave) or taken('zset', move.enter) or taken('zset', beside)
    or taken('hash', bucket_keys(domain, move.now)) or taken('stream', streams)
    or move.is_new and taken('set', { 'platform:domains', jobs_key(domain, 'types') })
end

-- Carry a move out, in the indexes and the counts. A job reaching an outcome gets its expiry (after `retention` ms)
-- here and nowhere else, and a job that goes on after one loses it.
local function reindex(move, retention)
  local domain, job_id, old, new = move.domain, move.job_id, move.old, move.new
  leave(job_id, move.leave)
  tidy_types(domain, move.left_type)
  enter(job_id, move.enter, move.score)
  if move.is_new then
    redis.call('SADD', 'platform:domains', domain)
    if move.job_type then
      redis.call('SADD', jobs_key(domain, 'types'), move.job_type)
    end
  end
  count_move(domain, old, new, move.now)
  local key = domain .. ':job:' .. job_id
  if move.unfinish then
    redis.call('ZREM', jobs_key(domain, 'finished'), move.unfinish)
  end
  if move.finish then
    redis.call('ZREM', leases_key(domain, new), job_id)
    redis.call('ZADD', jobs_key(domain, 'finished'), 'NX', move.now, move.finish)
    redis.call('PEXPIRE', key, retention)
    redis.call('PEXPIRE', key .. ':log', retention)
  elseif FINAL[old.status] then
    redis.call('PERSIST', key)
    redis.call('PERSIST', key .. ':log')
  end
end

-- Append one line to the job's bounded log. One that takes no more lines (its ids have come to their end) stays as it
-- is: a line is not worth a step.
local function log_line(key, level, message)
  local log = key .. ':log'
  redis.pcall('XADD', log, 'MAXLEN', 200, '*', 'level', level, 'message', message)
  if redis.call('XLEN', log) == 1 then
    -- The server sets 4 KB aside for the first entry of a stream. A copy takes what it needs, and then grows with
    -- its entries.
    redis.call('COPY', log, log .. ':copy', 'REPLACE')
    redis.call('RENAME', log .. ':copy', log)
  end
end
