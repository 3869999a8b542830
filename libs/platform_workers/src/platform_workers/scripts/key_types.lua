-- Shared part: whether the keys that a script is going to write hold what belongs there. Redis takes nothing back of a
-- script that fails halfway, so a script that must be whole asks before its first write. Asking also shows whether this
-- Redis user may reach a key at all.

-- The error that names the first of the keys which holds something else than `kind` ("hash" | "set" | "stream" |
-- "zset"); nil if there is none.
local function taken(kind, keys)
  for _, key in ipairs(keys) do
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then
      return redis.error_reply('KEYTAKEN ' .. key .. ' holds a ' .. found .. ' where a ' .. kind .. ' belongs')
    end
  end
end
