-- Leave a provider alone for as long as it asked; of two wishes the longer one holds.
--   KEYS[1]  until when (ms)
--   ARGV     until (ms), now (ms)
--   returns  {until (ms)}
local until_ms, now = tonumber(ARGV[1]), tonumber(ARGV[2])
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
if until_ms > now and until_ms > current then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', until_ms - now)
  return { ARGV[1] }
end
return { string.format('%.0f', current) }
