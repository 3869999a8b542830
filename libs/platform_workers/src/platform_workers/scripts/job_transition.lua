-- Move a job one step: record, indexes, job log, durable log and channel, all or nothing.
--   KEYS[1]  the job's hash            KEYS[2]  the domain's durable log (stream)
--   ARGV     domain, job id, step, now (ms), retention (ms), guard, transition id, event JSON ("" for none),
--            channel, durable log's length, log level, log message ("" for none),
--            number of fields to set, field, value, ..., then fields to remove
--   step     started | progress | completed | failed | retried | renewed | cancelled | rerun
--            (which one follows from which status: NEXT below; docs/job-lifecycle.md shows it)
--   guard    "lease:<token>"     the record's lease must be this one ("lease:" alone: it must have none)
--            "attempt:<run>:<n>" the record must wait for attempt n of this run
--            "expired"           the record's lease must have run out before now
--            "run:<n>"           the record must be in this run
--            "anyone"            whoever holds the lease
--   Three fields are special: `attempt_count` with value "+1" counts up; `started_at` stays as the first attempt
--   set it; `locked_until_ms` sets the lease's end in the leases set (not in the hash), "0" takes it away.
--   returns  {"ok", status, attempt count, run}; also for a repeat of the transition id last applied
--   refuses  {"missing"}, {"final", status}, {"invalid", status}, {"lease", status}, {"stale", status};
--            nothing is written
local key, events_log = KEYS[1], KEYS[2]
local domain, job_id, step = ARGV[1], ARGV[2], ARGV[3]
local now, retention = tonumber(ARGV[4]), tonumber(ARGV[5])
local guard, transition_id, event, channel = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local log_length, level, message = ARGV[10], ARGV[11], ARGV[12]
local pairs_end = 13 + 2 * tonumber(ARGV[13])

local NEXT = {
  started = { queued = 'processing' },
  progress = { processing = 'processing' },
  renewed = { processing = 'processing' },
  completed = { processing = 'completed' },
  failed = { processing = 'failed', queued = 'failed' },
  retried = { processing = 'queued' },
  cancelled = { queued = 'cancelled', processing = 'cancelled' },
  rerun = { failed = 'queued', cancelled = 'queued' },
}

local old = read_job(key)
local status = old.status
if not status then
  return { 'missing' }
end
if old.transition_id == transition_id then
  -- The vendor's client sent the script again after a broken connection: it was applied the first time.
  return { 'ok', status, old.attempt_count or '0', old.run or '1' }
end
local next_status = NEXT[step][status]
if FINAL[status] and not next_status then
  return { 'final', status }
end
local leases = leases_key(domain, old)
if string.sub(guard, 1, 6) == 'lease:' then
  if (old.locked_by or '') ~= string.sub(guard, 7) then
    return { 'lease', status }
  end
elseif string.sub(guard, 1, 8) == 'attempt:' then
  local expected = 'attempt:' .. (old.run or '1') .. ':' .. (tonumber(old.attempt_count or '0') + 1)
  if guard ~= expected then
    return { 'stale', status }
  end
elseif string.sub(guard, 1, 4) == 'run:' then
  if (old.run or '1') ~= string.sub(guard, 5) then
    return { 'stale', status }
  end
elseif guard ~= 'anyone' then
  local ends = redis.call('ZSCORE', leases, job_id)
  if not ends or tonumber(ends) >= now then
    return { 'lease', status }
  end
end
if not next_status then
  return { 'invalid', status }
end

local set = { 'status', next_status, 'transition_id', transition_id }
for i = 14, pairs_end, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if field == 'attempt_count' and value == '+1' then
    value = tostring(tonumber(old.attempt_count or '0') + 1)
  end
  if field == 'started_at' and old.started_at then
    value = old.started_at
  end
  if field == 'locked_until_ms' then
    if value == '0' then
      redis.call('ZREM', leases, job_id)
    else
      redis.call('ZADD', leases, value, job_id)
    end
  else
    set[#set + 1] = field
    set[#set + 1] = value
  end
end
redis.call('HSET', key, unpack(set))
local gone = { unpack(ARGV, pairs_end + 1) }
if gone[1] then
  redis.call('HDEL', key, unpack(gone))
end
if message ~= '' then
  log_line(key, level, message)
end
local new = after(old, set, gone)
if next_status ~= status then
  reindex(domain, job_id, old, new, now, retention)
end
if event ~= '' then
  if step ~= 'progress' then
    -- Progress is live only: it must never push an outcome out of the bounded log.
    local entry = { 'event', event, 'run', new.run or '1' }
    if step == 'cancelled' then
      -- V1 has no event for it. Who reads this late may find the record in its next run already.
      entry[5], entry[6] = 'cancelled', '1'
    end
    redis.call('XADD', events_log, 'MAXLEN', '~', log_length, '*', unpack(entry))
  end
  redis.call('PUBLISH', channel, event)
end
if FINAL[next_status] then
  -- Last of all: whatever lies in the index of old jobs must not come between a record and its event.
  purge_finished(domain, now, retention, 4)
end
return { 'ok', next_status, new.attempt_count or '0', new.run or '1' }
