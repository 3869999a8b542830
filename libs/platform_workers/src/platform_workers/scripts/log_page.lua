-- Read one page of a domain's durable log, and tell whether anything before it is gone: both in one step, so
-- that nothing can be trimmed in between unseen.
--   KEYS[1]  the durable log (stream)
--   ARGV     the id after which to read ("0-0" for the beginning), the last id to read ("+" for the end), the
--            most entries to return, about the most bytes of them, the bytes of an entry that is no event
--   returns  {fate, newest id ("0-0" without a log), "more" | "end", then for each entry its id, the number of
--            its fields, field, value, ...}; an entry that is too long comes without fields
--   fate     "whole"    nothing after the first id is missing
--            "trimmed"  entries after it were trimmed away, or may have been
--            "reset"    the log ends before it: this is not the log that the id came from
local log, after, last, limit = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local bytes, longest = tonumber(ARGV[4]), tonumber(ARGV[5])

local stream = { ['last-generated-id'] = '0-0', ['entries-added'] = 0, ['length'] = 0 }
if redis.call('EXISTS', log) == 1 then
  stream = facts(redis.call('XINFO', 'STREAM', log))
end
local newest = stream['last-generated-id']
if is_before(newest, after) then
  return { 'reset', newest, 'end' }
end

local reply = { is_missing_after(after, stream) and 'trimmed' or 'whole', newest, 'more' }
-- One by one: anybody can append an entry of any length, and many at once would fill the server's memory.
while limit > 0 and bytes > 0 do
  local entry = redis.call('XRANGE', log, '(' .. after, last, 'COUNT', 1)[1]
  if not entry then
    reply[3] = 'end'
    break
  end
  local size = 0
  for _, text in ipairs(entry[2]) do
    size = size + #text
  end
  local fields = size <= longest and entry[2] or {}
  reply[#reply + 1] = entry[1]
  reply[#reply + 1] = tostring(#fields / 2)
  for _, text in ipairs(fields) do
    reply[#reply + 1] = text
  end
  after, limit, bytes = entry[1], limit - 1, bytes - size
end
return reply
