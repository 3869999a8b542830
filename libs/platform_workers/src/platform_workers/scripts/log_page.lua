-- Read one page of a domain's durable log, and tell whether anything before it is gone: both in one step, so
-- that nothing can be trimmed in between unseen.
--   KEYS[1]  the durable log (stream)
--   ARGV     the id after which to read ("0-0" for the beginning), the last id to read ("+" for the end), the
--            most entries to return
--   returns  {fate, newest id ("0-0" without a log), then for each entry its id, the number of its fields,
--            field, value, ...}
--   fate     "whole"    nothing after the first id is missing
--            "trimmed"  entries after it were trimmed away, or may have been
--            "reset"    the log ends before it: this is not the log that the id came from
local log, after, last, limit = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])

local stream = { ['last-generated-id'] = '0-0', ['entries-added'] = 0, ['length'] = 0 }
if redis.call('EXISTS', log) == 1 then
  stream = facts(redis.call('XINFO', 'STREAM', log))
end
local newest = stream['last-generated-id']
if is_before(newest, after) then
  return { 'reset', newest }
end

local reply = { is_missing_after(after, stream) and 'trimmed' or 'whole', newest }
for _, entry in ipairs(redis.call('XRANGE', log, '(' .. after, last, 'COUNT', limit)) do
  reply[#reply + 1] = entry[1]
  reply[#reply + 1] = tostring(#entry[2] / 2)
  for _, text in ipairs(entry[2]) do
    reply[#reply + 1] = text
  end
end
return reply
