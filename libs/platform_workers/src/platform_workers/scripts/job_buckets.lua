-- Shared part: what happened when, in buckets of time, for statistics. Joined in front of job_index.lua, so that a
-- move and its count are one atomic step.
--
--   <d>:jobs:minute:<minutes since 1970>   a hash; lives for 2 hours after its first count
--   <d>:jobs:hour:<hours since 1970>       a hash; lives for 8 days after its first count
--
-- Fields of a bucket:
--   submitted | completed | failed | cancelled   how many jobs came to be, and reached which outcome
--   run:<bin>     completed and failed jobs by how long their last attempt ran
--   queue:<bin>   starts by how long the job could have started before
--
-- Bin 0 is less than 1 ms; bin n (from 1) is up to 1.1 ^ (n - 1) ms. `job_statistics.py` reads them back.

local BUCKETS = {
  { name = 'minute', length = 60000, life = 2 * 3600 },
  { name = 'hour', length = 3600000, life = 8 * 86400 },
}
local LOG_OF_BASE = math.log(1.1)

-- Milliseconds since 1970, rounded down, of an ISO 8601 time with offset; nil if it is none.
local function millis_of(text)
  if not text then
    return nil
  end
  local year, month, day, hour, minute, second, rest = string.match(
    text, '^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)(.*)$')
  if not year then
    return nil
  end
  local fraction, offset = string.match(rest, '^[.,](%d+)(.*)$')
  local sign, hours, minutes = string.match(offset or rest, '^([+-])(%d%d):?(%d%d)')
  if not sign and (offset or rest) ~= 'Z' then
    return nil
  end
  -- Days from the civil calendar, with years that begin in March.
  local y, m = tonumber(year), tonumber(month)
  if m <= 2 then
    y, m = y - 1, m + 12
  end
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
    + math.floor((153 * (m - 3) + 2) / 5) + tonumber(day) - 1 - 719468
  local seconds = days * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
  if sign then
    local ahead = tonumber(hours) * 3600 + tonumber(minutes) * 60
    seconds = seconds - (sign == '+' and ahead or -ahead)
  end
  return seconds * 1000 + tonumber(string.sub((fraction or '') .. '000', 1, 3))
end

-- Now by this server's clock: milliseconds since 1970, as text.
local function server_millis()
  local time = redis.call('TIME')
  return string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end

local function bin_of(milliseconds)
  if milliseconds < 1 then
    return '0'
  end
  return string.format('%.0f', 1 + math.ceil(math.log(milliseconds) / LOG_OF_BASE))
end

local function bucket_key(domain, bucket, now)
  return domain .. ':jobs:' .. bucket.name .. ':' .. string.format('%.0f', math.floor(now / bucket.length))
end

local function bucket_keys(domain, now)
  local keys = {}
  for i, bucket in ipairs(BUCKETS) do
    keys[i] = bucket_key(domain, bucket, now)
  end
  return keys
end

local function count(domain, now, field)
  for _, bucket in ipairs(BUCKETS) do
    local key = bucket_key(domain, bucket, now)
    local counted = redis.pcall('HINCRBY', key, field, 1)
    if type(counted) == 'table' then
      -- Another program wrote something there that is no number: the count begins anew.
      redis.call('HSET', key, field, 1)
    elseif counted == 1 then
      -- The first count of a field may be the bucket's first; there are few fields, so this is rare enough.
      redis.call('EXPIRE', key, bucket.life)
    end
  end
end

-- Count one move of a job from the state `old` (empty for a new job) to the state `new`.
local function count_move(domain, old, new, now)
  if not old.status then
    count(domain, now, 'submitted')
  end
  if old.status == new.status then
    return
  end
  if new.status == 'processing' then
    -- Since when it could have started: it was put into the queue, and its time had come. The first by this server's
    -- clock, as `now` is a worker's: that of the host which put it there may be wrong. A record of before has it not.
    local queued = tonumber(old.queued_ms) or millis_of(old.updated_at or old.created_at) or 0
    local since = math.max(queued, millis_of(old.run_after) or 0)
    if since > 0 then
      count(domain, now, 'queue:' .. bin_of(now - since))
    end
  elseif new.status == 'completed' or new.status == 'failed' or new.status == 'cancelled' then
    count(domain, now, new.status)
    local begun = millis_of(old.attempt_started_at) or millis_of(old.started_at)
    if old.status == 'processing' and new.status ~= 'cancelled' and begun then
      count(domain, now, 'run:' .. bin_of(now - begun))
    end
  end
end
