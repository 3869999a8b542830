-- Read how many jobs of each domain there are, and how many ended a short while ago, from the sizes of the index sets
-- (job_index.lua) and the buckets of minutes (job_buckets.lua). It changes nothing, so that it also tells of a server
-- that is full; what has expired and is still in an index counts.
-- The cost grows with the domains and the queues.
--   ARGV     number of the first minute to look at, number of the last one, for how long (ms) a lease has to be over,
--            by the server's clock, until its job counts as abandoned
--   returns  fours {domain, "now", status, jobs that have it}, {domain, "recent", outcome, jobs that reached it} and
--            {domain, "abandoned", "", jobs whose lease is over and that nobody has settled},
--            for every domain that has a job, also where the number is 0
local first, last, patience = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local over = '(' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - patience)

local reply = {}
local function tell(domain, kind, name, number)
  reply[#reply + 1] = domain
  reply[#reply + 1] = kind
  reply[#reply + 1] = name
  reply[#reply + 1] = string.format('%.0f', number)
end

-- Jobs of low priority wait in a queue of their own (rq:queues has its key) and run under a lease of the other one.
local queues = {}
for _, key in ipairs(redis.call('SMEMBERS', 'rq:queues')) do
  local name = string.gsub(string.gsub(key, '^rq:queue:', ''), ':low$', '')
  queues[name] = true
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
  local abandoned = 0
  for name in pairs(queues) do
    abandoned = abandoned + redis.call('ZCOUNT', domain .. ':jobs:leases:' .. name, '-inf', over)
  end
  tell(domain, 'abandoned', '', abandoned)
end
return reply
