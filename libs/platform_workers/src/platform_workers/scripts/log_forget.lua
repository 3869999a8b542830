-- Take readers off a log's group that have nothing unfinished (with stream_facts.lua in front). Looked at and done
-- in one step: a reader that is given something in between would lose it with its name.
--   KEYS[1]  the durable log (stream)
--   ARGV     the group, the one reader to take off ("" for any), those that have not read for this long (ms)
--   returns  the names that were taken off; none if there is no such log or group
local log, group, name, idle = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local readers = redis.pcall('XINFO', 'CONSUMERS', log, group)
local gone = {}
if readers.err then
  return gone
end
for _, flat in ipairs(readers) do
  local reader = facts(flat)
  if reader.pending == 0 and (name == '' or reader.name == name) and reader.idle >= idle then
    redis.call('XGROUP', 'DELCONSUMER', log, group, reader.name)
    gone[#gone + 1] = reader.name
  end
end
return gone
