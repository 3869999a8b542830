-- Read a page of one index, newest first: the jobs after a position, at most so many.
--   KEYS[1]  the index set
--   ARGV     domain, how many jobs, lowest score, score that all are below ("" for none),
--            position: score and job id of the job after which the page begins ("" for both: at the front),
--            at most how many entries to look at,
--            the filter: status, job type, user id (each "" for any), then the hash fields to return
--   returns  {"more" | "end", score and id of the last entry looked at ("" for none),
--             then for each job: id, score, the value of each field ("" for a field that is not there)}
--            "more": it ended because enough was looked at, not because the index is at its end
--   refuses  error KEYTAKEN: the index set is none
--
-- A position is found by its rank, so its cost is that of log(n), however many jobs share one millisecond. The
-- job need not be in the set any more: it is put there for a moment, and nobody can see it in between.
local index = KEYS[1]
local domain, wanted, low, before = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local at_score, at_id, looks = ARGV[5], ARGV[6], tonumber(ARGV[7])
local filter = { status = ARGV[8], job_type = ARGV[9], user_id = ARGV[10] }
local fields = { 'status', 'job_type', 'user_id', unpack(ARGV, 11) }

local fault = taken('zset', { index })
if fault then
  return fault
end
purge_expired(domain, 100)

local function rank_after(score, job_id)
  local stood = tonumber(redis.call('ZSCORE', index, job_id) or nil)
  if stood ~= score then
    redis.call('ZADD', index, score, job_id)
  end
  local rank = redis.call('ZREVRANK', index, job_id)
  if stood == score then
    return rank + 1
  end
  if not stood then
    redis.call('ZREM', index, job_id)
    return rank
  end
  -- Another job took the id since then, and stands elsewhere.
  redis.call('ZADD', index, stood, job_id)
  return stood > score and rank + 1 or rank
end

-- The record is asked, too: somebody may have written it past the index.
local function matches(values)
  return (filter.status == '' or filter.status == values[1])
    and (filter.job_type == '' or filter.job_type == values[2])
    and (filter.user_id == '' or filter.user_id == values[3])
end

local start = 0
if at_score ~= '' then
  start = rank_after(tonumber(at_score), at_id)
end
if before ~= '' then
  start = math.max(start, redis.call('ZCOUNT', index, before, '+inf'))
end

local reply = { 'end', '', '' }
local found, looked, expired = 0, 0, {}
while found < wanted do
  if looked >= looks then
    reply[1] = 'more'
    break
  end
  local last = start + looked + math.min(wanted - found, looks - looked) - 1
  local entries = redis.call('ZREVRANGE', index, start + looked, last, 'WITHSCORES')
  for i = 1, #entries, 2 do
    local job_id, score = entries[i], entries[i + 1]
    if tonumber(score) < low then
      entries = {}
      break
    end
    -- Somebody may have put something else than a hash there: it is told as a record without fields.
    local values = redis.pcall('HMGET', domain .. ':job:' .. job_id, unpack(fields))
    if not values.err and not values[1] then
      expired[#expired + 1] = job_id
    elseif values.err or matches(values) then
      found = found + 1
      reply[#reply + 1] = job_id
      reply[#reply + 1] = score
      for n = 4, #fields do
        reply[#reply + 1] = values[n] or ''
      end
    end
    looked = looked + 1
    reply[2], reply[3] = score, job_id
  end
  if #entries == 0 then
    break
  end
end
-- So that nobody looks at them again.
for _, job_id in ipairs(expired) do
  redis.call('ZREM', index, job_id)
end
return reply
