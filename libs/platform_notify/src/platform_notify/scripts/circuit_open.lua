-- Open a provider's circuit: nothing is sent through it but one probe at a time.
--   KEYS[1]  the circuit
--   ARGV     now (ms), now (ISO), time until the next probe (ms), why
--   returns  {"opened"}, or {"open"} if it was open already
local circuit = KEYS[1]
local was_open = redis.call('HGET', circuit, 'state') == 'open'
redis.call('HSET', circuit, 'state', 'open', 'next_probe', tonumber(ARGV[1]) + tonumber(ARGV[3]), 'why', ARGV[4])
redis.call('PERSIST', circuit)
if was_open then
  return { 'open' }
end
redis.call('HSET', circuit, 'opened_at', ARGV[2])
return { 'opened' }
