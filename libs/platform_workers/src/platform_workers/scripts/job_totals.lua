-- Read how many jobs of each domain there are, and how many ended a short while ago, from the sizes of the index sets
-- (job_index.lua) and the buckets of minutes (job_buckets.lua). It changes nothing, so that it also tells of a server
-- that is full; what has expired and is still in an index counts.
--   ARGV     number of the first minute to look at, number of the last one
--   returns  fours {domain, "now", status, jobs that have it} and {domain, "recent", outcome, jobs that reached it},
--            for every domain that has a job, also where the number is 0
local first, last = tonumber(ARGV[1]), tonumber(ARGV[2])

local reply = {}
local function tell(domain, kind, name, number)
  reply[#reply + 1] = domain
  reply[#reply + 1] = kind
  reply[#reply + 1] = name
  reply[#reply + 1] = string.format('%.0f', number)
end

for _, domain in ipairs(redis.call('SMEMBERS', 'platform:domains')) do
  for _, status in ipairs({ 'queued', 'processing', 'completed', 'failed', 'cancelled' }) do
    tell(domain, 'now', status, redis.call('ZCARD', domain .. ':jobs:status:' .. status))
  end
  local sums = { completed = 0, failed = 0, cancelled = 0 }
  for minute = first, last do
    local key = domain .. ':jobs:minute:' .. string.format('%.0f', minute)
    local counts = redis.call('HMGET', key, 'completed', 'failed', 'cancelled')
    for i, outcome in ipairs({ 'completed', 'failed', 'cancelled' }) do
      sums[outcome] = sums[outcome] + tonumber(counts[i] or 0)
    end
  end
  for outcome, number in pairs(sums) do
    tell(domain, 'recent', outcome, number)
  end
end
return reply
