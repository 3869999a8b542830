-- Close a provider's circuit. When it was closed is kept for a while: the time it was open does not count
-- against the deliveries that waited.
--   KEYS[1]  the circuit
--   ARGV     now (ISO), how long to remember (ms)
--   returns  {"closed"}, or {"was closed"} if it was not open
local circuit = KEYS[1]
if redis.call('HGET', circuit, 'state') ~= 'open' then
  return { 'was closed' }
end
redis.call('HSET', circuit, 'state', 'closed', 'closed_at', ARGV[1])
redis.call('HDEL', circuit, 'next_probe', 'why', 'opened_at')
redis.call('PEXPIRE', circuit, ARGV[2])
return { 'closed' }
