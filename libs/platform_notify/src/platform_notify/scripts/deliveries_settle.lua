-- Record what became of claimed deliveries. Only who holds a delivery's claim may say so, with one exception:
-- that a mail was sent is true whoever says it, and keeps it from being sent once more. It is true also of one
-- that was given up or skipped by another meanwhile: it has left, whatever was decided later. What becomes of a digest
-- becomes of all that was gathered into it; but of one that was sent the jobs of those users are skipped whom it
-- does not tell of.
--   KEYS[1]  the channel's due set          KEYS[2]  the channel's dead set (score: died, ms)
--   ARGV     now (ms), retention (ms), claim token, prefix of the records' keys, prefix of the digests' lists,
--            prefix of the keys of jobs' deliveries, then for each delivery:
--            id, key of its job's deliveries, state ("waiting" | "sent" | "dead" | "skipped"), due (ms, for
--            "waiting"),
--            "count" | "uncount" (forget the attempts so far) | "untried" (forget this one), number of texts,
--            field, value, ...; the field
--            "unsure" is taken away first and must be among them to stay; number of users left out, and for
--            each: user, reason, layer, detail
--   returns  for each delivery "ok", or "lost": it was claimed by another meanwhile; nothing is written. What is
--            said a second time, with the same attempts, is "ok" and writes nothing: the first answer got lost
local due_set, dead_set = KEYS[1], KEYS[2]
local now, retention, token, prefix = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local list_prefix, job_prefix = ARGV[5], ARGV[6]

local function forget_later(record, of_job, id)
  redis.call('PEXPIRE', record, retention)
  redis.call('ZADD', of_job, 'NX', now, id)
  redis.call('PEXPIRE', of_job, retention)
end

-- Settle what was gathered; return how many of them the digest left out.
local function settle_members(list, settled_at, fate, left_out)
  local number = 0
  for _, member in ipairs(redis.call('LRANGE', list, 0, -1)) do
    local record = prefix .. member
    local job = redis.call('HMGET', record, 'domain', 'job_id', 'subscriber')
    -- One whose record was removed by hand is not made anew.
    if job[1] then
      local its_fate = job[3] and left_out[job[3]]
      if its_fate then
        number = number + 1
      end
      its_fate = its_fate or fate
      redis.call('HDEL', record, 'reason')
      redis.call('HSET', record, 'state', its_fate.state, 'settled_at', settled_at, 'detail', its_fate.detail)
      if its_fate.state == 'skipped' then
        redis.call('HSET', record, 'reason', its_fate.reason, 'layer', its_fate.layer)
      end
      forget_later(record, job_prefix .. job[1] .. ':' .. job[2], member)
    end
  end
  redis.call('PEXPIRE', list, retention)
  return number
end

local function read_left_out(at)
  local left_out = {}
  for i = at + 1, at + 4 * tonumber(ARGV[at]), 4 do
    left_out[ARGV[i]] = { state = 'skipped', reason = ARGV[i + 1], layer = ARGV[i + 2], detail = ARGV[i + 3] }
  end
  return left_out
end

local late_words = { dead = 'given up', skipped = 'stopped' }

local function is_recorded(record, at)
  for i = at + 6, at + 5 + tonumber(ARGV[at + 5]), 2 do
    if ARGV[i] == 'attempts' then
      return redis.call('HGET', record, 'attempts') == ARGV[i + 1]
    end
  end
  return false
end

local function settle(at)
  local id, of_job, state, due, counting = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local record = prefix .. id
  if redis.call('HGET', record, 'claim') ~= token then
    if is_recorded(record, at) then
      return 'ok'
    end
    local stands = redis.call('HGET', record, 'state')
    if state ~= 'sent' or (stands ~= 'waiting' and stands ~= 'dead' and stands ~= 'skipped') then
      return 'lost'
    end
    if stands ~= 'waiting' then
      redis.call('HSET', record, 'detail', 'it was being sent already when it was ' .. late_words[stands])
      redis.call('HDEL', record, 'reason')
      redis.call('ZREM', dead_set, id)
    end
  end
  redis.call('HDEL', record, 'claim', 'unsure')
  redis.call('HSET', record, 'state', state)
  for i = at + 6, at + 5 + tonumber(ARGV[at + 5]), 2 do
    redis.call('HSET', record, ARGV[i], ARGV[i + 1])
  end
  if counting == 'untried' and tonumber(redis.call('HGET', record, 'attempt') or '0') > 1 then
    redis.call('HINCRBY', record, 'attempt', -1)
  elseif counting ~= 'count' then
    redis.call('HDEL', record, 'attempt', 'first_attempt_at')
  end
  if state == 'waiting' then
    redis.call('ZADD', due_set, due, id)
    return 'ok'
  end
  redis.call('ZREM', due_set, id)
  redis.call('HDEL', record, 'due_at')
  local found = redis.call('HMGET', record, 'gathered', 'settled_at', 'detail', 'reason', 'layer')
  if found[1] then
    redis.call('PEXPIRE', record, retention)
    local fate = { state = state, detail = found[3] or '', reason = found[4], layer = found[5] }
    local left_out = read_left_out(at + 6 + tonumber(ARGV[at + 5]))
    redis.call('HSET', record, 'left_out', settle_members(list_prefix .. id, found[2], fate, left_out))
  else
    forget_later(record, of_job, id)
  end
  if state == 'dead' then
    redis.call('ZADD', dead_set, now, id)
  end
  return 'ok'
end

local reply, at = {}, 7
while at <= #ARGV do
  reply[#reply + 1] = settle(at)
  at = at + 6 + tonumber(ARGV[at + 5])
  at = at + 1 + 4 * tonumber(ARGV[at])
end
-- The records of these have expired.
redis.call('ZREMRANGEBYSCORE', dead_set, '-inf', now - tonumber(retention))
return reply
