-- Tell whether a durable log was trimmed past what a group has finished, so that the group can never read
-- some of its entries.
--   KEYS[1]  the durable log (stream)
--   ARGV     the group
--   returns  {"whole"}: nothing is missing, or there is no such log
--            {"gap", the last id before the missing ones ("0-0" for the beginning), an id that all missing
--            ones are before, the id of the newest entry}
local log, group = KEYS[1], ARGV[1]
if redis.call('EXISTS', log) == 0 then
  return { 'whole' }
end

local stream = facts(redis.call('XINFO', 'STREAM', log))
local newest = stream['last-generated-id']
local first = stream['first-entry'] and stream['first-entry'][1]
-- In a log that was emptied, everything up to the newest id is missing.
local kept_from = first or newest

local cursor = '0-0'
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', log)) do
  local found = facts(flat)
  if found['name'] == group then
    cursor = found['last-delivered-id']
    local pending = redis.call('XPENDING', log, group)
    if pending[1] > 0 and is_before(pending[2], kept_from) then
      -- Given to a reader that never finished it, and gone since: as if the group stood just before it.
      local ms, n = string.match(pending[2], '^(%d+)-(%d+)$')
      cursor = tonumber(n) > 0 and string.format('%s-%.0f', ms, n - 1) or string.format('%.0f-0', ms - 1)
    end
  end
end

if is_missing_after(cursor, stream) then
  return { 'gap', cursor, kept_from, newest }
end
return { 'whole' }
