-- Take due deliveries for one sender, under a lease: until it ends nobody else gets them (with token_bucket.lua
-- in front). What is taken is sent in one request, so one token of the provider's rate limit goes with it.
--   KEYS[1]  the channel's due set (score: due, ms)
--   KEYS[2]  the provider's circuit         KEYS[3]  until when the provider asked to be left alone (ms)
--   KEYS[4]  the provider's rate limit
--   ARGV     now (ms), now (ISO), lease (ms), at most how many, claim token, provider, time between two
--            probes (ms), prefix of the records' keys, time until a token comes back (ms, "0" for no limit),
--            tokens of a full bucket, prefix of the digests' lists, at most how many of a digest are told, end of
--            the lease (ISO)
--   returns  {verdict, when to ask again (ms, "" if nothing waits), when the circuit was closed (ISO, ""),
--             then for each delivery: id, number of texts, field, value, ...; beside its own fields what its
--             user has stored about mails (`preferences`), and of a digest what it tells (`item:<n>:...`)}
--   verdict  "claimed" | "none"
--            "probe": the circuit is open, and this one delivery finds out whether the provider is well again
--   refuses  {"open", next probe (ms), ""}, {"paused", until (ms), ""}, {"limited", until (ms), ""}
local due_set, circuit, pause = KEYS[1], KEYS[2], KEYS[3]
local now, now_iso, lease, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local token, provider, probe_pause, prefix = ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local interval, burst, list_prefix, told = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])
local lease_end = ARGV[13]

local paused_until = redis.call('GET', pause)
if paused_until and tonumber(paused_until) > now then
  return { 'paused', paused_until, '' }
end
local is_open = redis.call('HGET', circuit, 'state') == 'open'
if is_open then
  local next_probe = redis.call('HGET', circuit, 'next_probe')
  if tonumber(next_probe) > now then
    return { 'open', next_probe, '' }
  end
  limit = 1
end

-- The record of a digest was removed by hand: what was gathered into it goes out by itself.
local function release(list)
  for _, member in ipairs(redis.call('LRANGE', list, 0, -1)) do
    if redis.call('HGET', prefix .. member, 'state') == 'gathered' then
      redis.call('HSET', prefix .. member, 'state', 'waiting', 'due_at', now_iso)
      redis.call('HDEL', prefix .. member, 'digest')
      redis.call('ZADD', due_set, now, member)
    end
  end
  redis.call('DEL', list)
end

-- Add what a delivery's user has stored about mails by now (platform_core.notifications.preferences_key).
local function tell_preferences(flat, name, user)
  if not user then
    return
  end
  local found = redis.pcall('GET', 'user:' .. user .. ':notification_preferences')
  if type(found) == 'table' then
    -- The key holds no text: nobody can read from it that the user wants mails.
    found = 'no text'
  end
  if found then
    flat[#flat + 1] = name
    flat[#flat + 1] = found
  end
end

-- Add the first members of a digest to its fields.
local function tell_members(flat, list)
  for number, member in ipairs(redis.call('LRANGE', list, 0, told - 1)) do
    local found = redis.call('HMGET', prefix .. member, 'facts', 'subscriber')
    for place, name in ipairs({ 'facts', 'subscriber' }) do
      if found[place] then
        flat[#flat + 1] = 'item:' .. number .. ':' .. name
        flat[#flat + 1] = found[place]
      end
    end
    tell_preferences(flat, 'item:' .. number .. ':preferences', found[2])
  end
end

local reply = { 'none', '', redis.call('HGET', circuit, 'closed_at') or '' }
local function claim(id)
  local record = prefix .. id
  if redis.call('EXISTS', record) == 0 then
    -- Its record was removed by hand: nothing is left to send.
    redis.call('ZREM', due_set, id)
    release(list_prefix .. id)
    return
  end
  if redis.call('HEXISTS', record, 'claim') == 1 then
    -- Its last sender never came back, and nobody knows what it had sent.
    redis.call('HINCRBY', record, 'interrupted', 1)
    redis.call('HSET', record, 'unsure', 'yes')
  end
  redis.call('HSET', record, 'claim', token, 'provider', provider, 'due_at', lease_end)
  redis.call('HSETNX', record, 'first_attempt_at', now_iso)
  redis.call('HINCRBY', record, 'attempt', 1)
  redis.call('ZADD', due_set, now + lease, id)
  local flat = redis.call('HGETALL', record)
  if redis.call('HEXISTS', record, 'gathered') == 1 then
    tell_members(flat, list_prefix .. id)
  else
    tell_preferences(flat, 'preferences', redis.call('HGET', record, 'subscriber'))
  end
  reply[#reply + 1] = id
  reply[#reply + 1] = tostring(#flat)
  for _, text in ipairs(flat) do
    reply[#reply + 1] = text
  end
  reply[1] = is_open and 'probe' or 'claimed'
end

local due = redis.call('ZRANGEBYSCORE', due_set, '-inf', now, 'LIMIT', 0, limit)
if #due > 0 and interval > 0 then
  local wait = take_token(KEYS[4], now, interval, burst)
  if wait > 0 then
    return { 'limited', string.format('%.0f', now + wait), '' }
  end
end
for _, id in ipairs(due) do
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
