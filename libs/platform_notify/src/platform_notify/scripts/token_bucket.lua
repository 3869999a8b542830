-- Shared: take one token from a bucket, or say how long to wait. The whole bucket is one number: when it will be
-- full again (ms). Each token taken puts that off by the time one token takes to come back.
--   key       the bucket; gone once it is full
--   now       ms
--   interval  ms until a token comes back
--   burst     how many tokens a full bucket holds
--   returns   0 if a token was taken, else after how many ms there is one again; then nothing is written
local function take_token(key, now, interval, burst)
  local full_at = math.max(tonumber(redis.call('GET', key) or '0'), now)
  local wait = full_at - now - (burst - 1) * interval
  if wait > 0 then
    return wait
  end
  full_at = full_at + interval
  redis.call('SET', key, string.format('%.0f', full_at), 'PX', string.format('%.0f', full_at - now))
  return 0
end
