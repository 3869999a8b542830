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
--            error KEYTAKEN: a key holds what does not belong there; error NOPERM: this Redis user may not publish.
--            Nothing is written. Whatever may fail has to stand before the first write, or be passed over
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

-- A whole number out of the record; `other` where another program wrote something else.
local function whole(text, other)
  return text and #text < 16 and string.match(text, '^%d+$') or other
end

local old, fault = read_job(key)
if fault then
  return fault
end
local attempts, run = whole(old.attempt_count, '0'), whole(old.run, '1')
local status = old.status
if not status then
  return { 'missing' }
end
if old.transition_id == transition_id then
  -- The vendor's client sent the script again after a broken connection: it was applied the first time.
  return { 'ok', status, attempts, run }
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
  local expected = 'attempt:' .. run .. ':' .. (tonumber(attempts) + 1)
  if guard ~= expected then
    return { 'stale', status }
  end
elseif string.sub(guard, 1, 4) == 'run:' then
  if run ~= string.sub(guard, 5) then
    return { 'stale', status }
  end
elseif guard ~= 'anyone' then
  fault = taken('zset', { leases })
  if fault then
    return fault
  end
  local ends = redis.call('ZSCORE', leases, job_id)
  if not ends or tonumber(ends) >= now then
    return { 'lease', status }
  end
end
if not next_status then
  return { 'invalid', status }
end

local set, lease_ends = { 'status', next_status, 'transition_id', transition_id }, nil
for i = 14, pairs_end, 2 do
  local field, value = ARGV[i], ARGV[i + 1]
  if field == 'attempt_count' and value == '+1' then
    value = string.format('%.0f', tonumber(attempts) + 1)
  end
  if field == 'started_at' and old.started_at then
    value = old.started_at
  end
  if field == 'locked_until_ms' then
    lease_ends = value
  else
    set[#set + 1] = field
    set[#set + 1] = value
  end
end
note_queued(set, status, next_status)
local gone = { unpack(ARGV, pairs_end + 1) }
local new = after(old, set, gone)
attempts, run = whole(new.attempt_count, '0'), whole(new.run, '1')
local move = next_status ~= status and plan_move(domain, job_id, old, new, now)
if move then
  fault = taken_of_move(move, message)
elseif message ~= '' then
  fault = taken('stream', { key .. ':log' })
end
fault = fault or lease_ends and taken('zset', { leases })
if fault then
  return fault
end
if event ~= '' and redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', channel, '') then
  return redis.error_reply('NOPERM this Redis user may not publish to ' .. channel)
end

if event ~= '' and step ~= 'progress' then
  -- Progress is live only: it must never push an outcome out of the bounded log.
  local entry = { 'event', event, 'run', run }
  if step == 'cancelled' then
    -- V1 has no event for it. Who reads this late may find the record in its next run already.
    entry[5], entry[6] = 'cancelled', '1'
  end
  -- The first write: a log may refuse for a reason that its type does not tell (its ids have come to their end).
  local added = redis.pcall('XADD', events_log, 'MAXLEN', '~', log_length, '*', unpack(entry))
  if type(added) == 'table' and added.err then
    return taken('stream', { events_log }) or string.find(tostring(added.err), 'exhausted')
      and redis.error_reply('KEYTAKEN ' .. events_log .. ' takes no entry any more: its ids have come to their end') or added
  end
end
redis.call('HSET', key, unpack(set))
if gone[1] then
  redis.call('HDEL', key, unpack(gone))
end
if lease_ends == '0' then
  redis.call('ZREM', leases, job_id)
elseif lease_ends then
  redis.call('ZADD', leases, lease_ends, job_id)
end
if message ~= '' then
  log_line(key, level, message)
end
if move then
  reindex(move, retention)
end
if event ~= '' then
  redis.call('PUBLISH', channel, event)
end
if FINAL[next_status] then
  -- Last of all: whatever lies in the index of old jobs must not come between a record and its event.
  purge_finished(domain, now, retention, 4)
end
return { 'ok', next_status, attempts, run }
