-- Read how the queues stand and who works on them. Reads what RQ keeps and changes nothing; it needs job_buckets.lua
-- in front of itself.
--   ARGV     the present (ms), then the names of queues that are told of even if nobody has used them yet
--   returns  fives, in any order:
--            {"queue", name, jobs that wait and could start, jobs whose time has not come, for how long (ms) the
--             oldest of the former could have started; -1 if none waits},
--            {"worker", name of the queue, state, 1, 0} for each queue of each worker that lives
--
-- What RQ keeps:
--   rq:queues             keys of the queues that were used
--   rq:queue:<q>          ids of the jobs that wait: those of high priority first and the newest of them first, then
--                         the others, the oldest first
--   rq:scheduled:<q>      ids of jobs for later, score = when (s). Without a worker nobody moves one whose time has come
--   rq:job:<id>           a hash: enqueued_at (ISO 8601), enqueue_at_front ("1" for high priority), ...
--   rq:workers            keys of the workers, and rq:workers:<q> of those of a queue; a killed one stays there until
--                         another one tidies up, but
--   rq:worker:<name>      its hash (queues, state, ...) ends by itself, a minute or so after its last sign of life
local now = tonumber(ARGV[1])

local names, known = {}, {}
local function know(name)
  if name ~= '' and not known[name] then
    known[name] = true
    names[#names + 1] = name
  end
end

local reply = {}
local function tell(...)
  for _, part in ipairs({ ... }) do
    reply[#reply + 1] = type(part) == 'number' and string.format('%.0f', part) or part
  end
end

local function is_high(list, position)
  local id = redis.call('LINDEX', list, position)
  return id and redis.call('HGET', 'rq:job:' .. id, 'enqueue_at_front') == '1'
end

-- How many jobs of high priority stand at the head of a queue.
local function count_high(list, length)
  local low, high = 0, length
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_high(list, middle) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- For how long the oldest job of a queue waits (ms): the last of the high ones, or the first of the others. Some jobs
-- about the border are looked at: one may be gone from under its id.
local function oldest_in(list, length)
  local oldest = -1
  if length > 0 then
    local border = count_high(list, length)
    for _, id in ipairs(redis.call('LRANGE', list, math.max(0, border - 3), border + 2)) do
      local since = millis_of(redis.call('HGET', 'rq:job:' .. id, 'enqueued_at') or nil)
      if since then
        oldest = math.max(oldest, now - since, 0)
      end
    end
  end
  return oldest
end

for i = 2, #ARGV do
  know(ARGV[i])
end
for _, key in ipairs(redis.call('SMEMBERS', 'rq:queues')) do
  know(string.gsub(key, '^rq:queue:', ''))
end
for _, key in ipairs(redis.call('SMEMBERS', 'rq:workers')) do
  for name in string.gmatch(redis.call('HGET', key, 'queues') or '', '[^,]+') do
    know(name)
  end
end
for _, name in ipairs(names) do
  for _, key in ipairs(redis.call('SMEMBERS', 'rq:workers:' .. name)) do
    if redis.call('EXISTS', key) == 1 then
      -- One that was stopped for longer than its hash lives has nothing in it but its next sign of life.
      tell('worker', name, redis.call('HGET', key, 'state') or '', 1, 0)
    end
  end
  local list, scheduled = 'rq:queue:' .. name, 'rq:scheduled:' .. name
  local length = redis.call('LLEN', list)
  local due = redis.call('ZCOUNT', scheduled, '-inf', now / 1000)
  local oldest = oldest_in(list, length)
  if due > 0 then
    local first = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')
    oldest = math.max(oldest, now - tonumber(first[2]) * 1000, 0)
  end
  tell('queue', name, length + due, redis.call('ZCARD', scheduled) - due, oldest)
end
return reply
