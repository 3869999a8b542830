-- Make a delivery's record if there is none: the one idempotent step of the intake. Where many mails go to one
-- recipient it is gathered (with storm_judgement.lua in front): the first such one waits by itself, and the
-- second one makes a digest of the two. A digest, or one that waits for others, takes more in until a sender has
-- claimed it: from then on it has a `provider`, and its content is fixed.
--   KEYS[1]  the record                     KEYS[2]  the channel's due set
--   KEYS[3]  the deliveries of the job (sorted by when they were made)
--   KEYS[4]  the recipient's storm: until (ms), until_iso, singles, alert (the first that left singly), open (what
--            was gathered last)
--   ARGV     delivery id, now (ms), retention (ms), due (ms, "" for a skipped one), window (ms, "0" to gather
--            nothing), how many leave at once, end of a window that begins now (ISO), id of the digest that this
--            one would make, prefix of the records' keys, prefix of the digests' lists, at most how many in a
--            digest, how long a storm is remembered (ms), field, value, ...
--   returns  {"added"}, or {"gathered"}
--   refuses  {"known"}: there is a record, or a skipped one would be the second of its outcome (the log may be read
--            again when the outcome is too old, or the user has opted out); nothing is written
local record, due_set, of_job, storm = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, now, retention, due = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local window, first, window_end = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
local new_digest, prefix, list_prefix, most, memory = ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12]
if redis.call('EXISTS', record) == 1 then
  return { 'known' }
end
local fields = {}
for i = 13, #ARGV, 2 do
  fields[ARGV[i]] = ARGV[i + 1]
end
if due == '' then
  for _, other in ipairs(redis.call('ZRANGE', of_job, 0, -1)) do
    local found = redis.pcall('HMGET', prefix .. other, 'run', 'event', 'channel')
    if not found.err and found[1] == fields.run and found[2] == fields.event and found[3] == fields.channel then
      return { 'known' }
    end
  end
end
for name, value in pairs(fields) do
  redis.call('HSET', record, name, value)
end
redis.call('ZADD', of_job, ARGV[2], id)
redis.call('PEXPIRE', of_job, retention)
if due == '' then
  redis.call('PEXPIRE', record, retention)
  return { 'added' }
end
if window == 0 then
  redis.call('ZADD', due_set, due, id)
  return { 'added' }
end

-- What takes more in: the id, and whether it is a digest already.
local function find_open(open)
  if not open then
    return nil
  end
  local found = redis.pcall('HMGET', prefix .. open, 'state', 'provider', 'gathered')
  -- What somebody has broken by hand takes nothing in.
  if found.err or found[1] ~= 'waiting' or found[2] or (tonumber(found[3] or '1') or most) >= most then
    return nil
  end
  return open, found[3] and true or false
end

local function join(digest, member)
  redis.call('HSET', prefix .. member, 'state', 'gathered', 'digest', digest)
  redis.call('HDEL', prefix .. member, 'due_at', 'held_until')
  redis.call('RPUSH', list_prefix .. digest, member)
  redis.call('HINCRBY', prefix .. digest, 'gathered', 1)
end

local function make_digest(single)
  local names = {
    'domain', 'job_id', 'run', 'event', 'channel', 'recipient', 'user_id', 'layer', 'detail', 'created_at',
    'facts', 'due_at', 'held_until', 'after',
  }
  for _, name in ipairs(names) do
    local value = redis.call('HGET', prefix .. single, name)
    if value then
      redis.call('HSET', prefix .. new_digest, name, value)
    end
  end
  redis.call('HSET', prefix .. new_digest, 'delivery_id', new_digest, 'state', 'waiting')
  -- Without a score somebody has taken it out of the set by hand; it waits all the same, so it is due.
  redis.call('ZADD', due_set, redis.call('ZSCORE', due_set, single) or now, new_digest)
  redis.call('ZREM', due_set, single)
  join(new_digest, single)
  redis.call('HSET', storm, 'open', new_digest)
  return new_digest
end

local known = redis.call('HMGET', storm, 'until', 'until_iso', 'singles', 'open', 'alert')
local open, is_digest = find_open(known[4])
if open then
  join(is_digest and open or make_digest(open), id)
  return { 'gathered' }
end
local verdict, begins =
  judge_storm(now, window, first, tonumber(known[1]), tonumber(known[3] or '0'), known[4] and true or false)
if begins then
  known[1], known[2] = string.format('%.0f', now + window), window_end
  redis.call('HSET', storm, 'until', known[1], 'until_iso', known[2], 'singles', 0)
  redis.call('HDEL', storm, 'open')
end
redis.call('PEXPIRE', storm, memory)
if verdict == 'send' then
  redis.call('HINCRBY', storm, 'singles', 1)
  if begins then
    redis.call('HSET', storm, 'alert', id)
  end
  redis.call('ZADD', due_set, due, id)
  return { 'added' }
end
redis.call('HSET', storm, 'open', id)
redis.call('HSET', record, 'due_at', known[2], 'held_until', known[2])
-- What went to the recipient before it: it must not overtake that (see deliveries_claim.lua).
local before = known[4] or known[5]
if before then
  redis.call('HSET', record, 'after', before)
end
redis.call('ZADD', due_set, known[1], id)
return { 'gathered' }
