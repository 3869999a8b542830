-- Shared part: what is known of a stream, and the order of entry ids. Joined in front of the scripts that read
-- durable logs or ask whether one was trimmed.

local function facts(flat)
  local found = {}
  for i = 1, #flat, 2 do
    found[flat[i]] = flat[i + 1]
  end
  return found
end

local function is_before(one, other)
  local one_ms, one_n = string.match(one, '^(%d+)-(%d+)$')
  local other_ms, other_n = string.match(other, '^(%d+)-(%d+)$')
  if one_ms ~= other_ms then
    return tonumber(one_ms) < tonumber(other_ms)
  end
  return tonumber(one_n) < tonumber(other_n)
end

-- Whether entries that came after `cursor` are no longer in the stream (`stream`: its facts).
local function is_missing_after(cursor, stream)
  if cursor == '0-0' then
    -- A server before version 7 does not count what was ever added: there it may be missing.
    return stream['entries-added'] == nil or stream['entries-added'] > stream['length']
  end
  -- In a log that was emptied, everything up to the newest id is missing.
  local first = stream['first-entry'] and stream['first-entry'][1]
  return is_before(cursor, first or stream['last-generated-id'])
end
