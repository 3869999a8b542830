-- Read the counts and the buckets of one domain.
--   ARGV     domain, buckets to read ("minute" | "hour"), number of the first one, how many steps,
--            how many buckets a step has
--   returns  triples {kind, name, number}:
--            {"now", status, jobs that have it}, {"type", "<status> <job type>", jobs},
--            {"step", "<number of the step, from 0> <submitted | completed | failed | cancelled>", jobs},
--            {"run" | "queue", bin, jobs}, summed over all steps
--            what is 0 is left out, and so is what is no count at all
--   refuses  error KEYTAKEN: a bucket or the set of job types is none
local domain, bucket, first = ARGV[1], ARGV[2], tonumber(ARGV[3])
local steps, length = tonumber(ARGV[4]), tonumber(ARGV[5])

purge_expired(domain, 100)

local reply = {}
local function tell(kind, name, number)
  if number > 0 then
    reply[#reply + 1] = kind
    reply[#reply + 1] = name
    reply[#reply + 1] = string.format('%.0f', number)
  end
end

-- A count out of a bucket; 0 where another program wrote something else.
local function number_of(text)
  return #text < 16 and tonumber(string.match(text, '^%d+$')) or 0
end

local fault = taken('set', { jobs_key(domain, 'types') })
if fault then
  return fault
end
local types = redis.call('SMEMBERS', jobs_key(domain, 'types'))
for _, status in ipairs({ 'queued', 'processing', 'completed', 'failed', 'cancelled' }) do
  local key = jobs_key(domain, 'status:' .. status)
  tell('now', status, redis.call('ZCARD', key))
  for _, job_type in ipairs(types) do
    tell('type', status .. ' ' .. job_type, redis.call('ZCARD', key .. ':type:' .. job_type))
  end
end

local bins = { run = {}, queue = {} }
for step = 0, steps - 1 do
  local sums = {}
  for number = first + step * length, first + (step + 1) * length - 1 do
    local key = jobs_key(domain, bucket .. ':' .. string.format('%.0f', number))
    local counts = redis.pcall('HGETALL', key)
    if counts.err then
      return taken('hash', { key }) or counts
    end
    for i = 1, #counts, 2 do
      local kind, bin = string.match(counts[i], '^(%l+):(%d%d?%d?)$')
      local sum, name = bins[kind] or sums, bin or counts[i]
      sum[name] = (sum[name] or 0) + number_of(counts[i + 1])
    end
  end
  for name, number in pairs(sums) do
    tell('step', step .. ' ' .. name, number)
  end
end
for kind, sums in pairs(bins) do
  for bin, number in pairs(sums) do
    tell(kind, bin, number)
  end
end
return reply
