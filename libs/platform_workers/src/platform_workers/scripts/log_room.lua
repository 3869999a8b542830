-- Tell how many of the next entries of some logs a reader may ask for at once, so that no single reply holds
-- more bytes than it should: anybody can append an entry of any length (with stream_facts.lua in front).
--   KEYS     the logs (streams)
--   ARGV     the group, "new" or the id from which on to look at what is unfinished, at most how many
--            entries, at most how many bytes of each log
--   returns  {how many}: 1 or more; one entry is read however long it is. 1 also where none waits.
local group, from, limit, bytes = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local function last_delivered(log)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', log)) do
    local found = facts(flat)
    if found['name'] == group then
      return found['last-delivered-id']
    end
  end
  return nil
end

-- Return the entries to look at, one after the other; nil after the last.
local function entries_of(log, cursor)
  if from == 'new' then
    local last = cursor
    return function()
      local entry = redis.call('XRANGE', log, '(' .. last, '+', 'COUNT', 1)[1]
      last = entry and entry[1]
      return entry
    end
  end
  local pending, at = redis.call('XPENDING', log, group, from, '+', limit), 0
  return function()
    at = at + 1
    local id = pending[at] and pending[at][1]
    -- One that was trimmed since is there no more, and takes no room.
    return id and (redis.call('XRANGE', log, id, id)[1] or { id, {} })
  end
end

local waits, room = false, limit
for _, log in ipairs(KEYS) do
  local cursor = redis.call('EXISTS', log) == 1 and last_delivered(log)
  if cursor then
    local fit, total = 0, 0
    for entry in entries_of(log, cursor) do
      waits = true
      for _, part in ipairs(entry[2]) do
        total = total + #part
      end
      if fit > 0 and total > bytes then
        room = math.min(room, fit)
        break
      end
      fit = fit + 1
      if fit == limit then
        break
      end
    end
  end
end
return { tostring(waits and room or 1) }
