-- Take due deliveries for one sender, under a lease: until it ends nobody else gets them (with token_bucket.lua
-- in front). What is taken is sent in one request, so one token of the provider's rate limit goes with it. A digest
-- counts by what was gathered into it, so that neither this script nor the one that settles them holds up Redis.
--   KEYS[1]  the channel's due set (score: due, ms)
--   KEYS[2]  the provider's circuit         KEYS[3]  until when the provider asked to be left alone (ms)
--   KEYS[4]  the provider's rate limit
--   ARGV     now (ms), now (ISO), lease (ms), at most how many, claim token, provider, time between two
--            probes (ms), prefix of the records' keys, time until a token comes back (ms, "0" for no limit),
--            tokens of a full bucket, prefix of the digests' lists, at most how many of a digest are told, end of
--            the lease (ISO), at most how much work (mails, and jobs gathered into them), prefix of what is no
--            record, retention (ms)
--   returns  {verdict, when to ask again (ms, "" if nothing waits), when the circuit was closed (ISO, ""),
--             then for each delivery: id, number of texts, field, value, ...; beside its own fields what its
--             user has stored about mails (`preferences`), and of a digest what it tells (`item:<n>:...`) and
--             whose jobs are in it (`user:<n>:...`; one without a `name` stands for jobs of nobody known)};
--             what somebody has broken by hand is claimed as it is, for its reader to find unreadable
--   verdict  "claimed" | "none"
--            "probe": the circuit is open, and this one delivery finds out whether the provider is well again
--   refuses  {"open", next probe (ms), ""}, {"paused", until (ms), ""}, {"limited", until (ms), ""}
local due_set, circuit, pause = KEYS[1], KEYS[2], KEYS[3]
local now, now_iso, lease, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local token, provider, probe_pause, prefix = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local interval, burst, list_prefix, told = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])
local lease_end, work_left, stray_prefix, retention = ARGV[13], tonumber(ARGV[14]), ARGV[15], ARGV[16]

-- One thing that was broken by hand must not stop the whole queue: no number counts as 0, no hash as an empty one.
local function number_of(text)
  return text and tonumber(text) or 0
end

local function fields_of(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  return found.err and {} or found
end

local paused_until = redis.call('GET', pause)
if number_of(paused_until) > now then
  return { 'paused', paused_until, '' }
end
local is_open = redis.call('HGET', circuit, 'state') == 'open'
if is_open then
  local next_probe = redis.call('HGET', circuit, 'next_probe')
  if number_of(next_probe) > now then
    return { 'open', next_probe, '' }
  end
  limit = 1
end

-- The record of a digest was removed by hand: what was gathered into it goes out by itself.
local function release(list)
  for _, member in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if fields_of(prefix .. member, 'state')[1] == 'gathered' then
      redis.call('HSET', prefix .. member, 'state', 'waiting', 'due_at', now_iso)
      redis.call('HDEL', prefix .. member, 'digest')
      redis.call('ZADD', due_set, now, member)
    end
  end
  redis.call('DEL', list)
end

local chosen = {}

-- Put a mail that was gathered behind the one before it (`after`), if that one has not left: because the account
-- is refused, or because it is leaving at this moment. One that fails for itself holds nothing back.
local function must_wait(id, after)
  if not after or chosen[after] then
    return false
  end
  local found = fields_of(prefix .. after, 'state', 'attempt', 'claim', 'due_at')
  if found[1] ~= 'waiting' or (found[2] and not found[3]) then
    return false
  end
  local due = redis.call('ZSCORE', due_set, after)
  if not due then
    -- Taken out of the set by hand: it may never leave.
    return false
  end
  if found[3] then
    redis.call('ZADD', due_set, now + 1000, id)
  else
    redis.call('ZADD', due_set, tonumber(due) + 1, id)
    redis.call('HSET', prefix .. id, 'due_at', found[4])
  end
  return true
end

-- Return what the choice goes by; nothing if there is no record. A key that is no hash goes out of the way, and an
-- unreadable record takes its place, so that it can be claimed, settled and found like any other.
local function order_of(id)
  local key = prefix .. id
  local found = redis.pcall('HMGET', key, 'state', 'after', 'gathered')
  if found.err then
    redis.call('RENAME', key, stray_prefix .. id)
    redis.call('PEXPIRE', stray_prefix .. id, retention)
    redis.call('HSET', key, 'state', 'waiting')
    return { 'waiting' }
  end
  if not found[1] and redis.call('EXISTS', key) == 0 then
    return nil
  end
  return found
end

-- Choose what is claimed; return the ids in the order in which they are due.
local function choose()
  local ids = {}
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due_set, '-inf', now, 'LIMIT', 0, limit)) do
    local found = order_of(id)
    if not found then
      -- Its record was removed by hand: nothing is left to send.
      redis.call('ZREM', due_set, id)
      release(list_prefix .. id)
    elseif not must_wait(id, found[2]) then
      work_left = work_left - 1 - number_of(found[3])
      if work_left < 0 and #ids > 0 then
        break
      end
      chosen[id] = true
      ids[#ids + 1] = id
    end
  end
  return ids
end

local function put(flat, name, value)
  flat[#flat + 1] = name
  flat[#flat + 1] = value
end

-- Count one more; what is no number stays, and makes the record unreadable.
local function count(record, name, text)
  local before = tonumber(text or '0')
  if before then
    redis.call('HSET', record, name, before + 1)
  end
end

-- Add what a user has stored about mails by now (platform_core.notifications.preferences_key).
local known = {}
local function tell_preferences(flat, name, user)
  if not user then
    return
  end
  if known[user] == nil then
    local found = redis.pcall('GET', 'user:' .. user .. ':notification_preferences')
    -- A key that holds no text: nobody can read from it that the user wants mails.
    known[user] = type(found) == 'table' and 'no text' or found
  end
  if known[user] then
    put(flat, name, known[user])
  end
end

-- Add to a digest's fields whose jobs are in it, and its first members; the first one of each user before the
-- others, so that something is left to tell if somebody among them wants no mails.
local function tell_members(flat, list)
  local members, owners, jobs, order = redis.call('LRANGE', list, 0, -1), {}, {}, {}
  local telling, room = {}, told
  for place, member in ipairs(members) do
    local found = fields_of(prefix .. member, 'subscriber', 'state')
    if found[2] then
      local owner = found[1] or ''
      if not jobs[owner] then
        jobs[owner], order[#order + 1] = 0, owner
        telling[place], room = room > 0, room - 1
      end
      owners[place], jobs[owner] = owner, jobs[owner] + 1
    end
  end
  for place in ipairs(members) do
    if owners[place] and not telling[place] and room > 0 then
      telling[place], room = true, room - 1
    end
  end
  local number = 0
  for place, member in ipairs(members) do
    if telling[place] then
      number = number + 1
      put(flat, 'item:' .. number .. ':facts', fields_of(prefix .. member, 'facts')[1] or '')
      if owners[place] ~= '' then
        put(flat, 'item:' .. number .. ':subscriber', owners[place])
      end
    end
  end
  for place, owner in ipairs(order) do
    put(flat, 'user:' .. place .. ':jobs', tostring(jobs[owner]))
    if owner ~= '' then
      put(flat, 'user:' .. place .. ':name', owner)
      tell_preferences(flat, 'user:' .. place .. ':preferences', owner)
    end
  end
end

local reply = { 'none', '', redis.call('HGET', circuit, 'closed_at') or '' }
local function claim(id)
  local record = prefix .. id
  local found = redis.call(
    'HMGET', record, 'claim', 'interrupted', 'attempt', 'first_attempt_at', 'gathered', 'subscriber')
  if found[1] then
    -- Its last sender never came back, and nobody knows what it had sent.
    count(record, 'interrupted', found[2])
    redis.call('HSET', record, 'unsure', 'yes')
  end
  count(record, 'attempt', found[3])
  redis.call('HSET', record, 'claim', token, 'provider', provider, 'due_at', lease_end,
    'first_attempt_at', found[4] or now_iso)
  redis.call('ZADD', due_set, now + lease, id)
  local flat = redis.call('HGETALL', record)
  if found[5] then
    tell_members(flat, list_prefix .. id)
  else
    tell_preferences(flat, 'preferences', found[6])
  end
  local at = #reply
  reply[at + 1], reply[at + 2] = id, tostring(#flat)
  for i = 1, #flat do
    reply[at + 2 + i] = flat[i]
  end
  reply[1] = is_open and 'probe' or 'claimed'
end

local to_claim = choose()
if #to_claim > 0 and interval > 0 then
  local wait = take_token(KEYS[4], now, interval, burst)
  if wait > 0 then
    return { 'limited', string.format('%.0f', now + wait), '' }
  end
end
for _, id in ipairs(to_claim) do
  claim(id)
end
if reply[1] == 'probe' then
  redis.call('HSET', circuit, 'next_probe', now + probe_pause)
end
local first = redis.call('ZRANGE', due_set, 0, 0, 'WITHSCORES')
if first[2] then
  -- Whole milliseconds: the score may be written as 1.7e+12.
  reply[2] = string.format('%.0f', tonumber(first[2]))
end
return reply
